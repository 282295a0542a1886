"""Boxes in pictures against true ones: recall and precision at IoU 0.5, and tracking, over all cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.evaluate.truth import MIN_HEIGHT_PX, Truth, View, our_names
from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.store import SequenceStore
from fleetlabel.trackers.metrics import (
    Ignorable,
    Sequence,
    clear,
    detection_curve,
    drop_ignored,
    hota,
    identity,
    mostly_inside,
    pairs_by_iou_2d,
)

MATCH_IOU = 0.5
PRECISION = 0.75
# From this share on an object counts as not hidden.
UNHIDDEN = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Truth and predictions of all cameras, one after the other: frame numbers and identities are told apart.

    Attributes:
        frame, track_id, name, xyxy_px: truth, (M,), (M,), (M,), (M, 4).
        visible: (M,) whether the object is tall enough in this picture and has enough lidar points.
        range_m: (M,) of its cuboid, NaN where there is none.
        unhidden: (M,) share that nearer objects do not hide.
        said_frame, said_id, said_name, said_xyxy_px, score: predictions, (P, ...).
        said_ignorable: (P,) too small, or mostly in an ignore region.
        tracked: whether all predictions have an identity.
    """

    frame: I64
    track_id: I64
    name: AnyArray
    xyxy_px: F64
    visible: Bool
    range_m: F64
    unhidden: F64
    said_frame: I64
    said_id: I64
    said_name: AnyArray
    said_xyxy_px: F64
    score: F64
    said_ignorable: Bool
    tracked: bool


def load_pictures(store: SequenceStore, version: str, truth: Truth) -> Pictures | None:
    """Truth and predictions of the cameras that have both; None if there is no such camera."""
    cameras = [camera for camera in store.labels(version).cameras if camera in truth.views]
    if not cameras:
        return None
    views = [truth.views[camera] for camera in cameras]
    said = [store.labels2d(version, camera) for camera in cameras]
    said = [boxes.take(~boxes.ignore & truth.labelled[boxes.frame]) for boxes in said]
    n_frames = store.info.n_frames
    ids = [*(view.track_id for view in views), *(boxes.track_id for boxes in said)]
    n_ids = 2 + max(int(column.max(initial=0)) for column in ids)
    frames, said_frames = (
        _apart([v.frame for v in views], n_frames),
        _apart([b.frame for b in said], n_frames),
    )
    score = np.concatenate([boxes.score for boxes in said]).astype(np.float64)
    return Pictures(
        frame=frames,
        track_id=_apart([v.track_id for v in views], n_ids),
        name=np.concatenate([v.name for v in views]),
        xyxy_px=np.concatenate([v.xyxy_px for v in views]),
        visible=np.concatenate([_visible(v, truth) for v in views]),
        range_m=np.concatenate([_range(v, truth) for v in views]),
        unhidden=np.concatenate([v.unhidden for v in views]),
        said_frame=said_frames,
        said_id=_apart([b.track_id for b in said], n_ids),
        said_name=np.concatenate([our_names(b) for b in said]),
        said_xyxy_px=np.concatenate([b.xyxy_px for b in said]),
        score=score,
        said_ignorable=np.concatenate([_ignorable(b, v) for b, v in zip(said, views, strict=True)]),
        tracked=all(bool((boxes.track_id >= 0).all()) for boxes in said),
    )


def score_2d(pictures: Pictures, cls: str, range_m: tuple[float, float]) -> dict[str, float]:
    """Scores of one class; ``range_m`` limits truth by the distance of its cuboid.

    Unmatched predictions have no known range: they count as false at every range that begins at 0 and are
        left out
    at the others, where only recall is told.
    """
    mine, theirs = pictures.name == cls, pictures.said_name == cls
    inside = np.isnan(pictures.range_m) | (pictures.range_m >= range_m[0]) & (pictures.range_m < range_m[1])
    ignorable = Ignorable(~(pictures.visible & inside)[mine], pictures.said_ignorable[theirs])
    frame, said_frame = pictures.frame[mine], pictures.said_frame[theirs]
    pairs = pairs_by_iou_2d(frame, pictures.xyxy_px[mine], said_frame, pictures.said_xyxy_px[theirs])
    close = pairs.take(pairs.similarity >= MATCH_IOU)
    curve = detection_curve(close, pictures.score[theirs], ignorable)
    recall, precision = curve.at(-np.inf)
    scores: dict[str, float] = {"truth": curve.n_truth, "recall": recall}
    hidden = Ignorable(ignorable.truth | (pictures.unhidden[mine] < UNHIDDEN), ignorable.prediction)
    scores["recall_unhidden"] = detection_curve(close, pictures.score[theirs], hidden).at(-np.inf)[0]
    if range_m[0] > 0:
        return scores
    scores |= {"precision": precision, "ap_50": curve.interpolated_precision()}
    scores |= {f"recall_at_p{PRECISION:g}": curve.best_recall(PRECISION)[0]}
    if not pictures.tracked:
        return scores
    sequence = Sequence(frame, pictures.track_id[mine], said_frame, pictures.said_id[theirs], pairs)
    sequence = drop_ignored(sequence, ignorable, MATCH_IOU)
    moved = clear(sequence)
    return scores | {
        "hota": hota(sequence).scores()["hota"],
        "mota": moved.mota,
        "idf1": identity(sequence).idf1,
        "idsw": moved.idsw,
        "frag": moved.frag,
    }


def _apart(columns: list[AnyArray], stride: int) -> I64:
    """Columns one after the other, the k-th raised by k strides."""
    return np.concatenate([column.astype(np.int64) + k * stride for k, column in enumerate(columns)])


def _visible(view: View, truth: Truth) -> Bool:
    """A picture's own height decides; lidar points where the box has a cuboid."""
    joined = view.cuboid >= 0
    points = np.ones(len(joined), dtype=np.bool_)
    points[joined] = truth.enough_points[view.cuboid[joined]]
    return points & (view.height_px >= MIN_HEIGHT_PX)


def _range(view: View, truth: Truth) -> F64:
    joined = view.cuboid >= 0
    range_m = np.full(len(joined), np.nan)
    range_m[joined] = truth.range_m[view.cuboid[joined]]
    return range_m


def _ignorable(boxes: Boxes2D, view: View) -> Bool:
    small = boxes.xyxy_px[:, 3] - boxes.xyxy_px[:, 1] < MIN_HEIGHT_PX
    return small | mostly_inside(boxes.frame, boxes.xyxy_px, view.region_frame, view.region_xyxy)
