"""The whole-sequence pass that 2D and 3D share: which detection is whose, and the smoothed courses.

A solution is one array: ``owner`` (N,) names the track of each detection, -1 for none. Smoothing turns it
into a timeline of samples; free detections that a track passes through are claimed; tracks that continue each
other are linked; and so on for a few rounds. Nothing depends on the order of anything but time and ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F64, I16, I32, I64, U8, Bool
from fleetlabel.trackers.kernels import gating
from fleetlabel.trackers.noise_fit import fit_noise
from fleetlabel.trackers.offline_config import SmoothConfig
from fleetlabel.trackers.rows import Status
from fleetlabel.trackers.timeline import YAW, ClassNoise, Evidence, Timeline, build_timeline, neighbours


@dataclass(frozen=True, slots=True)
class OutputRows:
    """Columns of the rows to give out, sorted by frame, and the timeline's sample behind each."""

    sample: I64
    frame: I32
    track_id: I64
    score: F64
    class_id: I16
    detection: I64
    status: U8


def owner_of_rows(track_id: I64, detection: I64, n_detections: int) -> I64:
    """Track of each detection (N,), -1 for none, from the rows of an online tracker.

    Raises:
        ValueError: a row names a detection that does not exist, or two rows name the same one.

    """
    matched = detection >= 0
    named = detection[matched]
    if len(named) and (int(named.max()) >= n_detections or len(np.unique(named)) != len(named)):
        raise ValueError(
            f"rows name detections up to {named.max()}, {len(named) - len(np.unique(named))} of them twice; there are "
            f"{n_detections} detections: give the rows and the detections of the same run over the whole sequence"
        )
    owner = np.full(n_detections, -1, dtype=np.int64)
    owner[named] = track_id[matched]
    return owner


def output_rows(evidence: Evidence, line: Timeline, config: SmoothConfig) -> OutputRows:
    """The samples to give out: all with a detection, short gaps, beside lone detections just very short ones."""
    seen = line.detection >= 0
    left, right = neighbours(line.ptr, line.detection)
    time_s = evidence.time_s[line.frame]
    filled = time_s[right] - time_s[left] <= config.fill_gap_s + 1e-9
    lone = _lone(line, seen, config.fill_lone_frames)
    filled &= ~(lone[left] | lone[right]) | (line.frame[right] - line.frame[left] <= config.fill_lone_frames)
    shown = np.flatnonzero(seen | filled)
    shown = shown[np.lexsort((line.track[shown], line.frame[shown]))]
    rank = np.empty(len(line.class_id), dtype=np.int64)  # ids from 1 in order of first detection
    rank[np.lexsort((np.arange(len(rank)), line.frame[line.ptr[:-1]]))] = np.arange(1, len(rank) + 1)
    score = np.zeros(len(seen))
    score[seen] = evidence.score[line.detection[seen]]
    count = np.bincount(line.track[seen], minlength=len(rank))
    average = np.bincount(line.track, score, len(rank)) / np.maximum(count, 1)
    score[~seen] = average[line.track[~seen]]
    return OutputRows(
        sample=shown, frame=line.frame[shown].astype(np.int32), track_id=rank[line.track[shown]], score=score[shown],
        class_id=line.class_id[line.track[shown]].astype(np.int16), detection=line.detection[shown],
        status=np.where(seen[shown], Status.smoothed, Status.interpolated).astype(np.uint8),
    )  # fmt: skip


def _lone(line: Timeline, seen: Bool, within_frames: int) -> Bool:
    """Samples (K,) with a detection that has no other of its track so near: nobody knows how its object moves."""
    sample = np.flatnonzero(seen)
    near = (line.track[sample][1:] == line.track[sample][:-1]) & (
        np.diff(line.frame[sample]) <= within_frames
    )
    lone = np.zeros(len(seen), dtype=np.bool_)
    lone[sample] = ~(np.append(near, False) | np.append(False, near))
    return lone


def solve(evidence: Evidence, owner: I64, config: SmoothConfig, start_noise: F64, reach_m: float) -> Timeline:
    """Claim, link and smooth; returns the timeline of the tracks that are kept."""
    noise = ClassNoise(
        classes=np.empty(0, dtype=np.int64), values=np.empty((0, *start_noise.shape)), other=start_noise
    )
    for round_ in range(config.rounds):
        owner = _compact(owner)
        if not (owner >= 0).any():
            break
        if round_ == 0:
            line = build_timeline(evidence, owner, extend_s=0.0, noise=noise, dof=config.outlier_dof)
            noise = fit_noise(evidence, line, start_noise)
        line = build_timeline(evidence, owner, extend_s=config.extend_s, noise=noise, dof=config.outlier_dof)
        owner = _claim(evidence, owner, line, config, reach_m)
        owner = _link(evidence, _compact(owner), config, noise)
    owner = _drop_false(evidence, _compact(owner), config)
    return build_timeline(
        evidence, _compact(owner), extend_s=0.0,
        noise=noise, dof=config.outlier_dof,
    )  # fmt: skip


def _compact(owner: I64) -> I64:
    """Tracks renumbered 0..T-1 in the order of their numbers."""
    out = np.full(len(owner), -1, dtype=np.int64)
    used = owner >= 0
    out[used] = np.unique(owner[used], return_inverse=True)[1]
    return out


def _claim(evidence: Evidence, owner: I64, line: Timeline, config: SmoothConfig, reach_m: float) -> I64:
    free: Bool = (owner < 0) & (evidence.score >= config.claim_score)
    chosen = gating.claim(
        line.frame, np.ascontiguousarray(line.mean[:, 0]), line.class_id[line.track], line.detection < 0,
        evidence.frame_ptr, evidence.box, evidence.class_id, free, reach_m, config.claim_gate, config.class_penalty,
    )  # fmt: skip
    claimed = owner.copy()
    claimed[chosen[chosen >= 0]] = line.track[chosen >= 0]
    return claimed


def _link(evidence: Evidence, owner: I64, config: SmoothConfig, noise: ClassNoise) -> I64:
    line = build_timeline(evidence, owner, extend_s=0.0, noise=noise, dof=config.outlier_dof)
    first, last = line.ptr[:-1], line.ptr[1:] - 1
    following = gating.link(
        evidence.time_s[line.frame[last]], line.mean[last], line.var[last],
        evidence.time_s[line.frame[first]], line.mean[first], line.var[first], line.class_id,
        noise.of(line.class_id), line.scale[last], line.scale[first],
        config.link_gap_s, config.link_reach, config.link_gate,
        config.class_penalty * config.link_gate, YAW if evidence.is_3d else -1,
    )  # fmt: skip
    head = np.arange(len(following))
    for track in np.argsort(
        line.frame[first], kind="stable"
    ):  # starts before ends: a chain takes its head's number
        if following[track] >= 0:
            head[following[track]] = head[track]
    return np.where(owner >= 0, head[np.maximum(owner, 0)], -1)


def _drop_false(evidence: Evidence, owner: I64, config: SmoothConfig) -> I64:
    used = owner >= 0
    n_tracks = int(owner.max()) + 1 if used.any() else 0
    count = np.bincount(owner[used], minlength=n_tracks)
    total = np.bincount(owner[used], weights=evidence.score[used], minlength=n_tracks)
    keep = (count >= config.min_detections) & (total >= config.min_evidence)
    keep &= total >= config.min_mean_score * count
    return np.where(used & np.append(keep, False)[owner], owner, -1)
