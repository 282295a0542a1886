"""One track of cuboids, solved around a person's keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import se3, yaw
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.trackers.offline3d import weighted_quantile
from fleetlabel.trackers.resolve import (
    Given,
    SolvedTrack3D,
    between,
    checked,
    fit_course,
    methods,
    statuses,
    straight_share,
)
from fleetlabel.trackers.resolve_config import Resolve3DConfig
from fleetlabel.trackers.rows import Detections3D

YAW = 3  # column of poses: x y z yaw


@dataclass(frozen=True, slots=True)
class _Poses:
    """Poses (K, 4: x y z yaw) and standard deviations (K, 4: along, across, up, yaw)."""

    pose: F64
    std: F64
    stationary: bool


def solve_track_3d(
    timestamp_ns: I64, detections: Detections3D, key_frame: I64, key_box: F64, *,
    size_lwh_m: Sequence[float] | None = None, stationary: bool | None = None,
    absent: Sequence[tuple[int, int]] = (), steady_from_world: F64 | None = None,
    config: Resolve3DConfig | None = None,
) -> SolvedTrack3D:  # fmt: skip
    """Cuboids of one track at all times, keyframes exactly as given.

    Args:
        timestamp_ns: (K,) int64, strictly ascending; ``frame`` columns count these.
        detections: of this track only, at most one per frame, in the world frame.
        key_frame: (M,) int64, in any order.
        key_box: (M, 4) centre in the world frame and yaw.
        size_lwh_m: the object's size, if a person set it; it has one throughout, by default that of most detections.
        stationary: True: one pose in all frames but keyframes, which keep theirs; None: if all that is known fits.
        absent: frames ``start:stop`` at which there is no box; detections there are left out.
        steady_from_world: (K, 4, 4) of :func:`steady_from_world`: courses are smooth in that frame.
        config: see :class:`Resolve3DConfig`.

    Raises:
        ValueError: what is given is not finite, out of range, twice in a frame, or nothing at all.

    """
    config = config or Resolve3DConfig()
    frame = detections.frame.astype(np.int64)
    pose = np.column_stack([detections.center_m, detections.yaw_rad])
    times, keys, key_values, away = checked(
        timestamp_ns, (frame, pose, detections.score), key_frame, key_box, np.array(absent)
    )
    given = Given.of(times, frame, detections.score, keys, config, away)
    size, size_std = _size(detections, size_lwh_m, given.seen[frame])
    measured, key = np.zeros((len(times), 4)), np.zeros((len(times), 4))
    measured[frame] = _moved(pose, None if steady_from_world is None else steady_from_world[frame])
    key[keys] = _moved(key_values, None if steady_from_world is None else steady_from_world[keys])
    solved = _solve(given, measured, key, stationary, config)
    out, std = solved.pose, solved.std
    share = np.zeros(len(times)) if solved.stationary else straight_share(given, config.linear_s)
    if share.any():
        turned = key[keys]
        turned[:, YAW] = _near(turned[:, YAW], out[keys, YAW])
        out += share[:, None] * (between(given.time_s, keys, turned) - out)
    velocity = _velocity(given.time_s, out[:, :3])
    if steady_from_world is not None and not solved.stationary:
        out = _moved(out, se3.invert(steady_from_world))
    out[:, YAW] = yaw.wrap(out[:, YAW])
    out[keys], std[keys] = key_values, 0.0
    k = np.flatnonzero(~away)
    return SolvedTrack3D(
        frame=k.astype(np.int32), center_m=out[k, :3], size_lwh_m=size, yaw_rad=out[k, YAW], velocity_mps=velocity[k],
        center_std_m=std[k, :3], yaw_std_rad=std[k, YAW], size_std_m=size_std, stationary=solved.stationary,
        status=statuses(given)[k], method=methods(given, share)[k],
    )  # fmt: skip


def _size(detections: Detections3D, given: Sequence[float] | None, counts: Bool) -> tuple[F64, F64]:
    """Size of the object and its standard deviation (3,): as said, or the median of the detections, by score."""
    if given is not None:
        size = np.array(given, dtype=np.float64)
        if size.shape != (3,) or not (np.isfinite(size) & (size > 0)).all():
            raise ValueError(f"size_lwh_m is {given}, expected three positive lengths in metres")
        return size, np.zeros(3)
    found = detections.size_lwh_m[counts] if counts.any() else detections.size_lwh_m
    if not len(found):
        raise ValueError("the object has no detection to take its size from; give size_lwh_m")
    weight = (detections.score[counts] if counts.any() else detections.score) + 1e-9
    group = np.zeros(len(found), dtype=np.int64)
    size = weighted_quantile(found, weight, group, 1, 0.5)[0]
    return size, 1.4826 * np.median(np.abs(found - size), axis=0)


def _solve(given: Given, measured: F64, key: F64, stationary: bool | None, config: Resolve3DConfig) -> _Poses:
    if not given.seen.any():
        return _without_detections(given, key, stationary, config)
    heading = _headings(given, measured, key)
    measured[:, YAW], key[:, YAW] = heading, _near(key[:, YAW], heading)
    if stationary:
        return _one_pose(given, measured, key, config)
    one, straight, level = np.ones(len(measured)), np.zeros(len(measured)), np.ones((2, 1))
    factors = config.motion_factors
    turn = fit_course(
        given, measured[:, 3:], key[:, 3:], one, straight, config.heading, level, config, factors
    )
    shares = np.array([[1.0, config.across_jitter], [1.0, config.across_bias]])
    ground = fit_course(
        given, measured[:, :2], key[:, :2], one, turn.mean[:, 0], config.ground, shares, config, factors
    )  # fmt: skip
    if stationary is None and not given.is_key.any():
        still = fit_course(
            given, measured[:, :2], key[:, :2], one, turn.mean[:, 0], config.ground, shares, config, (0.0,)
        )  # fmt: skip
        if still.likelihood - config.stationary_doubt > ground.likelihood:
            return _one_pose(given, measured, key, config)
    up = fit_course(
        given, measured[:, 2:3], key[:, 2:3], one, straight, config.height, level, config, factors
    )
    cos, sin = np.cos(turn.mean[:, 0]) ** 2, np.sin(turn.mean[:, 0]) ** 2
    var_x, var_y = ground.var.T
    along, across = cos * var_x + sin * var_y, sin * var_x + cos * var_y
    return _Poses(
        np.concatenate([ground.mean, up.mean, turn.mean], axis=1),
        np.sqrt(np.stack([along, across, up.var[:, 0], turn.var[:, 0]], axis=1)),
        False,
    )


def _one_pose(given: Given, measured: F64, key: F64, config: Resolve3DConfig) -> _Poses:
    """The same pose at all times: the mean of the keyframes, or without any the median of the detections by jitter."""
    if given.is_key.any():
        pose = key[given.is_key].mean(axis=0)
        std = np.zeros(4)
    else:
        found = measured[given.seen]
        group = np.zeros(len(found), dtype=np.int64)
        pose = weighted_quantile(found, 1.0 / given.jitter[given.seen] ** 2, group, 1, 0.5)[0]
        bias = np.array([config.ground.bias, config.ground.bias, config.height.bias, config.heading.bias])
        std = bias + 1.4826 * np.median(np.abs(found - pose), axis=0) / np.sqrt(len(found))
    return _Poses(np.tile(pose, (len(measured), 1)), np.tile(std, (len(measured), 1)), True)


def _without_detections(given: Given, key: F64, stationary: bool | None, config: Resolve3DConfig) -> _Poses:
    at = np.flatnonzero(given.is_key)
    values = key[at].copy()
    values[:, YAW] = np.unwrap(values[:, YAW])
    if stationary:
        return _one_pose(given, key, key, config)
    away_s = np.abs(given.time_s[:, None] - given.time_s[at]).min(axis=1)
    speeds = [noise.start_velocity for noise in (config.ground, config.ground, config.height, config.heading)]
    return _Poses(between(given.time_s, at, values), away_s[:, None] * 0.1 * np.array(speeds), False)


def _headings(given: Given, measured: F64, key: F64) -> F64:
    """Yaw of the detections (K,) continuous modulo half a turn, pointing where keyframes, or most of them, do.

    Where nothing was detected, it is interpolated.
    """
    at = np.flatnonzero(given.seen)
    axis = np.unwrap(measured[at, YAW], period=np.pi)
    keys = np.flatnonzero(given.is_key)
    if len(keys):
        off = key[keys, YAW] - np.interp(given.time_s[keys], given.time_s[at], axis)
    else:
        off = measured[at, YAW] - axis
    turned: F64 = np.interp(
        given.time_s, given.time_s[at], axis + (np.pi if np.cos(off).sum() < 0.0 else 0.0)
    )
    return turned


def _near(angle: F64, reference: F64) -> F64:
    """Angles plus whole turns, so that they are within half a turn of the reference."""
    return np.asarray(reference + yaw.difference(angle, reference), dtype=np.float64)


def _velocity(time_s: F64, center: F64) -> F64:
    if len(time_s) < 2:
        return np.zeros_like(center)
    return np.asarray(np.gradient(center, time_s, axis=0), dtype=np.float64)


def _moved(pose: F64, dst_from_src: F64 | None) -> F64:
    """Poses (N, 4: x y z yaw) carried by a transform each (N, 4, 4), their headings by the transform's turn about z."""
    if dst_from_src is None:
        return pose.copy()
    turned = dst_from_src[:, 0, 0] * np.cos(pose[:, YAW]) + dst_from_src[:, 0, 1] * np.sin(pose[:, YAW])
    across = dst_from_src[:, 1, 0] * np.cos(pose[:, YAW]) + dst_from_src[:, 1, 1] * np.sin(pose[:, YAW])
    moved = se3.apply(dst_from_src, pose[:, :3])
    angle = pose[:, YAW] + yaw.difference(np.arctan2(across, turned), pose[:, YAW])
    return np.concatenate([moved, angle[:, None]], axis=1)
