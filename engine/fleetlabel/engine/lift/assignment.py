"""What speaks against taking an object for what a detection shows.

Detections of one picture compete: an object that a surer detection has taken is unlikely to be what another box of
the same picture shows, so that one takes its second choice (a row of parked cars seen along the street).
"""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.lift.columns import (
    COST,
    CREDIT,
    LENGTH,
    OFF_BOTTOM,
    OFF_TOP,
    WIDTH,
    YAW,
    X,
    Y,
)
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.iou import BEV, iou_2d_pair, overlap_pair

CREDIT_WEIGHT = 8.0
EDGE_SIGMA = 0.10  # how exactly detectors draw upper and lower edges, in heights of the box
EDGE_CAP = 9.0
CLAIM_COST = 30.0
SAME_OBJECT_IOU = 0.3  # seen from above, between objects that detections of one picture take
SAME_BOX_IOU = 0.6  # two boxes this alike in one picture are one object detected twice
USUAL_COST = 25.0  # what even good fits cost


@kernel
def objection(row: F64) -> float:
    """What speaks against an object (N_COLUMNS,): points, size and silhouette, the cluster, upper and lower edge."""
    top, bottom = row[OFF_TOP] / EDGE_SIGMA, row[OFF_BOTTOM] / EDGE_SIGMA
    edges = min(top * top, EDGE_CAP) + min(bottom * bottom, EDGE_CAP)
    total: float = row[COST] + edges - CREDIT_WEIGHT * np.log(max(row[CREDIT], 1e-6))
    return total


@kernel
def least_objection(credit: float) -> float:
    """What will speak against an object of a cluster of this credit however well a cuboid fits."""
    least: float = USUAL_COST - CREDIT_WEIGHT * np.log(max(credit, 1e-6))
    return least


@kernel
def claims(
    row: F64, d: int, taken: F64, earlier: I64, view: I64, group: I64, xyxy: F64, scratch: F64
) -> float:
    """What speaks against an object for detection ``d`` because surer ones of the same picture took it.

    Args:
        row: (N_COLUMNS,) the object.
        taken: (D, N_COLUMNS) objects that the detections ``earlier`` took.
        view, group, xyxy: of all detections.
        scratch: (4, 16, 2) for the overlap kernel.
    """
    cost = 0.0
    for e in earlier:
        if view[e] != view[d] or group[e] != group[d] or not np.isfinite(taken[e, COST]):
            continue
        reach = row[LENGTH] + taken[e, LENGTH]
        if abs(row[X] - taken[e, X]) > reach or abs(row[Y] - taken[e, Y]) > reach:
            continue
        a, b = xyxy[d], xyxy[e]
        if iou_2d_pair(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]) > SAME_BOX_IOU:
            continue
        if overlap_pair(_box(row), _box(taken[e]), BEV, scratch) > SAME_OBJECT_IOU:
            cost += CLAIM_COST
    return cost


@kernel
def _box(row: F64) -> F64:
    """Box (7,: x y z length width height yaw) of an object, at z 0 and of height 1."""
    return np.array([row[X], row[Y], 0.0, row[LENGTH], row[WIDTH], 1.0, row[YAW]])


@kernel
def as_boxes(rows: F64) -> F64:
    """Boxes (N, 7: x y z length width height yaw) of objects (N, N_COLUMNS), at z 0 and of height 1."""
    boxes = np.empty((len(rows), 7))
    for k in range(len(rows)):
        boxes[k] = _box(rows[k])
    return boxes
