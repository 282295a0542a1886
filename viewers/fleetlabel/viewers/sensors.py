"""What the sensors of a store saw, frame by frame: pictures with their poses, and the lidars' points in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from fleetlabel.geometry.arrays import F32, F64
from fleetlabel.geometry.trajectory import OutOfRangeError
from fleetlabel.model.cameras import CameraModel
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SampleStatus, SequenceInfo, SequenceStore


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One camera at one frame.

    Attributes:
        name: of the camera.
        camera: intrinsics.
        azimuth_rad: direction of the optical axis seen from above, 0 forward, positive to the left.
        timestamp_ns: time of exposure.
        world_from_camera: (4, 4) at that time.
        jpeg: the picture as it was recorded; empty if there is none.
        problem: why there is no picture, in words; empty if there is one.
    """

    name: str
    camera: CameraModel
    azimuth_rad: float
    timestamp_ns: int
    world_from_camera: F64
    jpeg: bytes
    problem: str


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Points of all lidars at one frame.

    Attributes:
        world_m: (P, 3) float64, finite.
        intensity: (P,) float32 as the source gives it.
    """

    world_m: F64
    intensity: F32


class Sensors(Protocol):
    """Pictures and points of one sequence, read as they are asked for; several threads may ask at once.

    Attributes:
        camera_names: of the cameras that are shown, in the sequence's order.
        patience_s: how long whoever looks at the screen may be kept waiting for a frame; None: until it is there.
    """

    camera_names: tuple[str, ...]
    patience_s: float | None

    @property
    def has_lidar(self) -> bool:
        """Whether there are clouds."""

    def picture(self, name: str, frame: int) -> Picture:
        """One camera's picture.

        Raises:
            SourceError: the ego vehicle's pose is not known when it was taken.
        """

    def place(self, name: str, frame: int) -> Picture:
        """The same without the picture: where and when it was taken, which takes no time to tell."""

    def azimuth(self, name: str) -> float:
        """Where a camera looks, 0 forward, positive to the left."""

    def cloud(self, frame: int) -> Cloud:
        """Points of all lidars, each placed by the ego pose that holds for it.

        Raises:
            FleetLabelError: they cannot be had; says why.
        """

    def world_from_ego(self, what: str, frame: int, timestamp_ns: int) -> F64:
        """Ego pose (4, 4) at a time; ``what`` and ``frame`` say in an error what needed it."""


class SensorFrames:
    """Pictures and points of a store; see :class:`Sensors`."""

    patience_s: float | None = None

    def __init__(
        self, store: SequenceStore, cameras: Sequence[str] | None = None, with_points: bool = True
    ) -> None:
        """Opens the sensors.

        Args:
            cameras: names of the cameras; all by default.
            with_points: whether there are clouds.

        Raises:
            UsageError: there is no such camera.
        """
        self._info = store.info
        present = {sensor.name: sensor for sensor in store.info.of_kind(SensorKind.CAMERA)}
        names = list(present) if cameras is None else list(dict.fromkeys(cameras))
        unknown = [name for name in names if name not in present]
        if unknown:
            raise UsageError(
                f"{store.root} has no camera {unknown[0]!r}; it has {', '.join(present) or 'none'}"
            )
        self.camera_names = tuple(names)
        self._cameras = {name: store.camera(name) for name in names}
        lidars = store.info.of_kind(SensorKind.LIDAR) if with_points else ()
        self._lidars = [store.lidar(sensor.name) for sensor in lidars]
        self._problems = {
            (reader.sensor.name, sample.sample): sample.reason
            for reader in self._cameras.values()
            for sample in reader.quarantined
        }

    @property
    def has_lidar(self) -> bool:
        """Whether there are clouds."""
        return bool(self._lidars)

    def picture(self, name: str, frame: int) -> Picture:
        """One camera's picture.

        Raises:
            SourceError: the ego vehicle's pose is not known when it was taken.
        """
        reader, place = self._cameras[name], self.place(name, frame)
        if not reader.usable(frame):
            return replace(place, problem=self._problem(name, frame, int(reader.status[frame])))
        return replace(place, jpeg=reader.jpeg(frame), problem="")

    def place(self, name: str, frame: int) -> Picture:
        """The same without the picture."""
        reader = self._cameras[name]
        timestamp_ns = int(reader.timestamp_ns[frame])
        return placed_picture(self._info, reader.sensor, frame, timestamp_ns)

    def azimuth(self, name: str) -> float:
        """Where a camera looks, 0 forward, positive to the left."""
        return azimuth_of(self._cameras[name].sensor)

    def cloud(self, frame: int) -> Cloud:
        """Points of all lidars, each placed by the ego pose that holds for it.

        Raises:
            SourceError: the ego vehicle's pose is not known when a point was measured.
        """
        world, intensity = [np.empty((0, 3))], [np.empty(0, dtype=np.float32)]
        for reader in self._lidars:
            if not reader.usable(frame):
                continue
            sweep = finite(reader.sweep(frame))
            world.append(points_world(self._info, reader.sensor, frame, sweep))
            intensity.append(sweep.points[:, 3])
        return Cloud(np.concatenate(world), np.concatenate(intensity))

    def world_from_ego(self, what: str, frame: int, timestamp_ns: int) -> F64:
        """Ego pose (4, 4) at a time; ``what`` and ``frame`` say in an error what needed it."""
        return world_from_ego(self._info, what, frame, timestamp_ns)

    def _problem(self, camera: str, frame: int, status: int) -> str:
        if status == SampleStatus.MISSING:
            return "no picture at this frame"
        return self._problems.get((camera, frame), "picture quarantined")


def world_from_ego(info: SequenceInfo, what: str, frame: int, timestamp_ns: int) -> F64:
    """Ego pose (4, 4) at a time; ``what`` and ``frame`` say in an error what needed it.

    Raises:
        SourceError: the trajectory does not reach there.
    """
    try:
        pose: F64 = info.trajectory.at(np.array([timestamp_ns]))[0]
        return pose
    except OutOfRangeError as error:
        raise SourceError(f"{info.name}: {what} at frame {frame}: {error}") from error


def placed_picture(info: SequenceInfo, sensor: Sensor, frame: int, timestamp_ns: int) -> Picture:
    """A picture before it is there: when and from where it was taken.

    Raises:
        SourceError: the ego vehicle's pose is not known then.
    """
    assert sensor.camera is not None  # a Sensor of kind camera has intrinsics
    return Picture(
        name=sensor.name,
        camera=sensor.camera,
        azimuth_rad=azimuth_of(sensor),
        timestamp_ns=timestamp_ns,
        world_from_camera=world_from_ego(info, sensor.name, frame, timestamp_ns) @ sensor.ego_from_sensor,
        jpeg=b"",
        problem="",
    )


def points_world(info: SequenceInfo, lidar: Sensor, frame: int, sweep: Sweep) -> F64:
    """Points (P, 3) of a sweep in the world.

    Raises:
        SourceError: the ego vehicle's pose is not known when a point was measured.
    """
    try:
        return sweep.points_world(lidar, info.trajectory)
    except OutOfRangeError as error:
        raise SourceError(f"{info.name}: {lidar.name} at frame {frame}: {error}") from error


def finite(sweep: Sweep) -> Sweep:
    """The sweep without points that are nowhere."""
    if np.isfinite(sweep.points).all():
        return sweep
    there = np.isfinite(sweep.points[:, :3]).all(axis=1)
    return Sweep(sweep.timestamp_ns, sweep.points[there], sweep.point_time_offset_ns[there])


def azimuth_of(sensor: Sensor) -> float:
    """Where a camera looks, 0 forward, positive to the left."""
    axis = sensor.ego_from_sensor[:3, 2]
    return float(np.arctan2(axis[1], axis[0]))
