"""Recordings that a test makes up: whatever it says of times, pictures and sweeps, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import simplejpeg

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import DecodeError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SequenceInfo

FRAME_NS = 100_000_000
CAMERA = PinholeCamera(640, 360, 400.0, 400.0, 320.0, 180.0)
# Camera axes (x right, y down, z forward) of a camera that looks along the ego's x axis.
FORWARD = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def trajectory(
    n_frames: int, speed_mps: float = 8.0, turn_rad_per_s: float = 0.1, step_s: float = 0.05
) -> Trajectory:
    """A drive along a bend."""
    times = np.arange(-0.2, n_frames * FRAME_NS / 1e9 + 0.2, step_s)
    yaw = turn_rad_per_s * times
    radius = speed_mps / turn_rad_per_s
    place = np.stack([radius * np.sin(yaw), radius * (1 - np.cos(yaw)), np.zeros(len(yaw))], axis=1)
    poses = np.concatenate([place, quaternion.from_yaw(yaw)], axis=1)
    return Trajectory(np.round(times * 1e9).astype(np.int64), poses)


def camera(name: str = "front", rotation: np.ndarray = FORWARD) -> Sensor:
    """A camera on the roof."""
    return Sensor(name, SensorKind.CAMERA, se3.transform(rotation, np.array([1.5, 0.0, 1.5])), CAMERA)


def lidar(name: str = "lidar") -> Sensor:
    """A lidar on the roof."""
    place = se3.transform(np.eye(3), np.array([1.0, 0.0, 1.9]))
    return Sensor(name, SensorKind.LIDAR, place, motion_compensated=False)


@dataclass
class MadeUp:
    """A recording.

    ``pictures`` and ``sweeps`` make a frame's; ``status`` is all good where nothing is said.
    """

    n_frames: int
    sensors: tuple[Sensor, ...]
    times: dict[str, np.ndarray] = field(default_factory=dict)
    states: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: Callable[[str, int], np.ndarray | bytes] | None = None
    sweeps: Callable[[str, int], np.ndarray] | None = None
    path: Trajectory | None = None

    def __post_init__(self) -> None:
        frames = FRAME_NS * np.arange(self.n_frames, dtype=np.int64)
        self.info = SequenceInfo("made-up", self.sensors, frames, self.path or trajectory(self.n_frames))

    def timestamp_ns(self, sensor: str) -> np.ndarray:
        return self.times.get(sensor, self.info.frame_timestamp_ns)

    def status(self, sensor: str) -> np.ndarray:
        return self.states.get(sensor, np.zeros(self.n_frames, np.uint8))

    def jpeg(self, camera: str, frame: int) -> bytes:
        if self.pictures is None:
            raise DecodeError("no picture")
        picture = self.pictures(camera, frame)
        if isinstance(picture, bytes):
            return picture
        return simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=92, colorspace="RGB")

    def sweep(self, lidar: str, frame: int) -> Sweep:
        points = np.zeros((0, 4), np.float32) if self.sweeps is None else self.sweeps(lidar, frame)
        return Sweep(int(self.timestamp_ns(lidar)[frame]), points, np.zeros(len(points), np.int64))


def noise(seed: int, low: int = 40, high: int = 200) -> np.ndarray:
    """A picture of grey blocks."""
    blocks = np.random.default_rng(seed).integers(low, high, (36, 64, 1), dtype=np.uint8)
    return np.repeat(np.kron(blocks, np.ones((10, 10, 1), np.uint8)), 3, axis=2)
