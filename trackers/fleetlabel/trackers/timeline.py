"""The course of every track as one table of samples, and its smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I16, I32, I64
from fleetlabel.trackers.kernels import smoothing

YAW = 6
ROBUST_PASSES = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """The detections of a sequence as plain columns: box (N, D) is cx cy w h, or x y z l w h yaw."""

    time_s: F64
    frame: I64
    frame_ptr: I64
    box: F64
    score: F64
    weight: F64
    class_id: I64

    @classmethod
    def gather(
        cls,
        timestamp_ns: I64,
        frame_ptr: I64,
        frame: I32,
        box: F64,
        score: F64,
        class_id: I16,
        weight: F64 | None,
    ) -> Evidence:
        """From checked columns; weights are scaled so that their median is 1.

        Raises:
            ValueError: ``weight`` has another length than the detections, or is not positive and finite.

        """
        weights = np.ones(len(box)) if weight is None else np.array(weight, dtype=np.float64)
        if weights.shape != (len(box),) or not bool((np.isfinite(weights) & (weights > 0)).all()):
            raise ValueError(
                f"weight has shape {weights.shape} and least value {weights.min(initial=np.inf)}, "
                f"expected ({len(box)},) positive finite numbers; give unknown ones the weight of an ordinary one"
            )
        first = int(timestamp_ns[0]) if len(timestamp_ns) else 0
        return cls(
            time_s=np.asarray((timestamp_ns - first) * 1e-9, dtype=np.float64),
            frame=frame.astype(np.int64), frame_ptr=frame_ptr, box=box,
            score=np.array(score, dtype=np.float64), weight=weights / (np.median(weights) if len(weights) else 1.0),
            class_id=class_id.astype(np.int64),
        )  # fmt: skip

    @property
    def is_3d(self) -> bool:
        """Whether the boxes are cuboids."""
        return bool(self.box.shape[1] == 7)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Samples of all tracks, one per frame from the first to the last that a track covers, track after track.

    Attributes:
        ptr: (T + 1,) int64, where each track begins.
        track: (K,) int64, number of the track, 0..T-1.
        frame: (K,) int64.
        detection: (K,) int64, -1 where the track has none.
        mean: (K, 2, D) float64 and ``var`` (K, 3, D): smoothed; see ``kernels.smoothing``.
        scale: (K,) float64, what noise is multiplied by.
        class_id: (T,) int64, by vote.
        noise: (T, 4, D) float64, of the track's class; rows as in ``kernels.smoothing``.

    """

    ptr: I64
    track: I64
    frame: I64
    detection: I64
    mean: F64
    var: F64
    scale: F64
    class_id: I64
    noise: F64


@dataclass(frozen=True, slots=True)
class ClassNoise:
    """Noise of each class: ``values`` (C, 4, D), rows as in ``kernels.smoothing``; ``classes`` (C,)
    ascending.

    Classes that are not listed have the noise ``other`` (4, D).
    """

    classes: I64
    values: F64
    other: F64

    def of(self, class_id: I64) -> F64:
        """Noise (T, 4, D) of tracks of the classes (T,)."""
        table = np.concatenate([self.values, self.other[None]])
        index = np.searchsorted(self.classes, class_id)
        known = index < len(self.classes)
        known[known] = self.classes[index[known]] == class_id[known]
        return table[np.where(known, index, len(self.classes))]


def build_timeline(
    evidence: Evidence, owner: I64, *, extend_s: float, noise: ClassNoise, dof: float
) -> Timeline:
    """Samples of every track over its span, grown by ``extend_s`` on both sides, smoothed."""
    rows = np.flatnonzero(owner >= 0)
    rows = rows[np.lexsort((evidence.frame[rows], owner[rows]))]
    n_tracks = int(owner.max()) + 1 if len(owner) else 0
    begin = np.searchsorted(owner[rows], np.arange(n_tracks + 1))
    low, high = evidence.frame[rows[begin[:-1]]], evidence.frame[rows[begin[1:] - 1]]
    low = np.searchsorted(evidence.time_s, evidence.time_s[low] - extend_s - 1e-9)
    high = np.searchsorted(evidence.time_s, evidence.time_s[high] + extend_s + 1e-9, side="right") - 1
    ptr = np.concatenate([[0], np.cumsum(high - low + 1)]).astype(np.int64)
    track = np.repeat(np.arange(n_tracks), np.diff(ptr))
    frame = low[track] + np.arange(ptr[-1]) - ptr[:-1][track]
    detection = np.full(ptr[-1], -1, dtype=np.int64)
    detection[ptr[owner[rows]] + evidence.frame[rows] - low[owner[rows]]] = rows
    scale = _scale(evidence, ptr, detection, frame)
    classes = vote(evidence, owner, n_tracks)
    of_track = noise.of(classes)
    mean, var = smooth_samples(evidence, ptr, frame, detection, scale, of_track, dof)
    return Timeline(
        ptr=ptr, track=track, frame=frame, detection=detection, mean=mean, var=var, scale=scale,
        class_id=classes, noise=of_track,
    )  # fmt: skip


def neighbours(ptr: I64, detection: I64) -> tuple[I64, I64]:
    """Sample with a detection at or before, and at or after, each sample (K,) of the same track; -1 for
    none.
    """
    index, seen = np.arange(len(detection)), detection >= 0
    left = np.maximum.accumulate(np.where(seen, index, -1))
    right = np.minimum.accumulate(np.where(seen, index, len(seen))[::-1])[::-1]
    length = np.diff(ptr)
    left[left < np.repeat(ptr[:-1], length)] = -1
    right[right >= np.repeat(ptr[1:], length)] = -1
    return left, right


def _scale(evidence: Evidence, ptr: I64, detection: I64, frame: I64) -> F64:
    """Size of the box at each sample in 2D, interpolated where there is none; 1 in 3D."""
    if evidence.is_3d:
        return np.ones(len(detection))
    seen = np.flatnonzero(detection >= 0)
    size = np.sqrt(np.prod(np.maximum(evidence.box[detection[seen], 2:4], 1.0), axis=1))
    left, right = neighbours(ptr, detection)
    left, right = np.where(left < 0, right, left), np.where(right < 0, left, right)
    rank = np.cumsum(detection >= 0) - 1
    before, after = size[rank[left]], size[rank[right]]
    alpha = (frame - frame[left]) / np.maximum(frame[right] - frame[left], 1)
    return np.asarray(before + alpha * (after - before), dtype=np.float64)


def smooth_samples(
    evidence: Evidence, ptr: I64, frame: I64, detection: I64, scale: F64, noise: F64, dof: float
) -> tuple[F64, F64]:
    """Robust smoothing of the samples: mean (K, 2, D) and var (K, 3, D); noise is (T, 4, D).

    Detections follow a Student-t: each pass weighs them by how far they lay off in the pass before.
    """
    d = evidence.box.shape[1]
    mean, var = np.zeros((len(frame), 2, d)), np.zeros((len(frame), 3, d))
    seen = detection >= 0
    measured = measurements(evidence, ptr, detection)
    time_s = evidence.time_s[frame]
    base = np.full(len(frame), np.inf)
    base[seen] = 1.0 / np.sqrt(evidence.weight[detection[seen]])
    spread = base
    track = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    for _ in range(ROBUST_PASSES + 1):
        smoothing.smooth(ptr, time_s, measured, spread, scale, noise, mean, var)
        n = 3 if evidence.is_3d else 4
        r2 = (base[seen, None] * scale[seen, None] * noise[track[seen], 0, :n]) ** 2
        off = ((measured[seen, :n] - mean[seen, 0, :n]) ** 2 / (r2 + var[seen, 0, :n])).mean(axis=1)
        spread = base.copy()
        spread[seen] *= np.sqrt(np.maximum((dof + off) / (dof + 1.0), 1.0))
    return mean, var


def measurements(evidence: Evidence, ptr: I64, detection: I64) -> F64:
    """(K, D) boxes of the samples, headings unwrapped modulo pi; the first detection where a track begins
    unseen.
    """
    seen = detection >= 0
    position = np.where(seen, np.arange(len(detection)), len(detection))
    nearest = np.minimum.accumulate(position[::-1])[::-1][ptr[:-1]]
    measured = np.repeat(evidence.box[detection[nearest]], np.diff(ptr), axis=0)
    measured[seen] = evidence.box[detection[seen]]
    if evidence.is_3d:
        yaw = np.empty(len(detection))
        smoothing.unwrap_axis(ptr, measured[:, YAW].copy(), detection, yaw)
        measured[:, YAW] = yaw
    return measured


def vote(evidence: Evidence, owner: I64, n_tracks: int) -> I64:
    """Class of each track (T,): the one whose detections score most together, the lower id on a tie."""
    used = owner >= 0
    if not used.any():
        return np.zeros(n_tracks, dtype=np.int64)
    classes, index = np.unique(evidence.class_id[used], return_inverse=True)
    votes = np.zeros((n_tracks, len(classes)))
    np.add.at(votes, (owner[used], index), evidence.score[used])
    winner: I64 = classes[np.argmax(votes, axis=1)]
    return winner
