"""Which candidate each detection takes, and which detections saw the same object.

Detections of one picture compete: an object that a surer detection has taken is unlikely to be what another box of
the same picture shows, so that one takes its second choice (a row of parked cars seen along the street).
"""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.lift import objects
from fleetlabel.engine.lift.frustum import Frusta
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.iou import BEV, iou_2d_pair, overlap_pair

CREDIT_WEIGHT = 8.0
EDGE_SIGMA = 0.10  # how exactly detectors draw upper and lower edges, in heights of the box
EDGE_CAP = 9.0
CLAIM_COST = 30.0
SAME_OBJECT_IOU = 0.3  # seen from above, between candidates of one picture
SAME_BOX_IOU = 0.6  # two boxes this alike in one picture are one object detected twice


def choose(candidates: F64, frusta: Frusta, group: I64) -> tuple[F64, F64]:
    """The chosen rows (D, N_COLUMNS) of the candidates (D, K, N_COLUMNS), and what speaks against each, (D,).

    Args:
        group: (D,) only detections of one group compete.
    """
    if not len(frusta):
        return np.empty((0, objects.N_COLUMNS)), np.empty(0)
    off = candidates[..., [objects.OFF_TOP, objects.OFF_BOTTOM]] / EDGE_SIGMA
    total = (
        candidates[..., objects.COST]
        - CREDIT_WEIGHT * np.log(np.maximum(candidates[..., objects.CREDIT], 1e-6))
        + np.minimum(off * off, EDGE_CAP).sum(axis=-1)
    )
    total = np.where(candidates[..., objects.POINTS] > 0, total, np.inf)
    order = np.argsort(-frusta.score, kind="stable")
    chosen = _choose(total, as_boxes(candidates), frusta.view, group, frusta.xyxy_px, order)
    rows = np.arange(len(frusta))
    return candidates[rows, chosen], total[rows, chosen]


def as_boxes(rows: F64) -> F64:
    """Boxes (..., 7: x y z length width height yaw) of result rows (..., N_COLUMNS), all at z 0 and of height 1."""
    boxes = np.zeros((*rows.shape[:-1], 7))
    boxes[..., [0, 1, 3, 4, 6]] = rows[
        ..., [objects.X, objects.Y, objects.LENGTH, objects.WIDTH, objects.YAW]
    ]
    boxes[..., 5] = 1.0
    return boxes


@kernel
def _choose(total: F64, boxes: F64, view: I64, group: I64, xyxy: F64, order: I64) -> I64:
    n, n_candidates = total.shape
    chosen = np.zeros(n, dtype=np.int64)
    scratch = np.empty((4, 16, 2))
    for position in range(n):
        a = order[position]
        best = np.inf
        for k in range(n_candidates):
            value = total[a, k]
            if not value < best:
                continue
            for earlier in range(position):
                b = order[earlier]
                if view[a] != view[b] or group[a] != group[b] or not np.isfinite(total[b, chosen[b]]):
                    continue
                if (
                    iou_2d_pair(
                        xyxy[a, 0],
                        xyxy[a, 1],
                        xyxy[a, 2],
                        xyxy[a, 3],
                        xyxy[b, 0],
                        xyxy[b, 1],
                        xyxy[b, 2],
                        xyxy[b, 3],
                    )
                    > SAME_BOX_IOU
                ):
                    continue
                if overlap_pair(boxes[a, k], boxes[b, chosen[b]], BEV, scratch) > SAME_OBJECT_IOU:
                    value += CLAIM_COST
            if value < best:
                best = value
                chosen[a] = k
    return chosen
