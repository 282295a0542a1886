"""Solving one track around what a person said: what 2D and 3D share.

People's keyframes stay as they are, to the last bit. Between and around them, detections say how the object went, and
keyframes what detections are off by there; where keyframes lie close together, the straight line between them is
better than any detection and is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from fleetlabel.geometry.arrays import F64, I32, I64, U8, AnyArray, Bool
from fleetlabel.trackers.kernels.resolving import course
from fleetlabel.trackers.resolve_config import CourseNoise, ResolveConfig
from fleetlabel.trackers.rows import Status

ROBUST_PASSES = 2
LOGIT_LIMITS = (-4.0, 9.0)  # scores of 0 and 1 are not infinitely sure


class Method(IntEnum):
    """How a box came about, for those who ask why."""

    smoothed = 0
    corrected = 1
    straight = 2
    keyframe = 3


@dataclass(frozen=True, slots=True)
class SolvedTrack2D:
    """One track in pictures, K rows by frame.

    Attributes:
        frame: (K,) int32, into the times given; those at which the object is absent are left out.
        xyxy_px: (K, 4) float64.
        xyxy_std_px: (K, 4) float64 standard deviations, 0 at keyframes.
        status: (K,) uint8 :class:`Status`: human, smoothed (detected) or interpolated.
        method: (K,) uint8 :class:`Method`.
    """

    frame: I32
    xyxy_px: F64
    xyxy_std_px: F64
    status: U8
    method: U8


@dataclass(frozen=True, slots=True)
class SolvedTrack3D:
    """One track of cuboids, K rows by frame; ``frame``, ``status`` and ``method`` as in :class:`SolvedTrack2D`.

    Attributes:
        center_m: (K, 3) float64.
        size_lwh_m: (3,) float64, one for the whole track.
        yaw_rad: (K,) float64 in [-pi, pi), but keyframes' own values.
        velocity_mps: (K, 3) float64.
        center_std_m: (K, 3) float64 along the box's axes, 0 at keyframes.
        yaw_std_rad: (K,) float64.
        size_std_m: (3,) float64, 0 if the size was given.
        stationary: whether it has one pose throughout.
    """

    frame: I32
    center_m: F64
    size_lwh_m: F64
    yaw_rad: F64
    velocity_mps: F64
    center_std_m: F64
    yaw_std_rad: F64
    size_std_m: F64
    stationary: bool
    status: U8
    method: U8


@dataclass(frozen=True, slots=True)
class Given:
    """What is known about a track at each of K times, in columns that the kernels take."""

    time_s: F64
    seen: Bool
    is_key: Bool
    jitter: F64  # (K,) share of the class's, by score; 1 where nothing was detected
    bias: F64

    @classmethod
    def of(
        cls, timestamp_ns: I64, frame: I64, score: F64, key_frame: I64, config: ResolveConfig, absent: Bool,
        far: F64 | float = 1.0,
    ) -> Given:  # fmt: skip
        """From checked columns; detections at frames where the object is absent do not count.

        ``far`` (M,) is how many times as much detections err for being far away.
        """
        n = len(timestamp_ns)
        seen, is_key = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        seen[frame], is_key[key_frame] = True, True
        seen &= ~absent
        odds = np.clip(score, 1e-12, 1.0 - 1e-12)
        logit = np.clip(np.log(odds) - np.log1p(-odds), *LOGIT_LIMITS)
        jitter, bias = np.ones(n), np.ones(n)
        sure = np.exp(-config.jitter_per_logit * (logit - config.sure_logit))
        jitter[frame], bias[frame] = far * sure, far * sure**config.bias_per_jitter
        return cls((timestamp_ns - timestamp_ns[0]) * 1e-9, seen, is_key, jitter, bias)


@dataclass(frozen=True, slots=True)
class Fit:
    """The likeliest course (K, D) of some numbers of a box, its variance (K, D), and how likely it is."""

    mean: F64
    var: F64
    likelihood: float


def fit_course(
    given: Given, measured: F64, key: F64, scale: F64, turn_rad: F64, noise: CourseNoise, shares: F64,
    config: ResolveConfig, factors: tuple[float, ...], shake: float = 0.0,
) -> Fit:  # fmt: skip
    """The likeliest course of D = 1 or 2 numbers of a box, over strengths of motion and of errors.

    ``measured`` and ``key`` are (K, D) and count where there are such; ``shares`` (2, D) multiply jitter and bias.
    ``shake`` is what motion has at least, in units of ``scale``.
    Detections follow a Student-t: each pass weighs them by how far they lay off in the pass before.
    """
    jitter = (noise.jitter * given.jitter * scale)[:, None] * shares[0]
    bias = (noise.bias * given.bias * scale)[:, None] * shares[1]
    mean, var, nothing = np.empty_like(measured), np.empty_like(measured), np.empty((0, measured.shape[1]))
    spread = jitter
    pushed = np.hypot(scale, shake)
    seen, off_key = given.seen, noise.key * float(np.median(scale))

    def run(spread: F64, bias: F64, motion: F64, mean: F64, var: F64) -> float:
        return course(
            given.time_s, measured, seen, spread, turn_rad, bias, key, given.is_key, off_key, pushed, motion, mean, var
        )  # fmt: skip

    for _ in range(ROBUST_PASSES if seen.any() else 0):
        run(spread, bias, noise.motion(1.0), mean, var)
        expected = (jitter**2 + bias**2 + var).mean(axis=1)  # over axes: the world's directions do not matter
        off = ((mean - measured) ** 2).mean(axis=1) / expected
        dof = config.outlier_dof
        spread = jitter * np.where(seen, np.sqrt(np.maximum((dof + off) / (dof + 1.0), 1.0)), 1.0)[:, None]
    likeliest, best = np.ones(3), -np.inf
    choices = (factors, config.jitter_factors, config.bias_factors)
    doubts = np.array([config.motion_doubt, config.jitter_doubt, config.bias_doubt])
    for number, choice in enumerate(choices):  # one after the other: all together would take too long
        likelihoods = []
        for factor in choice:
            tried = likeliest.copy()
            tried[number] = factor
            motion, unsteady, wrong = tried.tolist()
            doubt = doubts @ np.log(np.where(tried > 0.0, tried, 1.0)) ** 2
            likelihoods.append(
                run(unsteady * spread, wrong * bias, noise.motion(motion), nothing, nothing) - doubt
            )
        likeliest[number], best = choice[int(np.argmax(likelihoods))], max(likelihoods)
    motion, unsteady, wrong = likeliest.tolist()
    run(unsteady * spread, wrong * bias, noise.motion(motion), mean, var)
    return Fit(mean, var, float(best))


def between(time_s: F64, at: I64, values: F64) -> F64:
    """(K, D) straight lines between values (M, D) at the samples ``at`` (M,), held before and after."""
    columns = [np.interp(time_s, time_s[at], values[:, a]) for a in range(values.shape[1])]
    return np.stack(columns, axis=1)


def straight_share(given: Given, linear_s: tuple[float, float]) -> F64:
    """(K,) how much of the straight line between keyframes goes into each box, 0 to 1."""
    share = np.zeros(len(given.time_s))
    keys = np.flatnonzero(given.is_key)
    if len(keys) < 2:
        return share
    inside = np.arange(keys[0], keys[-1])
    before = np.searchsorted(keys, inside, side="right") - 1
    gap = given.time_s[keys[before + 1]] - given.time_s[keys[before]]
    share[inside] = 1.0 - np.clip((gap - linear_s[0]) / (linear_s[1] - linear_s[0]), 0.0, 1.0)
    return share


def statuses(given: Given) -> U8:
    """(K,) :class:`Status` of the boxes."""
    seen = np.where(given.seen, Status.smoothed, Status.interpolated)
    return np.where(given.is_key, Status.human, seen).astype(np.uint8)


def methods(given: Given, share: F64) -> U8:
    """(K,) :class:`Method` of the boxes."""
    solved = Method.corrected if given.is_key.any() else Method.smoothed
    if not given.seen.any():
        solved = Method.straight
    return np.where(given.is_key, Method.keyframe, np.where(share > 0.5, Method.straight, solved)).astype(
        np.uint8
    )


def checked(
    timestamp_ns: I64, detections: tuple[AnyArray, AnyArray, AnyArray], key_frame: AnyArray, key_box: AnyArray,
    absent: AnyArray,
) -> tuple[I64, I64, F64, Bool]:  # fmt: skip
    """Times, key frames, key boxes and where the object is absent (K,), checked; detections are frame, box, score.

    Raises:
        ValueError: says what is wrong, where, and what was expected.

    """
    times = np.asarray(timestamp_ns, dtype=np.int64)
    if times.ndim != 1 or not len(times) or (np.diff(times) <= 0).any():
        raise ValueError(
            f"timestamp_ns has shape {times.shape}, expected one or more strictly ascending times"
        )
    frame, box, score = detections
    _check_frames("detections.frame", frame, len(times))
    _check_finite("detections", frame, np.column_stack([box, score]))
    keys = np.asarray(key_frame, dtype=np.int64).reshape(-1)
    values = (
        np.asarray(key_box, dtype=np.float64).reshape(len(keys), -1)
        if len(keys)
        else np.zeros((0, box.shape[1]))
    )
    if values.shape[1] != box.shape[1]:
        raise ValueError(f"key_box has {values.shape[1]} numbers per keyframe, expected {box.shape[1]}")
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    _check_frames("key_frame", keys, len(times))
    _check_finite("key_box", keys, values)
    if not len(frame) and not len(keys):
        raise ValueError("there is neither a detection nor a keyframe: nothing says where the object is")
    away = np.zeros(len(times), dtype=np.bool_)
    for start, stop in np.asarray(absent, dtype=np.int64).reshape(-1, 2):
        away[max(start, 0) : max(stop, 0)] = True
    if away[keys].any():
        at = int(keys[away[keys]][0])
        raise ValueError(f"frame {at} has a keyframe but the object is absent there; take one of them back")
    return times, keys, values, away


def _check_frames(name: str, frame: AnyArray, n: int) -> None:
    if len(frame) and not (frame.min() >= 0 and frame.max() < n):
        raise ValueError(f"{name} reaches from {frame.min()} to {frame.max()}, expected 0 to {n - 1}")
    twice = np.flatnonzero(np.diff(np.sort(frame)) == 0)
    if len(twice):
        at = int(np.sort(frame)[twice[0]])
        raise ValueError(f"{name} names frame {at} twice, expected one box per frame of the one object")


def _check_finite(name: str, frame: AnyArray, values: AnyArray) -> None:
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"{name} row {row}, frame {frame[row]}, is {values[row]}, expected finite numbers")
