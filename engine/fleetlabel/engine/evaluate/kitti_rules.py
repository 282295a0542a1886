"""KITTI's rules: the numbers that TrackEval and AB3DMOT give for an exported folder.

2D: TrackEval's Kitti2DBox (distractor classes, DontCare regions, truncation, occlusion, least height),
    similarity is
2D IoU. 3D: AB3DMOT's matching by 3D IoU with the same ignore rules; HOTA, CLEAR and identity of cuboids
use the 3D IoU as similarity, 0.25 as threshold, and leave out what matches ignored truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.evaluate.report import Scores
from fleetlabel.engine.evaluate.truth import labelled_frames
from fleetlabel.engine.exchange.kitti_rows import KittiRows, kitti_rows
from fleetlabel.engine.exchange.labels import StoredLabels
from fleetlabel.engine.ingest.kitti_labels import DONT_CARE
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.trackers.metrics import (
    KITTI_DISTRACTORS,
    Ignorable,
    Pairs,
    ScoredSequence,
    Sequence,
    amota,
    clear,
    drop_ignored,
    hota,
    identity,
    kitti_ignorable,
    pairs_by_iou_2d,
    pairs_by_iou_3d,
)

CLASSES = ("Car", "Pedestrian")
IOU_3D_THRESHOLDS = (0.25, 0.5, 0.7)
_ANYWHERE = (0.0, np.inf)
STATEMENT = (
    "KITTI tracking rules: Van (for Car) and Person (for Pedestrian), truncated objects and those with occlusion above "
    "2 are ignored, and so is what matches them (IoU >= 0.5 in 2D).",
    "Unmatched predictions of at most 25 px height, or by more than half inside a DontCare region, do not count.",
    "2D: HOTA over IoU 0.05-0.95, CLEAR and identity at IoU 0.5, as TrackEval. 3D: the same with 3D IoU and threshold "
    "0.25; sAMOTA, AMOTA and AMOTP as AB3DMOT.",
)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Truth of a class with its distractors, predictions of the class, and what to ignore."""

    truth: KittiRows
    prediction: KittiRows
    ignorable: Ignorable

    def sequence(self, pairs: Pairs) -> Sequence:
        return Sequence(
            self.truth.frame, self.truth.track_id, self.prediction.frame, self.prediction.track_id, pairs
        )


def score_store(store: SequenceStore, version: str, ground_truth: str) -> Mapping[str, tuple[Scores, ...]]:
    """Scores in every camera that the ground truth labels, by section.

    Raises:
        UsageError: the ground truth has no 2D boxes.
    """
    cameras = store.labels(ground_truth).cameras
    if not cameras:
        raise UsageError(
            f"{ground_truth} of {store.root} has no 2D boxes, which KITTI's rules need; evaluate with --rules visible"
        )
    sections: dict[str, tuple[Scores, ...]] = {}
    labelled = labelled_frames(store, ground_truth)
    for camera in cameras:
        truth = kitti_rows(StoredLabels(store, ground_truth), camera)
        prediction = kitti_rows(StoredLabels(store, version), camera)
        prediction = prediction.take(
            labelled[prediction.frame]
        )  # of other frames nobody knows what is in them
        named = f" {camera}" if len(cameras) > 1 else ""
        sections[f"2D{named}"] = _rows({cls: score_2d(truth, prediction, cls) for cls in CLASSES})
        sections[f"3D{named}"] = _rows({cls: score_3d(truth, prediction, cls) for cls in CLASSES})
    return sections


def score_2d(truth: KittiRows, prediction: KittiRows, cls: str) -> dict[str, float]:
    """HOTA, CLEAR and identity scores of boxes in the picture; empty if the class does not occur."""
    compared = _compare(truth, prediction, cls)
    if not len(compared.truth) and not len(compared.prediction):
        return {}
    pairs = pairs_by_iou_2d(
        compared.truth.frame, compared.truth.xyxy_px, compared.prediction.frame, compared.prediction.xyxy_px
    )
    return _tracking(drop_ignored(compared.sequence(pairs), compared.ignorable), 0.5)


def score_3d(truth: KittiRows, prediction: KittiRows, cls: str) -> dict[str, float]:
    """HOTA, CLEAR, identity and AMOTA scores of cuboids; empty if either side has none."""
    truth, prediction = truth.take(truth.solid | (truth.name == DONT_CARE)), prediction.take(prediction.solid)
    compared = _compare(truth, prediction, cls)
    if not len(compared.truth) or not len(compared.prediction):
        return {}
    pairs = pairs_by_iou_3d(
        compared.truth.frame, upright(compared.truth), compared.prediction.frame, upright(compared.prediction)
    )
    sequence = compared.sequence(pairs)
    lowest = IOU_3D_THRESHOLDS[0]
    scores = _tracking(drop_ignored(sequence, compared.ignorable, lowest), lowest)
    scored = ScoredSequence(sequence, compared.ignorable, compared.prediction.score)
    for threshold in IOU_3D_THRESHOLDS:
        average = amota([scored], threshold)
        for name in ("samota", "amota", "amotp"):
            scores[f"{name}_{threshold:g}"] = getattr(average, name)
    return scores


def upright(rows: KittiRows) -> F64:
    """Cuboids (N, 7) x y z length width height yaw with z up: x forward, y left of the rectified camera."""
    x, y, z = rows.location_m.T
    height, width, length = rows.hwl_m.T
    return np.stack([z, -x, height / 2 - y, length, width, height, -rows.rotation_y - np.pi / 2], axis=1)


def _compare(truth: KittiRows, prediction: KittiRows, cls: str) -> _Compared:
    regions = truth.take(truth.name == DONT_CARE)
    names = (cls, *KITTI_DISTRACTORS.get(cls, ()))
    mine = truth.take(np.isin(truth.name, names) & (truth.track_id >= 0))
    theirs = prediction.take((prediction.name == cls) & (prediction.track_id >= 0))
    ignorable = kitti_ignorable(
        cls,
        truth_class=mine.name,
        truncation=mine.truncation_grade,
        occlusion=mine.occlusion,
        prediction_frame=theirs.frame,
        prediction_xyxy=theirs.xyxy_px,
        region_frame=regions.frame,
        region_xyxy=regions.xyxy_px,
    )
    return _Compared(mine, theirs, ignorable)


def _tracking(sequence: Sequence, threshold: float) -> dict[str, float]:
    return {
        **hota(sequence).scores(),
        **clear(sequence, threshold).scores(),
        **identity(sequence, threshold).scores(),
    }


def _rows(by_class: Mapping[str, Mapping[str, float]]) -> tuple[Scores, ...]:
    return tuple(Scores(cls, _ANYWHERE, values) for cls, values in by_class.items() if values)
