"""Typical sizes of road users, by class: what completes an object of which the lidar sees one corner.

Sizes are typical outer dimensions, from public sources and rounded: the class means that nuScenes, KITTI and the Waymo
Open Dataset publish for their labels, and manufacturers' dimensions (a compact car is 4.0 x 1.75 x 1.45 m, a large SUV
5.2 x 2.05 x 1.9 m; city buses 11-12.5 x 2.55 x 3.2 m, and 18 m articulated). They are fitted to no drive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fleetlabel.geometry.arrays import F64, I64

VEHICLE, CYCLE, PERSON = 0, 1, 2


@dataclass(frozen=True, slots=True)
class SizePrior:
    """Distribution of a class's outer dimensions.

    Attributes:
        size_lwh_m: mean length, width, height.
        sigma_lwh_m: standard deviations.
        min_lwh_m, max_lwh_m: hard limits.
        group: classes of one group compete for one object (a pickup is a car to one picture and a truck to another).
        axial: whether the points show an orientation (vehicles) or only a place (people).
    """

    size_lwh_m: tuple[float, float, float]
    sigma_lwh_m: tuple[float, float, float]
    min_lwh_m: tuple[float, float, float]
    max_lwh_m: tuple[float, float, float]
    group: int
    axial: bool


PRIORS: Mapping[str, SizePrior] = MappingProxyType(
    {
        "car": SizePrior(
            (4.55, 1.88, 1.62), (0.35, 0.11, 0.16), (3.0, 1.5, 1.25), (5.6, 2.25, 2.3), VEHICLE, True
        ),
        "truck": SizePrior(
            (6.0, 2.1, 2.2), (1.3, 0.25, 0.6), (4.2, 1.7, 1.5), (13.0, 2.9, 4.2), VEHICLE, True
        ),
        "bus": SizePrior(
            (11.5, 2.75, 3.2), (2.0, 0.2, 0.3), (5.5, 2.0, 2.2), (19.0, 3.2, 4.4), VEHICLE, True
        ),
        "trailer": SizePrior(
            (8.0, 2.4, 3.0), (3.0, 0.4, 0.8), (2.0, 1.3, 1.0), (16.5, 3.0, 4.4), VEHICLE, True
        ),
        "construction_vehicle": SizePrior(
            (6.0, 2.5, 3.0), (1.5, 0.4, 0.6), (2.5, 1.2, 1.5), (13.0, 3.6, 4.5), VEHICLE, True
        ),
        "train": SizePrior(
            (20.0, 2.7, 3.6), (6.0, 0.3, 0.4), (8.0, 2.2, 2.8), (45.0, 3.3, 4.8), VEHICLE, True
        ),
        "motorcycle": SizePrior(
            (2.1, 0.8, 1.5), (0.25, 0.12, 0.2), (1.4, 0.5, 1.0), (2.8, 1.2, 2.0), CYCLE, True
        ),
        "bicycle": SizePrior(
            (1.75, 0.65, 1.5), (0.15, 0.1, 0.25), (1.2, 0.4, 0.9), (2.2, 1.0, 2.0), CYCLE, True
        ),
        "pedestrian": SizePrior(
            (0.75, 0.68, 1.72), (0.15, 0.12, 0.15), (0.4, 0.4, 0.9), (1.2, 1.0, 2.1), PERSON, False
        ),
        "animal": SizePrior(
            (0.8, 0.4, 0.6), (0.4, 0.15, 0.3), (0.3, 0.2, 0.2), (2.5, 1.0, 1.8), PERSON, False
        ),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class PriorTable:
    """Priors of the classes in use, as arrays for the kernels.

    Attributes:
        row: (n_class_names,) int64 row of the table for every class, -1 where the class is not lifted.
        mean_m, sigma_m, min_m, max_m: (K, 3) length, width, height.
        group: (K,) int64.
        axial: (K,) float64 1 where the points show an orientation.
    """

    row: I64
    mean_m: F64
    sigma_m: F64
    min_m: F64
    max_m: F64
    group: I64
    axial: F64


def prior_table(class_names: Sequence[str], priors: Mapping[str, SizePrior] = PRIORS) -> PriorTable:
    """The priors of those of ``class_names`` that have one; a class without one is not lifted."""
    names = [name for name in priors if name in class_names]
    rows = [priors[name] for name in names]
    index = np.array([names.index(name) if name in names else -1 for name in class_names], dtype=np.int64)
    return PriorTable(
        row=index,
        mean_m=np.array([row.size_lwh_m for row in rows], dtype=np.float64).reshape(-1, 3),
        sigma_m=np.array([row.sigma_lwh_m for row in rows], dtype=np.float64).reshape(-1, 3),
        min_m=np.array([row.min_lwh_m for row in rows], dtype=np.float64).reshape(-1, 3),
        max_m=np.array([row.max_lwh_m for row in rows], dtype=np.float64).reshape(-1, 3),
        group=np.array([row.group for row in rows], dtype=np.int64),
        axial=np.array([row.axial for row in rows], dtype=np.float64),
    )
