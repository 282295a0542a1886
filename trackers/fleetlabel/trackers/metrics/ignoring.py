"""Truth that is neither an object to be found nor background, and predictions that are no mistake there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fleetlabel.geometry.arrays import F64, AnyArray, Bool
from fleetlabel.trackers.metrics.sequence import EPSILON, Sequence, frame_pairs

# Classes too alike to hold against a tracker, by evaluated class: TrackEval's Kitti2DBox.
KITTI_DISTRACTORS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"Car": ("Van",), "Pedestrian": ("Person",)}
)
KITTI_MIN_HEIGHT_PX = 25.0
KITTI_MAX_OCCLUSION = 2
KITTI_MAX_TRUNCATION = 0


@dataclass(frozen=True, slots=True, eq=False)
class Ignorable:
    """Rows of a sequence that evaluation leaves out.

    Attributes:
        truth: (G,) objects that need not be found; a prediction matched to one is left out with it.
        prediction: (P,) predictions that are left out if they match nothing.
    """

    truth: Bool
    prediction: Bool


def drop_ignored(sequence: Sequence, ignorable: Ignorable, threshold: float = 0.5) -> Sequence:
    """The sequence that metrics should see, as TrackEval prepares KITTI: the rows of :func:`counted_rows`."""
    return sequence.keep(*counted_rows(sequence, ignorable, threshold))


def counted_rows(sequence: Sequence, ignorable: Ignorable, threshold: float = 0.5) -> tuple[Bool, Bool]:
    """Which truth (G,) and prediction rows (P,) metrics should see, as TrackEval prepares KITTI.

    All truth is matched with all predictions (greatest total similarity, at least ``threshold``);
    predictions matched to ignored truth go, unmatched ignorable predictions go, and so does all ignored
    truth.
    """
    gated = sequence.pairs.take(sequence.pairs.similarity >= threshold - EPSILON)
    partner = sequence.best_partners(gated, gated.similarity)
    matched = np.zeros(len(sequence.prediction_frame), dtype=np.bool_)
    matched[partner[partner >= 0]] = True
    lost = ignorable.truth & (partner >= 0)
    drop = ignorable.prediction & ~matched
    drop[partner[lost]] = True
    return ~ignorable.truth, ~drop


def kitti_ignorable(
    cls: str,
    *,
    truth_class: AnyArray,
    truncation: AnyArray,
    occlusion: AnyArray,
    prediction_frame: AnyArray,
    prediction_xyxy: F64,
    region_frame: AnyArray,
    region_xyxy: F64,
) -> Ignorable:
    """KITTI's rules: distractor classes, truncated or heavily occluded objects, DontCare regions, small
    predictions.

    Args:
        cls: class that is evaluated, KITTI's name.
        truth_class: (G,) names; rows of ``cls`` and of :data:`KITTI_DISTRACTORS`.
        truncation, occlusion: (G,) KITTI's grades.
        prediction_frame, prediction_xyxy: (P,), (P, 4) pixels.
        region_frame, region_xyxy: (D,), (D, 4) DontCare regions.
    """
    truth = (truth_class != cls) | (occlusion > KITTI_MAX_OCCLUSION) | (truncation > KITTI_MAX_TRUNCATION)
    small = prediction_xyxy[:, 3] - prediction_xyxy[:, 1] <= KITTI_MIN_HEIGHT_PX + EPSILON
    within = mostly_inside(prediction_frame, prediction_xyxy, region_frame, region_xyxy)
    return Ignorable(np.asarray(truth, dtype=np.bool_), small | within)


def mostly_inside(frame: AnyArray, xyxy: F64, region_frame: AnyArray, region_xyxy: F64) -> Bool:
    """Which boxes (N, 4) lie by more than half of their area in one region (D, 4) of the same frame, (N,)."""
    box, region = frame_pairs(frame, region_frame)
    low = np.maximum(xyxy[box, :2], region_xyxy[region, :2])
    high = np.minimum(xyxy[box, 2:], region_xyxy[region, 2:])
    overlap = np.prod(np.clip(high - low, 0.0, None), axis=1)
    area = np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1)[box]
    inside = np.zeros(len(xyxy), dtype=np.bool_)
    share = np.where(area > EPSILON, overlap / np.where(area > EPSILON, area, 1.0), 0.0)
    inside[box[share > 0.5 + EPSILON]] = True
    return inside
