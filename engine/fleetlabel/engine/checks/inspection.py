"""What several checks need of a drive, read once: pictures that are fit to look at, and how sensors lie to each other.

Only some moments of a drive are looked at, spread evenly over it: checks cost the same for a minute and for an hour,
and hold the pictures of one camera at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from fleetlabel.engine.checks.alignment import TIME, TURN, Alignment, Estimate, Moment
from fleetlabel.engine.checks.exposure import CameraHealth, camera_health
from fleetlabel.engine.checks.lidar_edges import LidarEdges, lidar_edges
from fleetlabel.engine.checks.recording import Recording
from fleetlabel.engine.detect.picture import decode_picture, picture_size
from fleetlabel.geometry.arrays import F64, I64, U8, Bool
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SampleStatus, SequenceInfo

_LEAST_MOMENTS, _MOST_MOMENTS, _MOMENTS_PER_S = 12, 40, 1.2
_WIDTH_PX = (640, 1280)  # of the pictures that are laid over the lidar
_WINDOWS = 4  # of the drive, for trends
_MOVING_MPS = 1.0
_BY_WAY = 0.8
_SURE_RAD, _SURE_S = np.radians(0.08), 0.006


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One moment to look at: a picture with the lidar's edges as calibrated and as they fit."""

    time_s: float
    grey: U8
    calibrated_px: F64
    fitted_px: F64


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """How a camera lies to a lidar.

    Attributes:
        camera, lidar: their names.
        moments: how many were used.
        n_edges: that were used.
        estimate: rotation and time, None if there is too little to see; rotation alone if both together say nothing.
        rotation_only, late_only: the best rotation, were the clocks right, and the best time, were the calibration
            right; None where the drive holds the two apart, or cannot tell time at all.
        windows: (middle of the window in s, estimate) of consecutive stretches of the drive.
        shown: a moment.
        speed_mps: root mean square over the moments.
    """

    camera: str
    lidar: str
    moments: int
    n_edges: int
    estimate: Estimate | None
    rotation_only: Estimate | None
    late_only: Estimate | None
    windows: tuple[tuple[float, Estimate], ...]
    shown: Shown | None
    speed_mps: float


class Inspection:
    """A recording that is being looked at."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._edges = lru_cache(maxsize=4 * _MOST_MOMENTS)(self._edges_of)
        self._times = lru_cache(maxsize=64)(recording.timestamp_ns)

    @property
    def info(self) -> SequenceInfo:
        """Sensors, frames, poses."""
        return self.recording.info

    def frames_there(self, sensor: str) -> I64:
        """Frames at which a sensor has data that is not known to be broken."""
        return np.flatnonzero(self.recording.status(sensor) == SampleStatus.OK)

    def time_s(self, timestamp_ns: int) -> float:
        """Seconds into the drive."""
        return (int(timestamp_ns) - int(self.info.frame_timestamp_ns[0])) / 1e9

    def picture(self, camera: str, frame: int) -> U8 | None:
        """A grey picture of a size to lay edges onto; None if it cannot be read."""
        try:
            jpeg = self.recording.jpeg(camera, frame)
            width, _ = picture_size(jpeg)
            shrink = next((n for n in (8, 4, 2) if width / n >= _WIDTH_PX[0]), 1)
            grey: U8 = cv2.cvtColor(decode_picture(jpeg, reduction=shrink).rgb, cv2.COLOR_RGB2GRAY)
        except FleetLabelError:
            return None
        if grey.shape[1] > _WIDTH_PX[1]:
            size = (_WIDTH_PX[1], round(grey.shape[0] * _WIDTH_PX[1] / grey.shape[1]))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        return grey

    def sweep(self, lidar: str, frame: int) -> Sweep | None:
        """A sweep; None if it cannot be read or is empty."""
        try:
            sweep = self.recording.sweep(lidar, frame)
        except FleetLabelError:
            return None
        return sweep if len(sweep.points) else None

    @property
    def n_moments(self) -> int:
        """How many moments of the drive are looked at."""
        length_s = self.time_s(int(self.info.frame_timestamp_ns[-1]))
        return int(np.clip(_MOMENTS_PER_S * length_s, _LEAST_MOMENTS, _MOST_MOMENTS))

    def spread(self, frames: I64) -> I64:
        """Some of the frames, evenly over the drive."""
        if len(frames) <= self.n_moments:
            return frames
        return frames[np.unique(np.linspace(0, len(frames) - 1, self.n_moments).round().astype(np.int64))]

    def _progress(self, timestamp_ns: I64) -> F64:
        """How far the drive is (N,) at times of it, 0 to 1: mostly by way, for who stands sees nothing new."""
        steps = np.linalg.norm(np.diff(self.info.trajectory.poses_at(timestamp_ns)[:, :3], axis=0), axis=1)
        way = np.concatenate([[0.0], np.cumsum(steps)])
        time = (timestamp_ns - timestamp_ns[0]) / max(int(timestamp_ns[-1] - timestamp_ns[0]), 1)
        progress: F64 = _BY_WAY * way / way[-1] + (1 - _BY_WAY) * time if way[-1] > 0 else time
        return progress

    @cached_property
    def health(self) -> Mapping[str, CameraHealth]:
        """Of every camera, how its pictures are."""
        return {
            camera.name: camera_health(self, camera.name) for camera in self.info.of_kind(SensorKind.CAMERA)
        }

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """How every camera lies to every lidar."""
        return tuple(
            self.pair(camera.name, lidar.name)
            for lidar in self.info.of_kind(SensorKind.LIDAR)
            for camera in self.info.of_kind(SensorKind.CAMERA)
        )

    def reachable(self, timestamp_ns: I64) -> Bool:
        """Which times (N,) the trajectory reaches, with a margin."""
        trajectory = self.info.trajectory
        reach = trajectory.max_extrapolation_ns // 2
        first, last = int(trajectory.timestamp_ns[0]), int(trajectory.timestamp_ns[-1])
        reached: Bool = (timestamp_ns > first - reach) & (timestamp_ns < last + reach)
        return reached

    def pair(self, camera_name: str, lidar_name: str) -> Pair:
        """How one camera lies to one lidar."""
        camera, lidar = self.info.sensor(camera_name), self.info.sensor(lidar_name)
        moments = self._moments(camera, lidar)
        nothing = Pair(camera.name, lidar.name, len(moments), 0, None, None, None, (), None, 0.0)
        if not moments:
            return nothing
        alignment = Alignment(camera, self.info.trajectory, moments)
        if not alignment.can_tell:
            return nothing
        estimate, turn_only, late_only = _estimates(alignment)
        ambiguous = late_only is not None and not estimate.tells_time
        times = np.array([moment.timestamp_ns for moment in moments])
        show = int(np.argmax(np.bincount(alignment.moment_of_edge, minlength=len(moments))))
        return Pair(
            camera=camera.name,
            lidar=lidar.name,
            moments=len(moments),
            n_edges=alignment.n_edges,
            estimate=estimate,
            rotation_only=turn_only,
            late_only=late_only,
            windows=() if ambiguous else self._windows(alignment, estimate, times),
            shown=Shown(
                self.time_s(times[show]), moments[show].grey,
                alignment.pixels(show, None), alignment.pixels(show, estimate),
            ),
            speed_mps=float(np.sqrt(np.mean(self.speed_mps(times) ** 2))),
        )  # fmt: skip

    def speed_mps(self, timestamp_ns: I64) -> F64:
        """Speeds (N,) of the vehicle."""
        half = 100_000_000
        ahead = self.info.trajectory.poses_at(timestamp_ns + half)[:, :3]
        behind = self.info.trajectory.poses_at(timestamp_ns - half)[:, :3]
        speed: F64 = np.linalg.norm(ahead - behind, axis=1) / (2 * half / 1e9)
        return speed

    def moving(self, timestamp_ns: I64) -> Bool:
        """Whether (N,) the vehicle drives."""
        moving: Bool = self.speed_mps(timestamp_ns) > _MOVING_MPS
        return moving

    def _moments(self, camera: Sensor, lidar: Sensor) -> list[Moment]:
        """Pictures that are fit, each with the sweep nearest in time."""
        there = self.frames_there(camera.name)
        there = there[self.health[camera.name].fit(there)]
        sweeps = self.frames_there(lidar.name)
        times, sweep_times = self._times(camera.name), self._times(lidar.name)
        if not len(there) or not len(sweeps):
            return []
        there = there[self.reachable(times[there])]
        nearest = sweeps[_nearest(sweep_times[sweeps], times[there])]
        step = np.median(np.diff(self.info.frame_timestamp_ns)) if self.info.n_frames > 1 else 1e8
        close = np.abs(sweep_times[nearest] - times[there]) <= max(1.1 * step, 1.1e8)
        chosen = np.flatnonzero(close)
        if len(chosen) > self.n_moments:
            along = self._progress(times[there[chosen]])
            wanted = np.linspace(0.0, 1.0, self.n_moments)
            chosen = chosen[np.unique(np.searchsorted(along, wanted - 1e-9))]
        moments: list[Moment] = []
        for row in chosen.tolist():
            edges = self._edges(lidar.name, int(nearest[row]))
            grey = self.picture(camera.name, int(there[row])) if edges is not None else None
            if edges is None or grey is None or (moments and grey.shape != moments[0].grey.shape):
                continue
            moments.append(Moment(int(times[there[row]]), grey, edges))
        return moments

    def _edges_of(self, lidar: str, frame: int) -> LidarEdges | None:
        sweep = self.sweep(lidar, frame)
        if sweep is None or not bool(self.reachable(np.array([sweep.timestamp_ns])).all()):
            return None
        return lidar_edges(sweep, self.info.sensor(lidar), self.info.trajectory)

    def _windows(
        self, alignment: Alignment, estimate: Estimate, times: I64
    ) -> tuple[tuple[float, Estimate], ...]:
        found = []
        for part in np.array_split(np.arange(len(times)), _WINDOWS):
            if len(part):
                one = alignment.within(np.isin(alignment.moment_of_edge, part), estimate)
                if one is not None:
                    found.append((self.time_s(int(times[part].mean())), one))
        return tuple(found)


def _estimates(alignment: Alignment) -> tuple[Estimate, Estimate | None, Estimate | None]:
    """Rotation and time together, and each alone where the drive does not hold the two well apart."""
    joint = alignment.estimate()
    sigma = np.sqrt(np.diag(joint.covariance))
    if bool(np.linalg.norm(sigma[:TIME]) < _SURE_RAD and sigma[TIME] < _SURE_S):
        return joint, None, None
    turn_only, late_only = alignment.estimate(TURN), alignment.estimate((TIME,))
    if joint.tells_time:
        return joint, turn_only, late_only
    if late_only.tells_time:
        return turn_only, turn_only, late_only
    return turn_only, None, None


def _nearest(sorted_times: I64, times: I64) -> I64:
    """Rows of ``sorted_times`` that are nearest to times (N,)."""
    right = np.clip(np.searchsorted(sorted_times, times), 1, max(len(sorted_times) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(sorted_times) - 1)
    earlier = np.abs(times - sorted_times[left]) <= np.abs(sorted_times[right] - times)
    return np.where(earlier, left, right)
