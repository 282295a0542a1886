"""How likely a box is wrong, what a look at one says about the others of its track, and how many a look would mend.

Errors of one track hang together: where one box is wrong, those around it most likely are, the more so the less
speaks for each. ``rho``, which fades with time, is how much two boxes of a track hang together: with it both are wrong
as often as the better one is, without it as often as chance has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from fleetlabel.geometry.arrays import F64, I64, AnyArray, Bool
from fleetlabel.labels.evidence import SIGNALS

IOUS = (0.7, 0.8, 0.9)  # overlaps with the truth that offsets are given for
PEOPLE = frozenset({"pedestrian", "animal", "bicycle", "motorcycle"})  # small things
_SWITCH = (0.15, 0.5)  # signal from which on a switch of identities is suspected, and is as good as sure
_WINDOW = 32  # rows on each side that a correction can reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A logistic model: log odds that a box does not overlap the truth by some IoU.

    Attributes:
        weights: signal -> log odds per unit.
        vehicles, people: log odds without any signal, for each of :data:`IOUS`; ``people`` are small things.
    """

    weights: Mapping[str, float]
    vehicles: tuple[float, float, float]
    people: tuple[float, float, float]

    def offset(self, class_name: str, iou: float) -> float:
        """Log odds without any signal."""
        at = self.people if class_name in PEOPLE else self.vehicles
        return float(np.interp(iou, IOUS, at))

    def contributions(self, signals: F64) -> F64:
        """(M, K) log odds that each signal adds."""
        weights: F64 = np.array([self.weights.get(name, 0.0) for name in SIGNALS])
        return signals * weights


# Fitted by benchmarks/queue_ranking.py on half of KITTI's dev sequences, but for lidar points, which they do not have.
SOLID = Doubt(
    weights=MappingProxyType({
        "unseen": 0.3, "weak": 2.1, "scattered": 2.83, "resized": 0.38, "rough": 0.42, "sparse": 1.7, "border": 0.92,
        "short": 0.35, "mismatch": 1.13, "alone": 1.11, "far": 0.11, "few_points": 1.0,
    }),
    vehicles=(-2.75, -0.94, 2.09),
    people=(-0.21, 4.0, 6.0),
)  # fmt: skip
FLAT = Doubt(
    weights=MappingProxyType({
        "unseen": 1.16, "weak": 2.23, "scattered": 0.58, "resized": 0.91, "rough": 0.6, "sparse": 2.06, "border": 1.07,
        "short": 0.23, "mismatch": 1.51, "alone": 0.4, "crowded": 1.54, "far": 0.17,
    }),
    vehicles=(-4.46, -3.54, -1.1),
    people=(-2.69, -1.55, 0.55),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far a look and a correction reach along a track; times are those after which something is down to 1/e.

    Attributes:
        together_s: of ``rho``.
        own: share of what is wrong with a box that no look at others tells, but for its closest neighbours (``own_s``).
        mended_s: of the share of wrong boxes that a keyframe mends; ``mended_always`` is what it ends at.
        harmed: share of right boxes around a keyframe that it makes wrong.
    """

    together_s: float = 1.6
    own: float = 0.2
    own_s: float = 0.2
    mended_s: float = 0.9
    mended_always: float = 0.3
    harmed: float = 0.05

    def rho(self, apart_s: F64) -> F64:
        """How much boxes of a track that are some time apart hang together."""
        return np.exp(-apart_s / self.together_s)

    def mended(self, apart_s: F64) -> F64:
        """Share of wrong boxes that a keyframe so far away mends."""
        return self.mended_always + (1.0 - self.mended_always) * np.exp(-apart_s / self.mended_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """What can be set about the queue.

    Attributes:
        solid, flat: models of doubt for cuboids and for boxes in pictures.
        reach: for each of :data:`IOUS`; what holds at the next one below an overlap is taken.
        look_s, drag_s: how long people take to look at a box, and to set it right.
        bad_share: expected share of wrong boxes of each class at which there is no more to do.
    """

    solid: Doubt = field(default=SOLID)
    flat: Doubt = field(default=FLAT)
    reach: tuple[Reach, Reach, Reach] = (Reach(), Reach(), Reach(mended_s=0.3, mended_always=0.22, own=0.35))
    look_s: float = 1.2
    drag_s: float = 2.5
    bad_share: float = 0.035

    def reach_at(self, iou: float) -> Reach:
        """What holds for boxes that are wrong below an overlap."""
        return self.reach[max(int(np.searchsorted(IOUS, iou + 1e-9)) - 1, 0)]


def after_looks(p: F64, time_s: F64, keyframes: Bool, accepted: Bool, reach: Reach) -> F64:
    """How likely boxes of one track are wrong after people looked at some of them; those are right.

    Args:
        p: (M,) how likely each was wrong before.
        keyframes, accepted: (M,) boxes that people set, or found good. Of a range that was accepted, its ends tell.
    """
    looks = np.flatnonzero(keyframes | accepted)
    if not len(looks):
        return p
    after = p
    for row in np.flatnonzero(keyframes).tolist():
        after = _if_wrong(after, after[row], np.abs(time_s - time_s[row]), reach)
    edge = np.diff(np.concatenate([[False], accepted, [False]]).astype(np.int8))
    ends = np.concatenate([np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1])
    for row in np.unique(ends).tolist():
        after = _if_right(after, after[row], np.abs(time_s - time_s[row]), reach)
    place = np.searchsorted(looks, np.arange(len(p)))
    before, behind = looks[np.maximum(place - 1, 0)], looks[np.minimum(place, len(looks) - 1)]
    nearest_s = np.minimum(np.abs(time_s - time_s[before]), np.abs(time_s - time_s[behind]))
    after = (1.0 - reach.own) * after + reach.own * p * (1.0 - np.exp(-nearest_s / reach.own_s))
    after[looks] = 0.0
    return after


def after_a_look(p: F64, time_s: F64, row: int, reach: Reach) -> F64:
    """What is to be expected of a track once somebody has looked at one box, and set it right if it was wrong."""
    wrong, apart = p[row], np.abs(time_s - time_s[row])
    told = wrong * _if_wrong(p, wrong, apart, reach) + (1.0 - wrong) * _if_right(p, wrong, apart, reach)
    expected: F64 = np.where(p > 0.0, told, 0.0)
    expected[row] = 0.0
    return expected


def gains(p: F64, time_s: F64, group: AnyArray, reach: Reach) -> F64:
    """(M,) how many wrong boxes a look at each box would mend, itself among them.

    Args:
        group: (M,) which track each is of, ascending; boxes of a track by time.
    """
    gain = p.copy()
    for step in range(1, min(_WINDOW, len(p) - 1) + 1):
        one, two = slice(None, -step), slice(step, None)
        same = group[one] == group[two]
        if not same.any():
            break
        apart = time_s[two] - time_s[one]
        both = np.where(same, _both(p[one], p[two], reach.rho(apart)), 0.0)
        mended = reach.mended(apart) * both
        gain[one] += mended - reach.harmed * np.where(same, p[one] - both, 0.0)
        gain[two] += mended - reach.harmed * np.where(same, p[two] - both, 0.0)
    return np.maximum(gain, p)


def _both(p: F64, q: F64, rho: F64) -> F64:
    """How likely two boxes of a track are both wrong."""
    both: F64 = rho * np.minimum(p, q) + (1.0 - rho) * p * q
    return both


def _if_wrong(p: F64, looked: F64, apart_s: F64, reach: Reach) -> F64:
    """Boxes of which another one, that was likely wrong by ``looked``, was found wrong and set right."""
    rho = reach.rho(apart_s)
    wrong = np.clip(_both(p, looked, rho) / np.maximum(looked, 1e-9), 0.0, 1.0)
    after: F64 = wrong * (1.0 - reach.mended(apart_s)) + (1.0 - wrong) * reach.harmed * rho
    return after


def _if_right(p: F64, looked: F64, apart_s: F64, reach: Reach) -> F64:
    """Boxes of which another one, that was likely wrong by ``looked``, was found right."""
    both = _both(p, looked, reach.rho(apart_s))
    after: F64 = np.clip((p - both) / np.maximum(1.0 - looked, 1e-9), 0.0, 1.0)
    return after


def votes_split(vote: I64, class_id: int) -> tuple[float, int]:
    """How likely a track's class is wrong by the classes of its detections (-1 none), and the class that it may be.

    Votes of one track are far from independent, so the odds are the square of the votes', not their power.
    """
    votes = np.bincount(vote[vote >= 0], minlength=class_id + 1).astype(np.float64)
    own, others = votes[class_id], np.delete(votes, class_id)
    if not others.any():
        return 0.0, class_id
    rival = int(others.argmax())
    share = others[rival] ** 2 / (others[rival] ** 2 + own**2)
    return float(share), rival + (rival >= class_id)


def switch_likely(signal: F64) -> F64:
    """(M,) how likely each box begins another object, by the signal of that name.

    Set by hand, above what next to no box of KITTI's tracks reaches: they have no switches to fit it on.
    """
    low, high = _SWITCH
    return np.asarray(0.9 * np.clip((signal - low) / (high - low), 0.0, 1.0))
