"""CLEAR MOT (Bernardin and Stiefelhagen, 2008), counted as TrackEval or as py-motmetrics counts it.

The two agree on what a false positive, a miss and a switch are, and differ in how frames are matched:

- TrackEval pairs a frame's rows by greatest total similarity; a pair that was matched in the frame before
  comes first.
- py-motmetrics first keeps every object with the prediction that it last had, however long ago, and pairs
  the rest so that most are matched, at the least total distance.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np

from fleetlabel.geometry.arrays import I64, Bool
from fleetlabel.trackers.metrics.sequence import (
    EPSILON,
    Pairs,
    Sequence,
    contiguous_ids,
    heaviest_matching,
)

# A pair of the frame before outweighs any sum of similarities (TrackEval's constant).
_CONTINUED = 1000.0


class ClearRule(Enum):
    """Whose matching, and whose limits for "mostly tracked" and "fragment"."""

    TRACKEVAL = "trackeval"
    MOTMETRICS = "motmetrics"


@dataclass(frozen=True, slots=True)
class Clear:
    """Counts of one or more sequences.

    Attributes:
        tp, fn, fp: matched, missed and false rows.
        idsw: identity switches: an object matched to another prediction than the last time it was matched.
        frag: times an object was lost and found again.
        mt, pt, ml: objects tracked for more than 80 %, between, and less than 20 % of their rows.
        similarity_sum: over matched rows.
    """

    tp: int
    fn: int
    fp: int
    idsw: int
    frag: int
    mt: int
    pt: int
    ml: int
    similarity_sum: float

    @classmethod
    def combine(cls, parts: Rows[Clear]) -> Clear:
        """Counts over several sequences."""
        return cls(*(sum(getattr(part, f.name) for part in parts) for f in fields(cls)))

    @property
    def mota(self) -> float:
        """Tracking accuracy: 1 less misses, false rows and switches per true row; may be negative."""
        return (self.tp - self.fp - self.idsw) / max(1.0, self.tp + self.fn)

    @property
    def motp(self) -> float:
        """Mean similarity of matched rows."""
        return self.similarity_sum / max(1.0, self.tp)

    @property
    def recall(self) -> float:
        """Share of true rows that were matched."""
        return self.tp / max(1.0, self.tp + self.fn)

    @property
    def precision(self) -> float:
        """Share of predicted rows that were matched."""
        return self.tp / max(1.0, self.tp + self.fp)

    def scores(self) -> dict[str, float]:
        """Ratios and counts by name."""
        ratios = {name: getattr(self, name) for name in ("mota", "motp", "recall", "precision")}
        return ratios | {f.name: getattr(self, f.name) for f in fields(self) if f.name != "similarity_sum"}


def clear(sequence: Sequence, threshold: float = 0.5, rule: ClearRule = ClearRule.TRACKEVAL) -> Clear:
    """CLEAR counts of one sequence; rows may be matched if their similarity reaches the threshold."""
    gated = sequence.pairs.take(sequence.pairs.similarity >= threshold - EPSILON)
    like_trackeval = rule is ClearRule.TRACKEVAL
    partner = _match_trackeval(sequence, gated) if like_trackeval else _match_motmetrics(sequence, gated)
    matched = partner >= 0
    tp = int(np.count_nonzero(matched))
    by_object = _ByObject.of(sequence, partner)
    share = by_object.matched_rows / by_object.rows
    n_mostly = int(np.count_nonzero(share > 0.8 if like_trackeval else share >= 0.8))
    n_partly = int(np.count_nonzero(share >= 0.2)) - n_mostly
    return Clear(
        tp=tp,
        fn=len(sequence.truth_frame) - tp,
        fp=len(sequence.prediction_frame) - tp,
        idsw=by_object.switches,
        frag=_fragments(sequence, by_object) if like_trackeval else by_object.gaps,
        mt=n_mostly,
        pt=n_partly,
        ml=len(by_object.rows) - n_mostly - n_partly,
        similarity_sum=float(gated.similarity[partner[gated.truth] == gated.prediction].sum()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _ByObject:
    """Rows of the truth ordered by object, then frame.

    Attributes:
        order: (G,) row numbers.
        first: (G,) whether the row is its object's first.
        matched: (G,) in this order.
        rows, matched_rows: (objects,) counts.
        switches: identity switches.
        gaps: runs of missed rows between two matched ones of the same object.
    """

    order: I64
    first: Bool
    matched: Bool
    rows: I64
    matched_rows: I64
    switches: int
    gaps: int

    @classmethod
    def of(cls, sequence: Sequence, partner: I64) -> _ByObject:
        number, n_objects = contiguous_ids(sequence.truth_id)
        order = np.lexsort((sequence.truth_frame, number))
        owner = number[order].astype(np.int64)
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = owner[1:] != owner[:-1]
        matched = partner[order] >= 0
        hits = np.flatnonzero(matched)
        same = owner[hits[1:]] == owner[hits[:-1]]
        given = sequence.prediction_id[partner[order][hits]]
        return cls(
            order=order,
            first=first,
            matched=matched,
            rows=np.bincount(owner, minlength=n_objects),
            matched_rows=np.bincount(owner[hits], minlength=n_objects),
            switches=int(np.count_nonzero(same & (given[1:] != given[:-1]))),
            gaps=int(np.count_nonzero(same & (np.diff(hits) > 1))),
        )


def _compared_frames(sequence: Sequence) -> I64:
    """Frames with both truth and predictions, ascending: TrackEval steps over the others."""
    return np.intersect1d(sequence.truth_frame, sequence.prediction_frame)


def _fragments(sequence: Sequence, by_object: _ByObject) -> int:
    """Times that objects are matched without having been matched in the compared frame before, less one
    each.
    """
    frames = _compared_frames(sequence)
    hits = np.flatnonzero(by_object.matched)
    step = np.searchsorted(frames, sequence.truth_frame[by_object.order[hits]])
    owner = np.cumsum(by_object.first)[hits]
    resumed = (owner[1:] == owner[:-1]) & (np.diff(step) > 1)
    return int(np.count_nonzero(resumed))


def _match_trackeval(sequence: Sequence, gated: Pairs) -> I64:
    """Prediction row or -1 of each truth row (G,).

    Pairs whose two rows have no other choice are settled at once; only frames in which somebody can choose
    depend on the frame before.
    """
    n_truth, n_predicted = len(sequence.truth_frame), len(sequence.prediction_frame)
    alone = (np.bincount(gated.truth, minlength=n_truth)[gated.truth] == 1) & (
        np.bincount(gated.prediction, minlength=n_predicted)[gated.prediction] == 1
    )
    partner = np.full(n_truth, -1, dtype=np.int64)
    partner[gated.truth[alone]] = gated.prediction[alone]
    open_pairs = gated.take(~alone)
    frame_of_pair = sequence.truth_frame[open_pairs.truth]
    contested = np.unique(frame_of_pair)
    frames = _compared_frames(sequence)
    for frame, at in zip(contested, np.searchsorted(frames, contested), strict=True):
        mine = open_pairs.take(_run_of(frame_of_pair, frame))
        weight = mine.similarity.copy()
        if at > 0:
            before = _run_of(sequence.truth_frame, frames[at - 1])
            weight[_continues(sequence, mine, before, partner)] += _CONTINUED
        truth, local_truth = np.unique(mine.truth, return_inverse=True)
        prediction, local_prediction = np.unique(mine.prediction, return_inverse=True)
        local = Pairs(local_truth, local_prediction, weight)
        chosen = heaviest_matching(len(truth), len(prediction), local, weight)
        partner[truth] = np.where(chosen >= 0, prediction[chosen], -1)
    return partner


def _run_of(ascending: I64, value: int) -> slice:
    """Rows of an ascending column that hold a value."""
    return slice(*np.searchsorted(ascending, (value, value + 1)).tolist())


def _continues(sequence: Sequence, pairs: Pairs, before: slice, partner: I64) -> Bool:
    """Which pairs join the same two identities as a match among the truth rows ``before``."""
    matched = partner[before] >= 0
    truth_id = sequence.truth_id[before][matched]
    prediction_id = sequence.prediction_id[partner[before][matched]]
    same = (sequence.truth_id[pairs.truth][:, None] == truth_id) & (
        sequence.prediction_id[pairs.prediction][:, None] == prediction_id
    )
    joined: Bool = same.any(axis=1)
    return joined


def _match_motmetrics(sequence: Sequence, gated: Pairs) -> I64:
    """Prediction row or -1 of each truth row (G,); objects keep the prediction that they last had."""
    partner = np.full(len(sequence.truth_frame), -1, dtype=np.int64)
    last: dict[int, int] = {}
    frame_of_pair = sequence.truth_frame[gated.truth]
    for frame in np.unique(frame_of_pair):
        mine = gated.take(_run_of(frame_of_pair, frame))
        truth_id = sequence.truth_id[mine.truth].tolist()
        prediction_id = sequence.prediction_id[mine.prediction].tolist()
        taken_truth: set[int] = set()
        taken_prediction: set[int] = set()
        for row, column, one, other in zip(
            mine.truth.tolist(), mine.prediction.tolist(), truth_id, prediction_id, strict=True
        ):
            if last.get(one) == other and column not in taken_prediction:
                partner[row] = column
                taken_truth.add(row)
                taken_prediction.add(column)
        free = ~np.isin(mine.truth, list(taken_truth)) & ~np.isin(mine.prediction, list(taken_prediction))
        _pair_most(mine.take(free), partner)
        rows = np.unique(mine.truth)
        rows = rows[partner[rows] >= 0]
        last.update(
            zip(sequence.truth_id[rows].tolist(), sequence.prediction_id[partner[rows]].tolist(), strict=True)
        )
    return partner


def _pair_most(pairs: Pairs, partner: I64) -> None:
    """Adds to ``partner`` the pairing with the most pairs, of those the one of greatest similarity."""
    truth, local_truth = np.unique(pairs.truth, return_inverse=True)
    prediction, local_prediction = np.unique(pairs.prediction, return_inverse=True)
    local = Pairs(local_truth, local_prediction, pairs.similarity)
    chosen = heaviest_matching(
        len(truth), len(prediction), local, pairs.similarity + min(len(truth), len(prediction))
    )
    found = chosen >= 0
    partner[truth[found]] = prediction[chosen[found]]
