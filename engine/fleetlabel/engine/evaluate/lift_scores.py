"""How well detections were lifted: of true objects that a 2D detection found, where their cuboids came to
lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.evaluate.boxes3d import yaw_error_deg
from fleetlabel.engine.evaluate.truth import MIN_HEIGHT_PX, Truth, View, our_names
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore
from fleetlabel.store.runs import open_run
from fleetlabel.trackers.metrics import greedy_matches, pairs_by_iou_2d

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """True objects that a detection found, one row per object and frame.

    Attributes:
        truth: (K,) row of the truth.
        cuboid: (K,) row of ``boxes`` that its best detection was lifted to, -1 if to none.
        boxes: all lifted cuboids.
    """

    truth: I64
    cuboid: I64
    boxes: Boxes3D


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
    return Lifted(object_row[order][first], cuboid[order][first], boxes)


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
    offset = truth.boxes.center_m[row[there]] - lifted.boxes.center_m[cuboid[there]]
    error[there] = np.linalg.norm(offset[:, :2], axis=1)
    angle = yaw_error_deg(truth.boxes.q_wxyz[row[there]], lifted.boxes.q_wxyz[cuboid[there]])
    return scores | {
        "lifted": float(np.mean(there)),
        "within_1m": float(np.mean(error <= 1.0)),
        "within_0.5m": float(np.mean(error <= 0.5)),
        "yaw_median_deg": float(np.median(angle)) if len(angle) else np.nan,
        "yaw_p90_deg": float(np.percentile(angle, 90)) if len(angle) else np.nan,
        "yaw_under_8deg": float(np.mean(angle < 8.0)) if len(angle) else np.nan,
    }


def _follow(
    detections: Boxes2D, view: View, boxes: Boxes3D, made_from: AnyArray, n_frames: int
) -> tuple[I64, I64, F64]:
    """Truth rows that a detection of this camera found, the cuboids those were lifted to, and the
    overlaps.
    """
    taken, overlap = _found_by(detections, view)
    hit = (
        np.flatnonzero((taken >= 0) & (view.cuboid[taken] >= 0)) if len(view.frame) else np.empty(0, np.int64)
    )
    # A detection is named by its row within its frame.
    ptr = detections.frame_ptr(n_frames)
    stride = int(np.diff(ptr).max(initial=0)) + 1
    key = detections.frame[hit].astype(np.int64) * stride + (hit - ptr[detections.frame[hit]])
    source = np.flatnonzero(made_from >= 0)
    keys = boxes.frame[source].astype(np.int64) * stride + made_from[source]
    order = np.argsort(keys, kind="stable")
    cuboid = np.full(len(hit), -1, dtype=np.int64)
    if len(keys):
        place = np.minimum(np.searchsorted(keys[order], key), len(keys) - 1)
        same = keys[order][place] == key
        cuboid[same] = source[order][place[same]]
    return view.cuboid[taken[hit]], cuboid, overlap[hit]


def _found_by(detections: Boxes2D, view: View) -> tuple[I64, F64]:
    """Row of the view (P,) that each detection takes, -1 none, and their overlap: greedy, same class, IoU
    >= 0.5.
    """
    pairs = pairs_by_iou_2d(view.frame, view.xyxy_px, detections.frame, detections.xyxy_px)
    tall = view.height_px[pairs.truth] >= MIN_HEIGHT_PX
    same = view.name[pairs.truth] == our_names(detections)[pairs.prediction]
    pairs = pairs.take((pairs.similarity >= MATCH_IOU) & tall & same)
    taken = greedy_matches(pairs, detections.score.astype(np.float64), len(view.frame))
    overlap = np.zeros(len(detections))
    chosen = taken[pairs.prediction] == pairs.truth
    overlap[pairs.prediction[chosen]] = pairs.similarity[chosen]
    return taken, overlap
