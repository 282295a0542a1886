"""What the sensors of a store saw, frame by frame: pictures with their poses, and the lidars' points in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import F32, F64
from fleetlabel.geometry.trajectory import OutOfRangeError
from fleetlabel.model.cameras import CameraModel
from fleetlabel.model.errors import SourceError, UsageError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SampleStatus, SequenceStore


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


class SensorFrames:
    """Pictures and points of a store, read as they are asked for; several threads may ask at once.

    Attributes:
        camera_names: of the cameras that are shown, in the sequence's order.
    """

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
        reader = self._cameras[name]
        sensor, timestamp_ns = reader.sensor, int(reader.timestamp_ns[frame])
        assert sensor.camera is not None  # a Sensor of kind camera has intrinsics
        usable = reader.usable(frame)
        return Picture(
            name=name,
            camera=sensor.camera,
            azimuth_rad=_azimuth(sensor),
            timestamp_ns=timestamp_ns,
            world_from_camera=self.world_from_ego(name, frame, timestamp_ns) @ sensor.ego_from_sensor,
            jpeg=reader.jpeg(frame) if usable else b"",
            problem="" if usable else self._problem(name, frame, int(reader.status[frame])),
        )

    def azimuth(self, name: str) -> float:
        """Where a camera looks, 0 forward, positive to the left."""
        return _azimuth(self._cameras[name].sensor)

    def cloud(self, frame: int) -> Cloud:
        """Points of all lidars, each placed by the ego pose that holds for it.

        Raises:
            SourceError: the ego vehicle's pose is not known when a point was measured.
        """
        world, intensity = [np.empty((0, 3))], [np.empty(0, dtype=np.float32)]
        for reader in self._lidars:
            if not reader.usable(frame):
                continue
            sweep = _finite(reader.sweep(frame))
            try:
                world.append(sweep.points_world(reader.sensor, self._info.trajectory))
            except OutOfRangeError as error:
                raise SourceError(
                    f"{self._info.name}: {reader.sensor.name} at frame {frame}: {error}"
                ) from error
            intensity.append(sweep.points[:, 3])
        return Cloud(np.concatenate(world), np.concatenate(intensity))

    def world_from_ego(self, what: str, frame: int, timestamp_ns: int) -> F64:
        """Ego pose (4, 4) at a time; ``what`` and ``frame`` say in an error what needed it."""
        try:
            pose: F64 = self._info.trajectory.at(np.array([timestamp_ns]))[0]
            return pose
        except OutOfRangeError as error:
            raise SourceError(f"{self._info.name}: {what} at frame {frame}: {error}") from error

    def _problem(self, camera: str, frame: int, status: int) -> str:
        if status == SampleStatus.MISSING:
            return "no picture at this frame"
        return self._problems.get((camera, frame), "picture quarantined")


def _finite(sweep: Sweep) -> Sweep:
    if np.isfinite(sweep.points).all():
        return sweep
    finite = np.isfinite(sweep.points[:, :3]).all(axis=1)
    return Sweep(sweep.timestamp_ns, sweep.points[finite], sweep.point_time_offset_ns[finite])


def _azimuth(sensor: Sensor) -> float:
    axis = sensor.ego_from_sensor[:3, 2]
    return float(np.arctan2(axis[1], axis[0]))
