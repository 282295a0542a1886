"""Cuboids: corners, containment. Box axes are x forward (length), y left (width), z up (height), centred."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64, Bool

# Corner i of a unit box: the bottom face anticlockwise seen from above, starting front left, then the top face.
UNIT_CORNERS: F64 = 0.5 * np.array(
    [[1, 1, -1], [-1, 1, -1], [-1, -1, -1], [1, -1, -1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1], [1, -1, 1]],
    dtype=np.float64,
)

# Pairs of corners that share an edge: bottom, top, uprights.
EDGES: tuple[tuple[int, int], ...] = (
    *((0, 1), (1, 2), (2, 3), (3, 0)),
    *((4, 5), (5, 6), (6, 7), (7, 4)),
    *((0, 4), (1, 5), (2, 6), (3, 7)),
)


def corners(center_m: F64, size_lwh_m: F64, q_wxyz: F64) -> F64:
    """Corners (N, 8, 3) of cuboids, in the frame of their centres, in the order of :data:`UNIT_CORNERS`."""
    local = UNIT_CORNERS * np.asarray(size_lwh_m, dtype=np.float64)[..., None, :]
    rotated: F64 = np.einsum("...ij,...cj->...ci", quaternion.to_matrix(q_wxyz), local)
    return rotated + np.asarray(center_m, dtype=np.float64)[..., None, :]


def points_in_box(points_m: F64, center_m: F64, size_lwh_m: F64, q_wxyz: F64, margin_m: float = 0.0) -> Bool:
    """Which points (P, 3) lie in one cuboid grown by ``margin_m`` on every side, (P,); none that is not finite."""
    with np.errstate(invalid="ignore"):  # infinity times zero
        local = (points_m - center_m) @ quaternion.to_matrix(q_wxyz)
    inside: Bool = np.all(np.abs(local) <= 0.5 * np.asarray(size_lwh_m) + margin_m, axis=-1)
    return inside


def count_points_in_boxes(
    points_m: F64, center_m: F64, size_lwh_m: F64, q_wxyz: F64, margin_m: float = 0.0
) -> I64:
    """Number of points (P, 3) inside each of N cuboids, (N,) int64. Points that are not finite count nowhere."""
    counts = np.zeros(len(center_m), dtype=np.int64)
    if not len(points_m) or not len(center_m):
        return counts
    # Sorted by x, a box's candidates are one slice: each box looks at its neighbourhood, not at the whole sweep.
    finite = points_m[np.all(np.isfinite(points_m), axis=1)]
    by_x = finite[np.argsort(finite[:, 0], kind="stable")]
    reach = 0.5 * np.linalg.norm(size_lwh_m, axis=1) + 2 * margin_m
    low = np.searchsorted(by_x[:, 0], center_m[:, 0] - reach, side="left")
    high = np.searchsorted(by_x[:, 0], center_m[:, 0] + reach, side="right")
    for row in range(len(center_m)):
        near = by_x[low[row] : high[row]]
        near = near[np.abs(near[:, 1] - center_m[row, 1]) <= reach[row]]
        counts[row] = np.count_nonzero(
            points_in_box(near, center_m[row], size_lwh_m[row], q_wxyz[row], margin_m)
        )
    return counts
