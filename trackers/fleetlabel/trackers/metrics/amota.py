"""sAMOTA, AMOTA and AMOTP: tracking accuracy averaged over 40 steps of recall (Weng et al., IROS 2020;
AB3DMOT).

Counts follow AB3DMOT's evaluation: matching keeps no memory of the frame before, matches with ignored
truth count as found when the recall steps are chosen, and a switch counts only between neighbouring rows
of an object. Two accidents
of that program are left out: track means are not averaged again at every step (which moves them by
    rounding), and a
prediction that matched at the first step and no longer does may be ignored like any other.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.trackers.metrics.ignoring import Ignorable
from fleetlabel.trackers.metrics.sequence import Sequence, contiguous_ids

RECALL_STEPS = 40


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSequence:
    """A sequence with what AMOTA needs besides.

    Attributes:
        sequence: all truth of the class and its distractors, all predictions.
        ignorable: what is no mistake.
        score: (P,) confidence of the predictions; a track's is its mean.
    """

    sequence: Sequence
    ignorable: Ignorable
    score: F64


@dataclass(frozen=True, slots=True)
class Amota:
    """Averages over recall, and the counts at the score threshold with the best MOTA.

    Attributes:
        samota, amota, amotp: averages.
        mota, motp, tp, fn, fp, idsw: at the best threshold.
        threshold: that threshold on a track's mean score.
    """

    samota: float
    amota: float
    amotp: float
    mota: float
    motp: float
    tp: int
    fn: int
    fp: int
    idsw: int
    threshold: float

    def scores(self) -> dict[str, float]:
        """samota, amota, amotp and mota, idsw at the best threshold."""
        return {name: getattr(self, name) for name in ("samota", "amota", "amotp", "mota", "idsw")}


def amota(scenes: Rows[ScoredSequence], threshold: float) -> Amota:
    """AMOTA of sequences taken together; rows may match if their similarity (3D IoU) reaches the
    threshold.
    """
    track_scores = [_mean_per_track(scene) for scene in scenes]
    everything = _counts(scenes, track_scores, threshold, -np.inf)
    steps, recalls = _recall_steps(everything.matched_scores, everything.tp + everything.fn)
    at_steps = [_counts(scenes, track_scores, threshold, step) for step in steps]
    best = max(at_steps, key=lambda counts: counts.mota, default=everything)
    if best.mota <= 0:
        best = everything
    return Amota(
        samota=sum(c.smota(recall) for c, recall in zip(at_steps, recalls, strict=True)) / RECALL_STEPS,
        amota=sum(counts.mota for counts in at_steps) / RECALL_STEPS,
        amotp=sum(counts.motp for counts in at_steps) / RECALL_STEPS,
        mota=best.mota,
        motp=best.motp,
        tp=best.tp,
        fn=best.fn,
        fp=best.fp,
        idsw=best.idsw,
        threshold=best.threshold,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Counts at one score threshold; ``tp`` includes matches with ignored truth, ``n_truth`` does not."""

    threshold: float
    n_truth: int
    tp: int
    fn: int
    fp: int
    idsw: int
    similarity_sum: float
    matched_scores: F64

    @property
    def mota(self) -> float:
        if not self.n_truth:
            return -np.inf
        return 1 - (self.fn + self.fp + self.idsw) / self.n_truth

    def smota(self, recall: float) -> float:
        """MOTA relative to what is possible at that recall, in [0, 1]."""
        if not self.n_truth:
            return -np.inf
        unavoidable = (1 - recall) * self.n_truth
        missing = (self.fn + self.fp + self.idsw - unavoidable) / (recall * self.n_truth)
        return min(1.0, max(0.0, 1 - missing))

    @property
    def motp(self) -> float:
        return self.similarity_sum / self.tp if self.tp else 0.0


def _mean_per_track(scene: ScoredSequence) -> F64:
    """Mean score of its track for every prediction (P,)."""
    number, n_tracks = contiguous_ids(scene.sequence.prediction_id)
    total = np.bincount(number, weights=scene.score, minlength=n_tracks)
    mean: F64 = (total / np.maximum(1, np.bincount(number, minlength=n_tracks)))[number]
    return mean


def _recall_steps(scores: F64, n_truth: int) -> tuple[list[float], list[float]]:
    """Score thresholds at which recall is about 1/40, 2/40, ..., and those recalls."""
    thresholds: list[float] = []
    recalls: list[float] = []
    aim = 0.0
    ordered = np.sort(scores)[::-1]
    for row, score in enumerate(ordered.tolist()):
        here = (row + 1) / n_truth
        last = row == len(ordered) - 1
        after = here if last else (row + 2) / n_truth
        if after - aim < aim - here and not last:
            continue
        thresholds.append(score)
        recalls.append(aim)
        aim += 1 / RECALL_STEPS
    return thresholds[1:], recalls[1:]


def _counts(scenes: Rows[ScoredSequence], track_scores: Rows[F64], threshold: float, step: float) -> _Counts:
    n_truth = tp = fn = fp = idsw = 0
    similarity = 0.0
    matched_scores = []
    for scene, scores in zip(scenes, track_scores, strict=True):
        sequence, ignorable = scene.sequence, scene.ignorable
        kept = scores >= step
        gated = sequence.pairs.take(
            (sequence.pairs.similarity >= threshold) & kept[sequence.pairs.prediction]
        )
        # Most matches first, then most similarity: the program minimises 1 - similarity with a prohibitive
        # gate.
        partner = sequence.best_partners(gated, gated.similarity + _most_in_a_frame(sequence))
        matched = partner >= 0
        used = np.zeros(len(kept), dtype=np.bool_)
        used[partner[matched]] = True
        tp += int(np.count_nonzero(matched))
        fn += int(np.count_nonzero(~matched & ~ignorable.truth))
        fp += int(np.count_nonzero(kept & ~used & ~ignorable.prediction))
        n_truth += int(np.count_nonzero(~ignorable.truth))
        idsw += _switches(sequence, partner, ignorable.truth)
        similarity += float(gated.similarity[partner[gated.truth] == gated.prediction].sum())
        matched_scores.append(scores[partner[matched]])
    return _Counts(
        step, n_truth, tp, fn, fp, idsw, similarity, np.concatenate([np.empty(0), *matched_scores])
    )


def _most_in_a_frame(sequence: Sequence) -> float:
    """More than any frame's total similarity can be."""
    if not len(sequence.truth_frame):
        return 1.0
    return 1.0 + float(np.unique(sequence.truth_frame, return_counts=True)[1].max())


def _switches(sequence: Sequence, partner: I64, ignored: Bool) -> int:
    """Changes of identity between neighbouring rows of an object, both matched and neither ignored."""
    order = np.lexsort((sequence.truth_frame, sequence.truth_id))
    owner, hit, left_out = sequence.truth_id[order], partner[order], ignored[order]
    given = np.where(hit >= 0, sequence.prediction_id[hit], 0) if len(sequence.prediction_id) else hit
    same = (owner[1:] == owner[:-1]) & (hit[1:] >= 0) & (hit[:-1] >= 0)
    # An object's first row counts as a predecessor even where it is ignored.
    first = np.ones(len(owner), dtype=np.bool_)
    first[1:] = owner[1:] != owner[:-1]
    compared = same & ~left_out[1:] & (~left_out[:-1] | first[:-1])
    return int(np.count_nonzero(compared & (given[1:] != given[:-1])))
