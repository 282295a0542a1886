"""Whole-sequence pass over 3D tracks: as in 2D, and one size per object, one heading, one pose while
parked.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.trackers.kernels import smoothing
from fleetlabel.trackers.offline import output_rows, owner_of_rows, solve
from fleetlabel.trackers.offline_config import Smooth3DConfig
from fleetlabel.trackers.online import check_detections, check_times
from fleetlabel.trackers.rows import Detections3D, Tracks3D
from fleetlabel.trackers.timeline import YAW, Evidence, Timeline
from fleetlabel.trackers.tracker3d import packed
from fleetlabel.trackers.uncertainty import center_std_m


def smooth_tracks_3d(
    rows: Tracks3D, timestamp_ns: I64, detections: Detections3D, config: Smooth3DConfig | None = None,
    *, weight: F64 | None = None,
) -> Tracks3D:  # fmt: skip
    """Tracks of a whole sequence, looking both ways; see :func:`smooth_tracks_2d`.

    ``weight`` (N,) may be the number of lidar points in each detection. Boxes should be in the world frame.
    """
    config = config or Smooth3DConfig()
    times = check_times(timestamp_ns)
    box = packed(detections)
    frame_ptr = check_detections(len(times), detections.frame, box, detections.score)
    evidence = Evidence.gather(
        times, frame_ptr, detections.frame, box, detections.score, detections.class_id, weight
    )
    owner = owner_of_rows(rows.track_id, rows.detection, len(detections))
    line = solve(evidence, owner, config, config.noise(), config.reach_m)
    size = rigid_size(evidence, line, config.size_quantile)
    pose, velocity, parked = one_pose_while_parked(evidence, line, config)
    heading = settle_heading(evidence, line, parked, pose[:, 3], config)
    out = output_rows(evidence, line, config)
    k = out.sample
    return Tracks3D(
        frame=out.frame, track_id=out.track_id, center_m=pose[k, :3], size_lwh_m=size[line.track[k]],
        yaw_rad=heading[k], velocity_mps=velocity[k], score=out.score,
        class_id=out.class_id, detection=out.detection, status=out.status,
        center_std_m=center_std_m(line, k, size[line.track[k]], config),
    )  # fmt: skip


def weighted_quantile(values: F64, weight: F64, group: I64, n_groups: int, quantile: float) -> F64:
    """Quantile (G, D) of each column of values (N, D) within groups (N,), every group present."""
    out = np.empty((n_groups, values.shape[1]))
    for a in range(values.shape[1]):
        order = np.lexsort((values[:, a], group))
        mass = np.cumsum(weight[order])
        end = np.searchsorted(group[order], np.arange(n_groups), side="right")
        before = np.concatenate([[0.0], mass[end[:-1] - 1]])
        target = before + quantile * (mass[end - 1] - before)
        position = np.minimum(np.searchsorted(mass, target * (1.0 - 1e-12)), end - 1)
        out[:, a] = values[order[position], a]
    return out


def rigid_size(evidence: Evidence, line: Timeline, quantile: float) -> F64:
    """One size (T, 3) per track: a quantile of its detections' sizes, weighted by score and weight."""
    seen = line.detection[line.detection >= 0]
    weight = evidence.score[seen] * evidence.weight[seen] + 1e-9
    group = line.track[line.detection >= 0]
    return weighted_quantile(evidence.box[seen, 3:6], weight, group, len(line.class_id), quantile)


def one_pose_while_parked(
    evidence: Evidence, line: Timeline, config: Smooth3DConfig
) -> tuple[F64, F64, Bool]:
    """Pose (K, 4: x y z yaw) and velocity (K, 3) of the samples, and which tracks (T,) stand still
    throughout.

    A track stands still if the straight course that fits its detections best is slow, and no part of the
    track lies further from its middle than ``stationary_radius_m``. Its pose is the weighted median of its
    detections.
    """
    n_tracks = len(line.class_id)
    pose = np.concatenate([line.mean[:, 0, :3], line.mean[:, 0, YAW : YAW + 1]], axis=1)
    velocity = line.mean[:, 1, :3].copy()
    has = line.detection >= 0
    seen, group = line.detection[has], line.track[has]
    weight = evidence.score[seen] * evidence.weight[seen] + 1e-9
    middle = weighted_quantile(evidence.box[seen, :3], weight, group, n_tracks, 0.5)
    # Speed of the least-squares line through each track's smoothed centres.
    count = np.bincount(line.track, minlength=n_tracks)
    t = evidence.time_s[line.frame]
    t = t - (np.bincount(line.track, t, n_tracks) / count)[line.track]
    spread = np.maximum(np.bincount(line.track, t * t, n_tracks), 1e-9)
    slope = np.stack([np.bincount(line.track, t * pose[:, a], n_tracks) / spread for a in (0, 1)], axis=1)
    away = np.linalg.norm(pose[:, :2] - middle[line.track, :2], axis=1)
    furthest = np.zeros(n_tracks)
    np.maximum.at(furthest, line.track, away)
    parked: Bool = (np.linalg.norm(slope, axis=1) < config.stationary_speed_mps) & (
        furthest < config.stationary_radius_m
    )
    rows = parked[line.track]
    pose[rows, :3] = middle[line.track[rows]]
    if config.ego_drift > 0.0 and rows.any():
        pose[rows, :3] = _drifting(evidence, line, rows, config)
    velocity[rows] = 0.0
    # Mean axis, weighted, of the doubled angle: modulo pi there is no other mean.
    double = 2.0 * evidence.box[seen, YAW]
    axis = 0.5 * np.arctan2(
        np.bincount(group, weight * np.sin(double), n_tracks),
        np.bincount(group, weight * np.cos(double), n_tracks),
    )
    pose[rows, 3] = axis[line.track[rows]]
    return pose, velocity, parked


def _drifting(evidence: Evidence, line: Timeline, rows: Bool, config: Smooth3DConfig) -> F64:
    """Centres (P, 3) of the samples ``rows`` of parked objects as they seem to wander with the ego poses'
    error.
    """
    track = line.track[rows]
    ptr = np.flatnonzero(np.diff(track, prepend=-1, append=-1)).astype(np.int64)
    measured = np.ascontiguousarray(line.mean[rows, 0, :3])
    spread = np.where(line.detection[rows] >= 0, 1.0, np.inf)
    noise = np.zeros((len(ptr) - 1, 4, 3))
    noise[:, 0], noise[:, 2] = config.position_std_m, config.ego_drift
    seen = line.detection[rows] >= 0
    measured[seen] = evidence.box[line.detection[rows][seen], :3]
    spread[seen] /= np.sqrt(evidence.weight[line.detection[rows][seen]])
    mean, var = np.zeros((len(track), 2, 3)), np.zeros((len(track), 3, 3))
    time_s = evidence.time_s[line.frame[rows]]
    smoothing.smooth(ptr, time_s, measured, spread, np.ones(len(track)), noise, mean, var)
    return mean[:, 0]


def settle_heading(
    evidence: Evidence, line: Timeline, parked: Bool, axis_rad: F64, config: Smooth3DConfig
) -> F64:
    """Headings (K,) in [-pi, pi): the smoothed axis, pointing where the object drives or most detections
    say.
    """
    n_tracks = len(line.class_id)
    has = line.detection >= 0
    seen = line.detection[has]
    weight = evidence.score[seen] * evidence.weight[seen] + 1e-9
    agreement = np.bincount(
        line.track[has], weight * np.sign(np.cos(evidence.box[seen, YAW] - axis_rad[has])), n_tracks
    )
    # Distance driven along the axis, forwards less backwards.
    inside = np.flatnonzero(line.track[1:] == line.track[:-1])
    step = line.mean[inside + 1, 0, :2] - line.mean[inside, 0, :2]
    along = step[:, 0] * np.cos(axis_rad[inside]) + step[:, 1] * np.sin(axis_rad[inside])
    driven = np.bincount(line.track[inside], along, n_tracks)
    forward = np.where(~parked & (np.abs(driven) > config.moving_m), driven, agreement)
    return yaw.wrap(axis_rad + np.where(forward < 0.0, np.pi, 0.0)[line.track])
