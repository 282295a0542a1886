"""Detection quality: greedy matching by score, precision and recall, average precision as nuScenes
computes it.

Caesar et al., CVPR 2020: a prediction takes the closest free object of its frame; average precision is the
mean over recalls 0.11 to 1 (of 101 interpolated steps from 0) of what precision exceeds 0.1, scaled to
[0, 1]. Released devkits (1.0 and later) compute it so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.geometry.compiled import kernel
from fleetlabel.trackers.metrics.ignoring import Ignorable
from fleetlabel.trackers.metrics.sequence import EPSILON, Pairs, frame_pairs

# nuScenes: centre distances, and the part of the curve that counts.
CENTER_DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
MIN_RECALL, MIN_PRECISION = 0.1, 0.1
_RECALL_GRID: F64 = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, eq=False)
class DetectionCurve:
    """Predictions by descending score, and how many objects there were.

    Attributes:
        score: (K,) of the predictions that count.
        hit: (K,) whether each found an object.
        n_truth: objects that count.
    """

    score: F64
    hit: Bool
    n_truth: int

    def at(self, min_score: float) -> tuple[float, float]:
        """Recall and precision of the predictions with at least this score; precision is NaN if there are
        none.
        """
        chosen = self.score >= min_score
        hits, n = int(np.count_nonzero(self.hit[chosen])), int(np.count_nonzero(chosen))
        return hits / self.n_truth if self.n_truth else np.nan, hits / n if n else np.nan

    def best_recall(self, min_precision: float) -> tuple[float, float]:
        """The greatest recall at which precision is still ``min_precision``, and the score threshold that
        gives it.

        Zero recall at an infinite threshold if no threshold is that precise.
        """
        hits = np.cumsum(self.hit)
        # Predictions of equal score come and go together.
        last_of_score = np.append(self.score[1:] < self.score[:-1], True)[: len(self.score)]
        precise = last_of_score & (hits >= min_precision * np.arange(1, len(hits) + 1) - EPSILON)
        if not precise.any() or not self.n_truth:
            return 0.0, np.inf
        row = int(np.flatnonzero(precise)[-1])
        return float(hits[row] / self.n_truth), float(self.score[row])

    def average_precision(self) -> float:
        """Average precision as nuScenes has it; NaN if there is no object."""
        if not self.n_truth:
            return float("nan")
        if not len(self.hit):
            return 0.0
        hits = np.cumsum(self.hit)
        precision = hits / np.arange(1, len(hits) + 1)
        recall = hits / self.n_truth
        # The step at the least recall itself is left out.
        sampled = np.interp(_RECALL_GRID, recall, precision, right=0)[round(100 * MIN_RECALL) + 1 :]
        return float(np.mean(np.maximum(sampled - MIN_PRECISION, 0))) / (1.0 - MIN_PRECISION)

    def interpolated_precision(self) -> float:
        """Average precision as COCO has it: over 101 recalls from 0 to 1, the best precision at that recall or more.

        NaN if there is no object. Lin et al., ECCV 2014; at IoU 0.5 it is their AP50.
        """
        if not self.n_truth:
            return float("nan")
        hits = np.cumsum(self.hit)
        precision = hits / np.arange(1, len(hits) + 1)
        best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        return float(np.mean(best[np.searchsorted(hits / self.n_truth, _RECALL_GRID)]))


def greedy_matches(pairs: Pairs, score: F64, n_truth: int) -> I64:
    """Truth row or -1 for each prediction (P,): by descending score, each takes its most similar free
    truth row.

    Of equal scores the later row goes first, as in nuScenes.
    """
    order = np.lexsort((np.arange(len(score)), score))[::-1]
    by_prediction = np.argsort(pairs.prediction, kind="stable")
    start = np.searchsorted(pairs.prediction[by_prediction], np.arange(len(score) + 1))
    taken = np.full(len(score), -1, dtype=np.int64)
    _greedy(
        np.ascontiguousarray(order),
        start.astype(np.int64),
        pairs.truth[by_prediction],
        pairs.similarity[by_prediction],
        np.zeros(n_truth, dtype=np.bool_),
        taken,
    )
    return taken


def detection_curve(pairs: Pairs, score: F64, ignorable: Ignorable) -> DetectionCurve:
    """Matches predictions greedily and leaves out what is ignorable.

    Args:
        pairs: similar enough to be matched; see :func:`pairs_within` and :func:`pairs_by_iou_2d`.
        score: (P,).
        ignorable: a prediction that takes ignored truth, or takes none and is ignorable, does not count.
    """
    taken = greedy_matches(pairs, score, len(ignorable.truth))
    found = taken >= 0
    on_ignored = found & ignorable.truth[taken] if len(ignorable.truth) else found
    counts = ~on_ignored & (found | ~ignorable.prediction)
    order = np.lexsort((np.arange(len(score)), score))[::-1]
    order = order[counts[order]]
    return DetectionCurve(
        np.asarray(score, dtype=np.float64)[order], found[order], int(np.count_nonzero(~ignorable.truth))
    )


def pairs_within(
    truth_frame: AnyArray, truth_m: F64, prediction_frame: AnyArray, prediction_m: F64, limit_m: float
) -> Pairs:
    """Centres (G, D), (P, D) of the same frame closer than ``limit_m``; nuScenes gives x and y only.

    Similarity is ``2 limit - distance``: positive, and greatest for the closest.
    """
    truth, prediction = frame_pairs(truth_frame, prediction_frame)
    distance = np.linalg.norm(truth_m[truth] - prediction_m[prediction], axis=1)
    near = distance < limit_m
    return Pairs(truth[near], prediction[near], 2 * limit_m - distance[near])


def detection_ap(
    truth_frame: AnyArray,
    truth_m: F64,
    prediction_frame: AnyArray,
    prediction_m: F64,
    score: F64,
    ignorable: Ignorable | None = None,
) -> dict[float, DetectionCurve]:
    """Centre-distance curves at 0.5, 1, 2 and 4 m; ``curves[2.0].average_precision()`` is AP@2m.

    Args:
        truth_frame, prediction_frame: (G,), (P,) ascending.
        truth_m, prediction_m: (G, 3) and (P, 3) centres; the vertical does not matter, as in nuScenes.
        score: (P,).
        ignorable: nothing by default.
    """
    if ignorable is None:
        ignorable = Ignorable(np.zeros(len(truth_frame), np.bool_), np.zeros(len(prediction_frame), np.bool_))
    return {
        limit: detection_curve(
            pairs_within(truth_frame, truth_m[:, :2], prediction_frame, prediction_m[:, :2], limit),
            score,
            ignorable,
        )
        for limit in CENTER_DISTANCES_M
    }


@kernel
def _greedy(order: I64, start: I64, truth: I64, similarity: F64, gone: Bool, taken: I64) -> None:
    for row in order:
        best = 0.0
        for k in range(start[row], start[row + 1]):
            if not gone[truth[k]] and similarity[k] > best:
                best = similarity[k]
                taken[row] = truth[k]
        if taken[row] >= 0:
            gone[taken[row]] = True
