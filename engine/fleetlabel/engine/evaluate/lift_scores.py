"""How well detections were lifted: of true objects that a 2D detection found, where their cuboids came to
lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.evaluate.boxes3d import (
    MATCH_M,
    Predicted3D,
    predicted3d,
    score_3d,
    yaw_error_deg,
)
from fleetlabel.engine.evaluate.truth import MIN_HEIGHT_PX, Truth, View, our_names
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore
from fleetlabel.store.runs import open_run
from fleetlabel.trackers.metrics import greedy_matches, pairs_by_iou_2d, pairs_within

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """True objects that a detection found, one row per object and frame.

    Attributes:
        truth: (K,) row of the truth.
        cuboid: (K,) row of the object's cuboid, -1 for none.
        predicted: all lifted cuboids.
    """

    truth: I64
    cuboid: I64
    predicted: Predicted3D


def load_lifted(store: SequenceStore, version: str, truth: Truth) -> Lifted | None:
    """Follows detections of a version's run into its lift; None if the version was not made by lifting."""
    runs = store.labels(version).provenance.get("runs", {})
    if "lift" not in runs or "detect" not in runs:
        return None
    lift = store.table(open_run(store, "lift", runs["lift"]).table_path("all"))
    if "cameras" not in lift.attributes:
        return None  # imported 3D detections come from no picture
    detect = open_run(store, "detect", runs["detect"])
    boxes = store.read_boxes(lift.path, Boxes3D)
    made_from = lift.read(columns=("detection_by_camera",)).flat["detection_by_camera"]
    found = []
    for column, camera in enumerate(lift.attributes["cameras"]):
        if camera in truth.views:
            detections = store.read_boxes(detect.table_path(camera), Boxes2D)
            found.append(
                _follow(detections, truth.views[camera], boxes, made_from[:, column], store.info.n_frames)
            )
    if not found:
        return None
    object_row, cuboid, overlap = (np.concatenate(columns) for columns in zip(*found, strict=True))
    # One row per object: the view that fits best, and a cuboid before none.
    order = np.lexsort((-overlap, cuboid < 0, object_row))
    first = np.unique(object_row[order], return_index=True)[1]
    row, own = object_row[order][first], cuboid[order][first]
    predicted = predicted3d(store, boxes, tuple(truth.views))
    return Lifted(row, np.where(own >= 0, own, _nearest(truth, row, predicted)), predicted)


def score_lift(truth: Truth, lifted: Lifted, cls: str, range_m: tuple[float, float]) -> dict[str, float]:
    """Shares of the found objects of a class in a range: lifted at all, within 1 m, within 0.5 m; and yaw
    errors.
    """
    distance = truth.range_m[lifted.truth]
    wanted = (truth.name[lifted.truth] == cls) & truth.visible[lifted.truth]
    wanted &= (distance >= range_m[0]) & (distance < range_m[1])
    row, cuboid = lifted.truth[wanted], lifted.cuboid[wanted]
    there = cuboid >= 0
    scores: dict[str, float] = {"found": len(row)}
    if not len(row):
        return scores
    error = np.full(len(row), np.inf)
    offset = truth.boxes.center_m[row[there]] - lifted.predicted.boxes.center_m[cuboid[there]]
    error[there] = np.linalg.norm(offset[:, :2], axis=1)
    angle = yaw_error_deg(truth.boxes.q_wxyz[row[there]], lifted.predicted.boxes.q_wxyz[cuboid[there]])
    untracked = score_3d(truth, lifted.predicted, cls, range_m)
    return scores | {
        "lifted": float(np.mean(there)),
        "within_1m": float(np.mean(error <= 1.0)),
        "within_0.5m": float(np.mean(error <= 0.5)),
        "yaw_median_deg": float(np.median(angle)) if len(angle) else np.nan,
        "yaw_p90_deg": float(np.percentile(angle, 90)) if len(angle) else np.nan,
        "yaw_under_8deg": float(np.mean(angle < 8.0)) if len(angle) else np.nan,
        **{name: untracked[name] for name in ("ap_2m", "recall", "recall_at_p0.75")},
    }


def _nearest(truth: Truth, row: I64, predicted: Predicted3D) -> I64:
    """Nearest cuboid (K,) of the same class and frame within 2 m of each true object, -1 none."""
    true, said = truth.boxes, predicted.boxes
    pairs = pairs_within(true.frame, true.center_m[:, :2], said.frame, said.center_m[:, :2], MATCH_M)
    pairs = pairs.take(truth.name[pairs.truth] == predicted.name[pairs.prediction])
    farthest_first = np.argsort(pairs.similarity, kind="stable")
    nearest = np.full(len(true), -1, dtype=np.int64)
    nearest[pairs.truth[farthest_first]] = pairs.prediction[farthest_first]
    return nearest[row]


def _follow(
    detections: Boxes2D, view: View, boxes: Boxes3D, made_from: AnyArray, n_frames: int
) -> tuple[I64, I64, F64]:
    """Truth rows that this camera's detections found, cuboids those were lifted to, -1 none, and the
    overlaps.

    A found object has a row for each detection that covers it: of those in one picture a lift keeps the best.
    """
    pairs = pairs_by_iou_2d(view.frame, view.xyxy_px, detections.frame, detections.xyxy_px)
    tall = (view.height_px >= MIN_HEIGHT_PX) & (view.cuboid >= 0)
    same = view.name[pairs.truth] == our_names(detections)[pairs.prediction]
    pairs = pairs.take((pairs.similarity >= MATCH_IOU) & tall[pairs.truth] & same)
    found = np.zeros(len(view.frame), dtype=np.bool_)
    taken = greedy_matches(pairs, detections.score.astype(np.float64), len(view.frame))
    found[taken[taken >= 0]] = True
    pairs = pairs.take(found[pairs.truth])
    cuboid = _lifted_to(detections, boxes, made_from, n_frames)[pairs.prediction]
    return view.cuboid[pairs.truth], cuboid, pairs.similarity


def _lifted_to(detections: Boxes2D, boxes: Boxes3D, made_from: AnyArray, n_frames: int) -> I64:
    """Row of the cuboid (P,) that each detection was lifted to, -1 for none.

    Args:
        made_from: for each cuboid, the row within its frame of this camera's detection, -1 none.
    """
    ptr = detections.frame_ptr(n_frames)
    source = np.flatnonzero(made_from >= 0)
    cuboid = np.full(len(detections), -1, dtype=np.int64)
    cuboid[ptr[boxes.frame[source]] + made_from[source]] = source
    return cuboid
