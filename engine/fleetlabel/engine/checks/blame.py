"""Which sensor is to blame for what pairs of sensors say: a camera, or the lidar that all cameras disagree with.

Every camera is measured against every lidar. What most of the cameras agree on is the lidar's; what is left is the
camera's. With fewer than three cameras there is no majority, and the camera is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64

_LEAST_CAMERAS = 3
_MOST = 0.6  # of the cameras must agree


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one camera says against one lidar.

    Attributes:
        value: (D,) in axes that all cameras share.
        sigma: (D,) how sure it is.
        clearer: how sure it is that the pictures fit better so, in standard deviations.
    """

    value: F64
    sigma: F64
    clearer: float


@dataclass(frozen=True, slots=True, eq=False)
class Blamed:
    """Whose it is.

    Attributes:
        of_lidar: lidar -> what most cameras see, the other way round: what is the lidar's.
        of_camera: camera -> what is left of what it says.
    """

    of_lidar: Mapping[str, Measured]
    of_camera: Mapping[str, Measured]


def blame(measured: Mapping[tuple[str, str], Measured], least: float) -> Blamed:
    """Shares what pairs (camera, lidar) say.

    Args:
        least: a lidar is blamed for no less than this, in length.
    """
    of_lidar = {}
    for lidar in sorted({lidar for _, lidar in measured}):
        common = _common([one for (_, other), one in measured.items() if other == lidar], least)
        if common is not None:
            of_lidar[lidar] = common
    left: dict[str, list[Measured]] = {}
    for (camera, lidar), one in measured.items():
        common = of_lidar.get(lidar)
        rest = one.value if common is None else one.value + common.value
        left.setdefault(camera, []).append(Measured(rest, one.sigma, one.clearer))
    surest = {camera: min(every, key=lambda one: float(one.sigma.sum())) for camera, every in left.items()}
    return Blamed(of_lidar, surest)


def _common(every: list[Measured], least: float) -> Measured | None:
    """What most cameras say, the other way round, if it is of a size; None if they do not agree."""
    if len(every) < _LEAST_CAMERAS:
        return None
    values = np.stack([one.value for one in every])
    weights = 1.0 / np.stack([one.sigma for one in every]) ** 2
    middle = np.median(values, axis=0)
    if float(np.linalg.norm(middle)) < 0.6 * least:
        return None
    agree = np.linalg.norm(values - middle, axis=1) < np.maximum(
        0.5 * np.linalg.norm(middle), 3.0 * np.linalg.norm([one.sigma for one in every], axis=1)
    )
    # Those that say as little as a good camera would are no witnesses.
    agree &= np.linalg.norm(values, axis=1) > 0.4 * least
    if agree.mean() < _MOST:
        return None
    total = np.sum(weights[agree], axis=0)
    common = -np.sum((values * weights)[agree], axis=0) / total
    clearer = float(np.median([one.clearer for one, witness in zip(every, agree, strict=True) if witness]))
    return Measured(common, 1.0 / np.sqrt(total), clearer) if float(np.linalg.norm(common)) >= least else None
