"""HOTA: one number for detection, association and localisation (Luiten et al., IJCV 2021), as TrackEval
counts it.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass, fields

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.trackers.metrics.sequence import EPSILON, Pairs, Sequence, contiguous_ids

# Localisation thresholds that scores are averaged over.
ALPHAS: F64 = np.arange(0.05, 0.99, 0.05)


@dataclass(frozen=True, slots=True, eq=False)
class Hota:
    """Counts per threshold of :data:`ALPHAS`, each (19,) float64; sequences are combined by adding them up.

    Attributes:
        tp, fn, fp: detections.
        similarity_sum: over true positives.
        ass_a_sum, ass_re_sum, ass_pr_sum: association Jaccard, recall and precision, over true positives.

    """

    tp: F64
    fn: F64
    fp: F64
    similarity_sum: F64
    ass_a_sum: F64
    ass_re_sum: F64
    ass_pr_sum: F64

    @classmethod
    def combine(cls, parts: Rows[Hota]) -> Hota:
        """Scores over several sequences as if they were one."""
        zero = np.zeros(len(ALPHAS))
        return cls(*(sum((getattr(part, f.name) for part in parts), zero) for f in fields(cls)))

    @property
    def curves(self) -> dict[str, F64]:
        """Scores per threshold, each (19,): HOTA, DetA, AssA, LocA, DetRe, DetPr, AssRe, AssPr."""
        found = np.maximum(1, self.tp)
        det_a = self.tp / np.maximum(1, self.tp + self.fn + self.fp)
        ass_a = self.ass_a_sum / found
        return {
            "hota": np.sqrt(det_a * ass_a),
            "deta": det_a,
            "assa": ass_a,
            "loca": np.maximum(1e-10, self.similarity_sum) / np.maximum(1e-10, self.tp),
            "detre": self.tp / np.maximum(1, self.tp + self.fn),
            "detpr": self.tp / np.maximum(1, self.tp + self.fp),
            "assre": self.ass_re_sum / found,
            "asspr": self.ass_pr_sum / found,
        }

    def scores(self) -> dict[str, float]:
        """Scores averaged over the thresholds: hota, deta, assa, loca, detre, detpr, assre, asspr."""
        return {name: float(np.mean(curve)) for name, curve in self.curves.items()}


def hota(sequence: Sequence) -> Hota:
    """HOTA of one sequence. Matching maximises global association times similarity, once for all
    thresholds.
    """
    n_alphas = len(ALPHAS)
    pairs = sequence.pairs
    n_truth, n_predicted = len(sequence.truth_frame), len(sequence.prediction_frame)
    tracks = _track_pairs(sequence)
    partner = sequence.best_partners(pairs, tracks.alignment[tracks.of_pair] * pairs.similarity)
    chosen = partner[pairs.truth] == pairs.prediction
    similarity, track_pair = pairs.similarity[chosen], tracks.of_pair[chosen]
    tp, total, ass = np.zeros(n_alphas), np.zeros(n_alphas), np.zeros((3, n_alphas))
    for a, alpha in enumerate(ALPHAS):
        good: Bool = similarity >= alpha - EPSILON
        tp[a], total[a] = np.count_nonzero(good), similarity[good].sum()
        count = np.bincount(track_pair[good], minlength=len(tracks.truth_rows))
        ass[0, a] = np.sum(
            count * (count / np.maximum(1, tracks.truth_rows + tracks.prediction_rows - count))
        )
        ass[1, a] = np.sum(count * (count / tracks.truth_rows))
        ass[2, a] = np.sum(count * (count / tracks.prediction_rows))
    return Hota(tp, n_truth - tp, n_predicted - tp, total, *ass)


@dataclass(frozen=True, slots=True, eq=False)
class _TrackPairs:
    """Pairs of a true and a predicted track that are ever similar.

    Attributes:
        of_pair: (E,) for each similar pair of rows, its pair of tracks.
        truth_rows, prediction_rows: (T,) length of both tracks.
        alignment: (T,) how well they go together over the whole sequence, a soft Jaccard index.

    """

    of_pair: I64
    truth_rows: I64
    prediction_rows: I64
    alignment: F64


def _track_pairs(sequence: Sequence) -> _TrackPairs:
    truth_id, n_truth = contiguous_ids(sequence.truth_id)
    prediction_id, n_predicted = contiguous_ids(sequence.prediction_id)
    pairs = sequence.pairs
    key = truth_id[pairs.truth].astype(np.int64) * n_predicted + prediction_id[pairs.prediction]
    tracks, of_pair = np.unique(key, return_inverse=True)
    of_truth, of_prediction = tracks // max(n_predicted, 1), tracks % max(n_predicted, 1)
    potential = np.bincount(of_pair, weights=_frame_share(sequence, pairs), minlength=len(tracks))
    truth_rows = np.bincount(truth_id, minlength=n_truth)[of_truth]
    prediction_rows = np.bincount(prediction_id, minlength=n_predicted)[of_prediction]
    alignment = potential / (truth_rows + prediction_rows - potential)
    return _TrackPairs(of_pair, truth_rows, prediction_rows, alignment)


def _frame_share(sequence: Sequence, pairs: Pairs) -> F64:
    """Similarity of each pair (E,) relative to all that its two rows have in the frame."""
    of_truth = np.bincount(pairs.truth, weights=pairs.similarity, minlength=len(sequence.truth_frame))
    of_prediction = np.bincount(
        pairs.prediction, weights=pairs.similarity, minlength=len(sequence.prediction_frame)
    )
    whole = of_truth[pairs.truth] + of_prediction[pairs.prediction] - pairs.similarity
    share: F64 = np.where(whole > EPSILON, pairs.similarity / np.maximum(whole, EPSILON), 0.0)
    return share
