"""Identity metrics: how long predictions follow the right object (Ristani et al., 2016), as TrackEval
counts them.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass

import numpy as np

from fleetlabel.trackers.metrics.sequence import Pairs, Sequence, contiguous_ids, heaviest_matching


@dataclass(frozen=True, slots=True)
class Identity:
    """Rows under the best one-to-one pairing of whole tracks.

    Attributes:
        idtp, idfn, idfp: rows that the pairing explains, misses and adds.

    """

    idtp: int
    idfn: int
    idfp: int

    @classmethod
    def combine(cls, parts: Rows[Identity]) -> Identity:
        """Counts over several sequences."""
        return cls(*(sum(getattr(part, name) for part in parts) for name in ("idtp", "idfn", "idfp")))

    @property
    def idf1(self) -> float:
        """Harmonic mean of identity precision and recall."""
        return self.idtp / max(1.0, self.idtp + 0.5 * self.idfp + 0.5 * self.idfn)

    @property
    def idr(self) -> float:
        """Identity recall."""
        return self.idtp / max(1.0, self.idtp + self.idfn)

    @property
    def idp(self) -> float:
        """Identity precision."""
        return self.idtp / max(1.0, self.idtp + self.idfp)

    def scores(self) -> dict[str, float]:
        """idf1, idr, idp."""
        return {"idf1": self.idf1, "idr": self.idr, "idp": self.idp}


def identity(sequence: Sequence, threshold: float = 0.5) -> Identity:
    """Identity counts of one sequence; rows agree where their similarity reaches the threshold."""
    truth_id, n_truth = contiguous_ids(sequence.truth_id)
    prediction_id, n_predicted = contiguous_ids(sequence.prediction_id)
    agreeing = sequence.pairs.take(sequence.pairs.similarity >= threshold)
    key = truth_id[agreeing.truth].astype(np.int64) * max(n_predicted, 1) + prediction_id[agreeing.prediction]
    tracks, rows = np.unique(key, return_counts=True)
    of_truth, of_prediction = np.divmod(tracks, max(n_predicted, 1))
    weight = rows.astype(np.float64)
    edges = Pairs(of_truth, of_prediction, weight)
    partner = heaviest_matching(n_truth, n_predicted, edges, weight)
    idtp = int(rows[partner[of_truth] == of_prediction].sum())
    return Identity(idtp, len(truth_id) - idtp, len(prediction_id) - idtp)
