"""What metrics start from: who is where in every frame, and how alike truth and predictions of the same
frame are.

Similarities are sparse: one row per pair of the same frame that has any. Every metric then is a few passes
    over
those rows, and matching, which never crosses frames, is one call for the whole sequence.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I32, I64, AnyArray, Bool
from fleetlabel.geometry.compiled import kernel
from fleetlabel.geometry.iou import IOU_3D, iou_2d_pair, overlap_pair
from fleetlabel.trackers.kernels.assignment import match

# What TrackEval allows a similarity to fall short of a threshold by.
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of a truth row and a prediction row of the same frame, ordered by truth, then prediction.

    Attributes:
        truth, prediction: (E,) int64 rows.
        similarity: (E,) float64 > 0; 1 is identical.

    """

    truth: I64
    prediction: I64
    similarity: F64

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: AnyArray | slice) -> Pairs:
        """The pairs at some row numbers, of a mask or of a slice."""
        return Pairs(self.truth[rows], self.prediction[rows], self.similarity[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Identities of one sequence and one class, by frame, with their similarities.

    Attributes:
        truth_frame, prediction_frame: (G,) and (P,) int64 frame of every row, ascending.
        truth_id, prediction_id: (G,) and (P,) int64 identity; an identity occurs once in a frame.
        pairs: similar pairs.

    """

    truth_frame: I64
    truth_id: I64
    prediction_frame: I64
    prediction_id: I64
    pairs: Pairs

    def __post_init__(self) -> None:
        for side in ("truth", "prediction"):
            frame = np.ascontiguousarray(getattr(self, f"{side}_frame"), dtype=np.int64)
            identity = np.ascontiguousarray(getattr(self, f"{side}_id"), dtype=np.int64)
            if frame.shape != identity.shape or frame.ndim != 1:
                raise ValueError(
                    f"{side}_frame has shape {frame.shape}, {side}_id {identity.shape}; give one id per row"
                )
            _check_rows(side, frame, identity)
            object.__setattr__(self, f"{side}_frame", frame)
            object.__setattr__(self, f"{side}_id", identity)

    @classmethod
    def from_frames(
        cls, truth_ids: Rows[AnyArray], prediction_ids: Rows[AnyArray], similarity: Rows[AnyArray]
    ) -> Sequence:
        """A sequence from lists with one entry per frame: ids (n,), ids (m,) and similarities (n, m)."""
        truth_frame = np.repeat(np.arange(len(truth_ids)), [len(ids) for ids in truth_ids])
        prediction_frame = np.repeat(np.arange(len(prediction_ids)), [len(ids) for ids in prediction_ids])
        truth, prediction = frame_pairs(truth_frame, prediction_frame)
        flat = [np.asarray(block, dtype=np.float64).reshape(-1) for block in similarity]
        values = np.concatenate([np.empty(0), *flat])
        return cls(
            truth_frame,
            np.concatenate([np.empty(0, np.int64), *truth_ids]),
            prediction_frame,
            np.concatenate([np.empty(0, np.int64), *prediction_ids]),
            similar_pairs(truth, prediction, values),
        )

    def keep(self, truth: Bool, prediction: Bool) -> Sequence:
        """The sequence of the rows that the masks (G,) and (P,) keep."""
        wanted = truth[self.pairs.truth] & prediction[self.pairs.prediction]
        kept = self.pairs.take(wanted)
        new_truth, new_prediction = np.cumsum(truth) - 1, np.cumsum(prediction) - 1
        return Sequence(
            self.truth_frame[truth],
            self.truth_id[truth],
            self.prediction_frame[prediction],
            self.prediction_id[prediction],
            Pairs(new_truth[kept.truth], new_prediction[kept.prediction], kept.similarity),
        )

    def best_partners(self, pairs: Pairs, weight: F64) -> I64:
        """The pairing of greatest total weight: for each truth row its prediction row or -1, (G,) int64.

        Args:
            pairs: those that may be chosen.
            weight: (E,) their weights, > 0.

        """
        return heaviest_matching(len(self.truth_frame), len(self.prediction_frame), pairs, weight)


def heaviest_matching(n_left: int, n_right: int, pairs: Pairs, weight: F64) -> I64:
    """Disjoint pairs of greatest total weight: the partner (n_left,) of each left row, -1 for none."""
    partner = np.full(n_left, -1, dtype=np.int64)
    match(n_left, n_right, pairs.truth, pairs.prediction, np.ascontiguousarray(weight), len(pairs), partner)
    return partner


def frame_pairs(truth_frame: AnyArray, prediction_frame: AnyArray) -> tuple[I64, I64]:
    """All pairs (E,), (E,) of rows of the same frame; both inputs ascend. Ordered by truth, then
    prediction.
    """
    first = np.searchsorted(prediction_frame, truth_frame, side="left")
    count = np.searchsorted(prediction_frame, truth_frame, side="right") - first
    truth = np.repeat(np.arange(len(truth_frame), dtype=np.int64), count)
    start = np.cumsum(count) - count
    within = np.arange(len(truth), dtype=np.int64) - np.repeat(start, count)
    return truth, np.repeat(first, count).astype(np.int64) + within


def similar_pairs(truth: I64, prediction: I64, similarity: F64) -> Pairs:
    """The pairs whose similarity (E,) is above zero."""
    above = similarity > 0
    return Pairs(truth[above], prediction[above], np.ascontiguousarray(similarity[above]))


def pairs_by_iou_2d(
    truth_frame: AnyArray, truth_xyxy: F64, prediction_frame: AnyArray, prediction_xyxy: F64
) -> Pairs:
    """Overlapping boxes (G, 4), (P, 4) of the same frame; similarity is intersection over union."""
    truth, prediction = frame_pairs(truth_frame, prediction_frame)
    overlap = np.empty(len(truth))
    _overlaps_2d(_floats(truth_xyxy), _floats(prediction_xyxy), truth, prediction, overlap)
    return similar_pairs(truth, prediction, overlap)


def pairs_by_iou_3d(truth_frame: AnyArray, truth: F64, prediction_frame: AnyArray, prediction: F64) -> Pairs:
    """Overlapping upright cuboids (G, 7), (P, 7) of the same frame: x y z length width height yaw, yaw
    about z.
    """
    rows, columns = frame_pairs(truth_frame, prediction_frame)
    overlap = np.empty(len(rows))
    _overlaps_3d(_floats(truth), _floats(prediction), rows, columns, overlap)
    return similar_pairs(rows, columns, overlap)


def pairs_by_distance(
    truth_frame: AnyArray, truth_m: F64, prediction_frame: AnyArray, prediction_m: F64, zero_at_m: float
) -> Pairs:
    """Centres (G, D), (P, D) closer than ``zero_at_m``; similarity falls from 1 to 0 there (as in
    MOT15-3D).
    """
    truth, prediction = frame_pairs(truth_frame, prediction_frame)
    distance = np.linalg.norm(truth_m[truth] - prediction_m[prediction], axis=1)
    return similar_pairs(truth, prediction, 1.0 - distance / zero_at_m)


@kernel
def _overlaps_2d(truth: F64, prediction: F64, rows: I64, columns: I64, out: F64) -> None:
    for k in range(len(rows)):
        a, b = truth[rows[k]], prediction[columns[k]]
        out[k] = iou_2d_pair(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3])


@kernel
def _overlaps_3d(truth: F64, prediction: F64, rows: I64, columns: I64, out: F64) -> None:
    scratch = np.empty((4, 16, 2))
    for k in range(len(rows)):
        out[k] = overlap_pair(truth[rows[k]], prediction[columns[k]], IOU_3D, scratch)


def _floats(columns: AnyArray) -> F64:
    return np.ascontiguousarray(columns, dtype=np.float64)


def contiguous_ids(identity: I64) -> tuple[I32, int]:
    """Identities numbered from 0 (N,), and how many there are."""
    values, number = np.unique(identity, return_inverse=True)
    return number.astype(np.int32), len(values)


def _check_rows(side: str, frame: I64, identity: I64) -> None:
    if len(frame) and bool(np.any(np.diff(frame) < 0)):
        row = int(np.argmax(np.diff(frame) < 0)) + 1
        raise ValueError(
            f"{side} row {row} has frame {frame[row]} after frame {frame[row - 1]}; sort the rows by frame"
        )
    order = np.lexsort((identity, frame))
    twice = (np.diff(frame[order]) == 0) & (np.diff(identity[order]) == 0)
    if bool(twice.any()):
        row = int(order[int(np.argmax(twice))])
        raise ValueError(
            f"{side} id {identity[row]} occurs twice in frame {frame[row]}, but can be in one place only"
        )
