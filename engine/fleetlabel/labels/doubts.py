"""What may still be wrong with one object in one view, and what a look at one of its boxes would tell of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.labels.ranking import Reach, after_a_look

SWITCH_ROWS = 3  # a look tells whether another object begins less than so many rows away


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """What may be wrong with one track; M rows.

    Attributes:
        wrong: (M,) how likely each box is in the wrong place, 0 where people looked.
        switched: (M,) how likely another object begins with each.
        class_wrong: how likely the class is wrong.
    """

    wrong: F64
    switched: F64
    class_wrong: float

    def after_a_look(self, row: int, time_s: F64, reach: Reach) -> Doubts:
        """What is to be expected once somebody has looked at one box."""
        near = np.abs(np.arange(len(self.switched)) - row) < SWITCH_ROWS
        return Doubts(after_a_look(self.wrong, time_s, row, reach), np.where(near, 0.0, self.switched), 0.0)

    @property
    def expected_wrong(self) -> float:
        """How many boxes are expected to be in the wrong place or of the wrong class, of those nobody looked at."""
        either = 1.0 - (1.0 - self.wrong) * (1.0 - self.class_wrong)
        return float(either[self.wrong > 0.0].sum())

    @property
    def any(self) -> F64:
        """(M,) how likely a look at each box finds something to do; 0 where people looked."""
        right = (1.0 - self.wrong) * (1.0 - self.switched) * (1.0 - self.class_wrong)
        return np.where(self.wrong > 0.0, 1.0 - right, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object in one view; M rows by frame.

    Attributes:
        class_id: of its last box.
        signals: (M, K) what speaks against each box.
        now: doubts that are left.
        looked_at: how many boxes people looked at.
        dispute: about the class, in words.
    """

    camera: str
    class_id: int
    frame: I64
    time_s: F64
    signals: F64
    now: Doubts
    looked_at: int
    dispute: str
