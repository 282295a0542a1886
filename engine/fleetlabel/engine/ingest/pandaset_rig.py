"""PandaSet's poses: where the ego vehicle was, and where each camera sits on it.

PandaSet gives a world pose per lidar sweep and one per picture, and no extrinsics. The lidar's poses, turned
to x forward, are the ego poses. Each camera's extrinsics are the component-wise median over the drive of its
poses relative to the ego pose interpolated to the exposure.

On 24 frames of sequence 002, camera poses differ from those that the lidar's poses alone predict by, in the
median, 0.7-2.3 mm and 0.009-0.036 degrees (0.15-0.94 px; at most 20 mm, 0.08 degrees, 2.3 px). That is no
error of the extrinsics: in every frame the pictures' poses continue the sweep's pose smoothly (0.0002 degrees
from one camera to the next), so the difference is the jitter between one sweep's pose and the next one's.
Hence the camera poses serve as further samples of the trajectory: pictures are then placed exactly as the
source places them relative to their own sweep (residual 0). Only pictures within a millisecond of a sweep's
pose, which are the back camera's, keep the difference (median 0.6 px, at most 1.3 px): two poses so close in
time would look like a jump.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError

# PandaSet's lidar-pose frame is x right, y forward, z up.
EGO_FROM_LIDAR: F64 = se3.transform(np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]), np.zeros(3))

_MIN_STEP_NS = 1_000_000
# A camera pose further than this from the lidar's prediction is an error of the log, not jitter.
_MAX_OFF_M = 0.25
_MAX_OFF_RAD = np.radians(2.0)


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """The ego vehicle's path and the cameras on it.

    Attributes:
        trajectory: world_from_ego, in the source's own world.
        ego_from_camera: camera name -> (4, 4).
        warnings: poses that were not used, in words.
    """

    trajectory: Trajectory
    ego_from_camera: Mapping[str, F64]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PosedTimes:
    """World poses of one sensor by frame.

    Attributes:
        times: when each sample was taken.
        world_from_sensor: (F, 7); rows of NaN where there is none.
        where: the file with the poses, for messages.
    """

    times: Timeline
    world_from_sensor: F64
    where: Path

    def good(self) -> Bool:
        """(F,) frames with a pose at a time that can be trusted."""
        usable = np.array(np.isfinite(self.world_from_sensor).all(axis=1))
        usable[list(self.times.faults)] = False
        return usable


def parse_poses(entries: Any, where: Path) -> F64:
    """Poses (N, 7) of a ``poses.json``; rows of NaN where a pose is not finite or its quaternion is zero.

    Raises:
        SourceError: an entry has not the form {"position": {x, y, z}, "heading": {w, x, y, z}}.
    """
    rows = []
    for row, entry in enumerate(entries):
        try:
            rows.append(
                [float(entry["position"][axis]) for axis in "xyz"]
                + [float(entry["heading"][axis]) for axis in "wxyz"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"{where}: pose {row} is not {{position: {{x, y, z}}, heading: {{w, x, y, z}}}} ({error!r}); "
                "restore the file from the original log"
            ) from error
    poses = np.array(rows, dtype=np.float64).reshape(-1, 7)
    bad = ~np.isfinite(poses).all(axis=1) | ~(np.linalg.norm(poses[:, 3:], axis=1) > 1e-6)
    poses[bad] = np.nan
    poses[~bad, 3:] = quaternion.normalize(poses[~bad, 3:])
    return poses


def estimate_rig(lidar: PosedTimes, cameras: Mapping[str, PosedTimes]) -> Rig:
    """Ego trajectory and camera extrinsics; see the module's description.

    Raises:
        SourceError: fewer than two lidar poses can be used, or no pose of a camera.
    """
    good = lidar.good()
    if int(good.sum()) < 2:
        raise SourceError(
            f"{lidar.where}: {int(good.sum())} of {len(good)} poses are finite and at a time in order, at "
            f"least 2 are needed to know where the vehicle was; restore the file from the original log"
        )
    warnings = [] if good.all() else [_unused(lidar, ~good)]
    world_from_lidar = se3.from_pose(lidar.world_from_sensor[good])
    times = [lidar.times.timestamp_ns[good]]
    poses = [se3.to_pose(world_from_lidar @ se3.invert(EGO_FROM_LIDAR))]
    by_lidar = Trajectory(times[0], poses[0])
    ego_from_camera = {}
    for name, camera in cameras.items():
        usable = camera.good() & _covered(by_lidar, camera.times.timestamp_ns)
        if not usable.any():
            raise SourceError(
                f"{camera.where}: no pose can be used, so nobody knows where {name} looks; restore the file"
            )
        world_from_camera = se3.from_pose(camera.world_from_sensor[usable])
        at = camera.times.timestamp_ns[usable]
        # The lidar's poses say nothing of the time before the first; without any other frame it has to do.
        inside = (at >= by_lidar.timestamp_ns[0]) & (at <= by_lidar.timestamp_ns[-1])
        relative = se3.invert(by_lidar.at(at)) @ world_from_camera
        ego_from_camera[name] = _median_pose(relative[inside] if inside.any() else relative)
        agrees = _agrees(relative, ego_from_camera[name])
        times.append(at[agrees])
        poses.append(se3.to_pose(world_from_camera[agrees] @ se3.invert(ego_from_camera[name])))
        unused = ~camera.good() & np.isfinite(camera.world_from_sensor).any(axis=1)
        unused[np.flatnonzero(usable)[~agrees]] = True
        if unused.any():
            warnings.append(_unused(camera, unused))
    return Rig(merged(times, poses), ego_from_camera, tuple(warnings))


def _covered(trajectory: Trajectory, timestamp_ns: I64) -> Bool:
    slack = trajectory.max_extrapolation_ns
    covered: Bool = (timestamp_ns >= trajectory.timestamp_ns[0] - slack) & (
        timestamp_ns <= trajectory.timestamp_ns[-1] + slack
    )
    return covered


def _median_pose(transforms: F64) -> F64:
    """The component-wise median of transforms (N, 4, 4) that are nearly the same: outliers do not move it."""
    q = quaternion.from_matrix(transforms[:, :3, :3])
    q = np.where(np.sum(q * q[:1], axis=1, keepdims=True) < 0, -q, q)
    rotation = quaternion.to_matrix(quaternion.normalize(np.median(q, axis=0)))
    return se3.transform(rotation, np.median(transforms[:, :3, 3], axis=0))


def _agrees(relative: F64, expected: F64) -> Bool:
    difference = se3.invert(expected) @ relative
    angle = 2 * np.arccos(np.clip(quaternion.from_matrix(difference[:, :3, :3])[:, 0], 0, 1))
    near: Bool = (np.linalg.norm(difference[:, :3, 3], axis=1) <= _MAX_OFF_M) & (angle <= _MAX_OFF_RAD)
    return near


def merged(times: list[I64], poses: list[F64]) -> Trajectory:
    """One trajectory: all samples of the first sensor, those of others where none is within 1 ms."""
    kept_times, kept_poses = times[0], poses[0]
    for more_times, more_poses in zip(times[1:], poses[1:], strict=True):
        after = np.searchsorted(kept_times, more_times)
        to_next = kept_times[np.minimum(after, len(kept_times) - 1)] - more_times
        to_previous = more_times - kept_times[np.maximum(after - 1, 0)]
        apart = (np.abs(to_next) >= _MIN_STEP_NS) & (np.abs(to_previous) >= _MIN_STEP_NS)
        joined = np.concatenate([kept_times, more_times[apart]])
        order = np.argsort(joined, kind="stable")
        kept_times = joined[order]
        kept_poses = np.concatenate([kept_poses, more_poses[apart]])[order]
    return Trajectory(kept_times, kept_poses)


def _unused(sensor: PosedTimes, frames: Bool) -> str:
    listed = ", ".join(str(frame) for frame in np.flatnonzero(frames)[:10])
    return (
        f"{sensor.where}: poses of {int(frames.sum())} frames were not used (not finite, at a time out of "
        f"order, or far from the vehicle's other poses): frames {listed}{' ...' if frames.sum() > 10 else ''}"
    )
