"""Tracking and detection metrics: arrays in, numbers out, equal to TrackEval, py-motmetrics and nuScenes'
devkit.

Build a :class:`Sequence` (identities by frame and similar pairs), drop what a benchmark ignores, and
measure::

    pairs = pairs_by_iou_2d(truth_frame, truth_xyxy, prediction_frame, prediction_xyxy)
    sequence = Sequence(truth_frame, truth_id, prediction_frame, prediction_id, pairs)
    seen = drop_ignored(sequence, kitti_ignorable("Car", ...))
    hota(seen).scores(), clear(seen).scores(), identity(seen).scores()
"""

from fleetlabel.trackers.metrics.amota import Amota, ScoredSequence, amota
from fleetlabel.trackers.metrics.clear import Clear, ClearRule, clear
from fleetlabel.trackers.metrics.detection import (
    CENTER_DISTANCES_M,
    DetectionCurve,
    detection_ap,
    detection_curve,
    greedy_matches,
    pairs_within,
)
from fleetlabel.trackers.metrics.hota import ALPHAS, Hota, hota
from fleetlabel.trackers.metrics.identity import Identity, identity
from fleetlabel.trackers.metrics.ignoring import (
    KITTI_DISTRACTORS,
    Ignorable,
    counted_rows,
    drop_ignored,
    kitti_ignorable,
    mostly_inside,
)
from fleetlabel.trackers.metrics.sequence import (
    Pairs,
    Sequence,
    pairs_by_distance,
    pairs_by_iou_2d,
    pairs_by_iou_3d,
)

__all__ = [
    "ALPHAS",
    "CENTER_DISTANCES_M",
    "KITTI_DISTRACTORS",
    "Amota",
    "Clear",
    "ClearRule",
    "DetectionCurve",
    "Hota",
    "Identity",
    "Ignorable",
    "Pairs",
    "ScoredSequence",
    "Sequence",
    "amota",
    "clear",
    "counted_rows",
    "detection_ap",
    "detection_curve",
    "drop_ignored",
    "greedy_matches",
    "hota",
    "identity",
    "kitti_ignorable",
    "mostly_inside",
    "pairs_by_distance",
    "pairs_by_iou_2d",
    "pairs_by_iou_3d",
    "pairs_within",
]
