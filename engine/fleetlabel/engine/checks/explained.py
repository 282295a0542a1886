"""What a camera and a lidar that do not match are told to have: a turn, a clock that is off, or both.

Both are estimated together. Where the drive holds the two apart well, that is the answer. Where it hardly does (on a
straight way at one speed past things at one distance), neither stands out of the joint uncertainty although something
is wrong; then the one that alone explains the pictures better is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.checks.alignment import TIME, Estimate
from fleetlabel.engine.checks.blame import Measured
from fleetlabel.geometry.arrays import F64

if TYPE_CHECKING:
    from fleetlabel.engine.checks.inspection import Inspection, Pair

_CERTAIN = 4.0  # standard deviations
TURNED_RAD, LATE_S = np.radians(0.25), 0.03  # from here on it is worth a warning
_BLIND_RAD = np.radians(0.2)  # less sure of a rotation than this, the data cannot tell it
_CLEARER = 2.5  # standard deviations by which the pictures must fit better


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """What a pair of sensors is told to have.

    Attributes:
        rotation: of the camera, in ego axes; None if it cannot be told.
        late: (1,) of the camera's clock; None if it cannot be told.
    """

    rotation: Measured | None
    late: Measured | None


def explained(inspection: Inspection, pair: Pair) -> Explained:
    """What a pair is told to have."""
    joint = pair.estimate
    if joint is None:
        return Explained(None, None)
    turn, late = _rotation(inspection, pair, joint), _late(joint)
    if pair.rotation_only is None or pair.late_only is None:
        return Explained(turn, late)
    only_turn, only_late = _rotation(inspection, pair, pair.rotation_only), _late(pair.late_only)
    if late is not None and (stands_out(turn, TURNED_RAD) or stands_out(late, LATE_S)):
        return Explained(turn, late)
    if pair.late_only.score > pair.rotation_only.score:
        return Explained(_nothing(only_turn), only_late)
    return Explained(only_turn, _nothing(only_late))


def stands_out(measured: Measured | None, least: float) -> bool:
    """Whether a value is of a size, and certain."""
    if measured is None:
        return False
    size = float(np.linalg.norm(measured.value))
    certain = size >= _CERTAIN * sigma_along(measured) and measured.clearer >= _CLEARER
    return bool(size >= least and certain)


def sigma_along(measured: Measured) -> float:
    """How sure a value's length is."""
    size = float(np.linalg.norm(measured.value))
    if size == 0.0:
        return float(np.linalg.norm(measured.sigma))
    return float(np.linalg.norm(measured.value / size * measured.sigma))


def _rotation(inspection: Inspection, pair: Pair, estimate: Estimate) -> Measured | None:
    covariance = estimate.covariance[:TIME, :TIME]
    axes = inspection.info.sensor(pair.camera).ego_from_sensor[:3, :3]
    sigma: F64 = np.sqrt(np.diag(axes @ covariance @ axes.T))
    if not bool(np.isfinite(sigma).all()) or float(np.linalg.norm(sigma)) > _BLIND_RAD:
        return None
    return Measured(axes @ estimate.rotation_rad, sigma, estimate.clearer)


def _late(estimate: Estimate) -> Measured | None:
    if np.isnan(estimate.late_s):
        return None
    sigma = np.array([np.sqrt(estimate.covariance[TIME, TIME])])
    return Measured(np.array([estimate.late_s]), sigma, estimate.clearer)


def _nothing(measured: Measured | None) -> Measured | None:
    """The other one then is nothing."""
    return None if measured is None else Measured(np.zeros(len(measured.value)), measured.sigma, 0.0)
