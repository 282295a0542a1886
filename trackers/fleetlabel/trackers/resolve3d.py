"""One track of cuboids, solved around a person's keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
AXIS_S = 0.5  # detections no further away in time say which way an object's axis is
KEY_WEIGHT = 1e3  # of a keyframe beside the surest detections


@dataclass(frozen=True, slots=True)
class EgoView:
    """The car that saw an object, at each of K times.

    Attributes:
        ego_from_world: (K, 4, 4).
        steady_from_world: (K, 4, 4) of :func:`steady_from_world`, over the whole sequence.
    """

    ego_from_world: F64
    steady_from_world: F64

    def at(self, rows: I64) -> EgoView:
        """At some of the times."""
        return EgoView(self.ego_from_world[rows], self.steady_from_world[rows])


@dataclass(frozen=True, slots=True)
class _Poses:
    """Poses (K, 4: x y z yaw) and standard deviations (K, 4: along, across, up, yaw)."""

    pose: F64
    std: F64
    stationary: bool


def solve_track_3d(
    timestamp_ns: I64, detections: Detections3D, key_frame: I64, key_box: F64, *,
    size_lwh_m: Sequence[float] | None = None, stationary: bool | None = None,
    absent: Sequence[tuple[int, int]] = (), ego: EgoView | None = None, config: Resolve3DConfig | None = None,
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
        ego: where the object was seen from: courses are smooth in the steadied world, and detections err the more the
            further away they are, and in what they do not see.
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
    size, size_std = _size(detections, size_lwh_m, ~away[frame])
    far = np.ones(len(frame))
    if ego is not None:
        pose, far = _as_seen_from(ego.at(frame), pose, detections.size_lwh_m, size, config)
    given = Given.of(times, frame, detections.score, keys, config, away, far)
    measured, key = np.zeros((len(times), 4)), np.zeros((len(times), 4))
    measured[frame], key[keys] = pose, key_values
    solved, share, velocity = _solve(given, measured, key, stationary, ego, config)
    out, std = solved.pose, solved.std
    out[keys], std[keys] = key_values, 0.0
    k = np.flatnonzero(~away)
    return SolvedTrack3D(
        frame=k.astype(np.int32), center_m=out[k, :3], size_lwh_m=size, yaw_rad=out[k, YAW],
        velocity_mps=velocity[k], center_std_m=std[k, :3], yaw_std_rad=std[k, YAW],
        size_std_m=size_std, stationary=solved.stationary, status=statuses(given)[k], method=methods(given, share)[k],
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


def _as_seen_from(
    ego: EgoView, pose: F64, found_lwh_m: F64, size_lwh_m: F64, config: Resolve3DConfig
) -> tuple[F64, F64]:
    """Detections (M, 4) moved to where boxes of the right size are, and how many times as much they err (M,).

    A detector sees the sides that face it, and the ground; what it takes to be too long ends too far away.
    """
    away = -se3.apply(ego.ego_from_world, pose[:, :3])  # from the object to the car, in its frame
    world_from_ego = np.swapaxes(ego.ego_from_world[:, :3, :3], 1, 2)
    away = np.einsum("nij,nj->ni", world_from_ego, away)
    cos, sin = np.cos(pose[:, YAW]), np.sin(pose[:, YAW])
    side = np.stack([cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0]], axis=1)
    share = np.clip(side / np.array(config.facing_m), -1.0, 1.0) * np.array(config.facing_share)
    excess = 0.5 * (found_lwh_m - size_lwh_m)
    forth = share * excess[:, :2]
    moved = pose.copy()
    moved[:, 0] += cos * forth[:, 0] - sin * forth[:, 1]
    moved[:, 1] += sin * forth[:, 0] + cos * forth[:, 1]
    moved[:, 2] -= config.ground_share * excess[:, 2]
    return moved, np.sqrt(1.0 + (np.hypot(away[:, 0], away[:, 1]) / config.far_m) ** 2)


def _solve(
    given: Given, measured: F64, key: F64, stationary: bool | None, ego: EgoView | None, config: Resolve3DConfig
) -> tuple[_Poses, F64, F64]:  # fmt: skip
    """Poses in the world, the share (K,) of straight lines between keyframes in them, and velocities (K, 3)."""
    own, own_key = measured, key
    if ego is not None:
        own, own_key = _moved(measured, ego.steady_from_world), _moved(key, ego.steady_from_world)
    solved = _smooth(given, own.copy(), own_key.copy(), stationary, config)
    out, share = solved.pose, np.zeros(len(measured))
    if not solved.stationary:
        share = straight_share(given, config.linear_s)
    if share.any():
        keys = np.flatnonzero(given.is_key)
        turned = own_key[keys]
        turned[:, YAW] = _near(turned[:, YAW], out[keys, YAW])
        out += share[:, None] * (between(given.time_s, keys, turned) - out)
    velocity = _velocity(given.time_s, out[:, :3])
    if ego is not None and not solved.stationary:
        out = _moved(out, se3.invert(ego.steady_from_world))
    out[:, YAW] = yaw.wrap(out[:, YAW])
    return replace(solved, pose=out), share, velocity


def _smooth(
    given: Given, measured: F64, key: F64, stationary: bool | None, config: Resolve3DConfig
) -> _Poses:
    """The likeliest poses; headings of ``measured`` and ``key`` are turned to where the object's front is."""
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
        stands = fit_course(
            given, measured[:, :2], key[:, :2], one, turn.mean[:, 0], config.ground, shares, config, (0.0,)
        )  # fmt: skip
        if stands.likelihood - config.stationary_doubt > ground.likelihood:
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
    """Yaw of the detections (K,) without jumps, pointing where the nearest keyframe, or without any most of them, do.

    Detectors take fronts for backs, and now and then sides: a detection's axis is what is near the axis that those
    around it agree on. Where nothing was detected, it is interpolated.
    """
    at = np.flatnonzero(given.seen | given.is_key)
    angle = np.where(given.is_key, key[:, YAW], measured[:, YAW])[at]
    weight = np.where(given.is_key, KEY_WEIGHT, given.jitter**-2)[at]
    doubled = np.concatenate([[0.0], np.cumsum(weight * np.exp(2j * angle))])
    time_s = given.time_s[at]
    low, high = (
        np.searchsorted(time_s, time_s - AXIS_S),
        np.searchsorted(time_s, time_s + AXIS_S, side="right"),
    )
    agreed = np.unwrap(0.5 * np.angle(doubled[high] - doubled[low]), period=np.pi)
    axis = agreed + yaw.difference(2.0 * angle, 2.0 * agreed) / 2.0
    off = np.cos(angle - axis)
    keys = np.flatnonzero(given.is_key[at])
    if len(keys):
        middle = 0.5 * (time_s[keys[1:]] + time_s[keys[:-1]])
        turned = off[keys][np.searchsorted(middle, time_s)] < 0.0
    else:
        turned = np.full(len(at), off.sum() < 0.0)
    seen = given.seen[at]
    heading: F64 = np.interp(given.time_s, time_s[seen], (axis + np.pi * turned)[seen])
    return heading


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
