"""Recordings to try checks on: synthetic drives that are made where they are looked at, and good drives made bad."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from fleetlabel.engine.checks.recording import Recording
from fleetlabel.engine.checks.rotations import rotation_of
from fleetlabel.engine.synth import SynthConfig, SyntheticDrive
from fleetlabel.engine.synth.camera import encode
from fleetlabel.geometry.arrays import F64, I64, U8
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SampleStatus, SequenceInfo

T = TypeVar("T")


class RenderedRecording:
    """A synthetic drive of which just those pictures and sweeps are made that somebody looks at.

    Args:
        config: of the drive, with its faults.
        cache: a folder where what was made is kept for the next time. A sensor that a fault does not touch is the same
            with and without it, and made once.
    """

    def __init__(self, config: SynthConfig, cache: Path) -> None:
        self._drive = SyntheticDrive(config)
        self._config, self._cache = config, cache
        self.info = self._drive.info
        self._frozen = {fault.sensor: int(fault.amount) for fault in config.faults if fault.kind == "frozen"}
        cache.mkdir(parents=True, exist_ok=True)

    def timestamp_ns(self, sensor: str) -> I64:
        """See :class:`Recording`."""
        return self._drive.schedule(sensor)[0]

    def status(self, sensor: str) -> U8:
        """See :class:`Recording`."""
        return self._drive.schedule(sensor)[1]

    def jpeg(self, camera: str, frame: int) -> bytes:
        """See :class:`Recording`."""
        shown = min(frame, self._frozen.get(camera, frame))
        quality = self._config.jpeg_quality
        return self._kept(camera, shown, lambda: encode(self._drive.picture(camera, shown), quality))

    def sweep(self, lidar: str, frame: int) -> Sweep:
        """See :class:`Recording`."""

        def make() -> tuple[np.ndarray, np.ndarray]:
            turn = self._drive.turn(lidar, frame)
            return turn.points, turn.offset_ns

        points, offset_ns = self._kept(lidar, frame, make)
        return Sweep(int(self.timestamp_ns(lidar)[frame]), points, offset_ns.astype(np.int64))

    def _kept(self, sensor: str, frame: int, make: Callable[[], T]) -> T:
        mine = [
            fault.to_dict()
            for fault in self._config.faults
            if fault.sensor == sensor and fault.kind != "frozen"
        ]
        said = self._config.model_dump_json(exclude={"faults"})
        told = f"{self.info.source['algorithm_version']} {said} {mine} {sensor} {frame}"
        file = self._cache / hashlib.sha256(told.encode()).hexdigest()[:32]
        if file.exists():
            kept: T = pickle.loads(file.read_bytes())
            return kept
        made = make()
        scratch = file.with_suffix(".new")
        scratch.write_bytes(pickle.dumps(made))
        scratch.rename(file)
        return made


@dataclass(frozen=True, slots=True)
class Tampering:
    """What is made wrong of a drive.

    Attributes:
        late_s: sensor -> how much later than they then say its samples are taken.
        late_end_s: sensor -> the same, growing from nothing to this over the drive.
        turned_rad: sensor -> the vector (3,) by which it is turned from where its calibration then says it is.
        lost: sensor -> frames without a sample.
        frozen: camera -> the frame whose picture it repeats from then on.
        spoilt: camera -> what becomes of its pictures' files.
        cut: lidar -> azimuth in degrees from and to which it sees nothing.
        jump_m: sideways, half-way through the drive.
    """

    late_s: Mapping[str, float] = field(default_factory=dict)
    late_end_s: Mapping[str, float] = field(default_factory=dict)
    turned_rad: Mapping[str, F64] = field(default_factory=dict)
    lost: Mapping[str, I64] = field(default_factory=dict)
    frozen: Mapping[str, int] = field(default_factory=dict)
    spoilt: Mapping[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    cut: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    jump_m: float = 0.0


class TamperedRecording:
    """A recording with faults: times, calibration, poses are made wrong, the data stays as it is."""

    def __init__(self, recording: Recording, tampering: Tampering) -> None:
        self._recording, self._tampering = recording, tampering
        self.info = _tampered(recording.info, tampering)

    def timestamp_ns(self, sensor: str) -> I64:
        """See :class:`Recording`."""
        times = self._recording.timestamp_ns(sensor)
        growing = np.linspace(0.0, self._tampering.late_end_s.get(sensor, 0.0), len(times))
        late_s = growing + self._tampering.late_s.get(sensor, 0.0)
        return times - np.round(late_s * 1e9).astype(np.int64)

    def status(self, sensor: str) -> U8:
        """See :class:`Recording`."""
        status = self._recording.status(sensor).copy()
        status[self._tampering.lost.get(sensor, np.empty(0, np.int64))] = SampleStatus.MISSING
        return status

    def jpeg(self, camera: str, frame: int) -> bytes:
        """See :class:`Recording`."""
        jpeg = self._recording.jpeg(camera, min(frame, self._tampering.frozen.get(camera, frame)))
        spoil = self._tampering.spoilt.get(camera)
        return jpeg if spoil is None else spoil(jpeg)

    def sweep(self, lidar: str, frame: int) -> Sweep:
        """See :class:`Recording`."""
        sweep = self._recording.sweep(lidar, frame)
        late_ns = int(sweep.timestamp_ns) - int(self.timestamp_ns(lidar)[frame])
        azimuth = np.degrees(np.arctan2(sweep.points[:, 1], sweep.points[:, 0]))
        low, high = self._tampering.cut.get(lidar, (0.0, 0.0))
        kept = ~((azimuth >= low) & (azimuth < high))
        return Sweep(sweep.timestamp_ns - late_ns, sweep.points[kept], sweep.point_time_offset_ns[kept])


def _tampered(info: SequenceInfo, tampering: Tampering) -> SequenceInfo:
    sensors = []
    for sensor in info.sensors:
        vector = tampering.turned_rad.get(sensor.name)
        if vector is not None:  # it is where it was, and is believed to be elsewhere
            believed = sensor.ego_from_sensor.copy()
            believed[:3, :3] @= rotation_of(-np.asarray(vector, dtype=np.float64))
            sensor = replace(sensor, ego_from_sensor=believed)
        sensors.append(sensor)
    trajectory = info.trajectory
    poses = trajectory.world_from_ego.copy()
    half = len(poses) // 2
    way = poses[-1, :2] - poses[0, :2]
    sideways = np.array([-way[1], way[0]]) / max(float(np.linalg.norm(way)), 1e-9)
    poses[half:, :2] += tampering.jump_m * sideways
    trajectory = Trajectory(trajectory.timestamp_ns, poses, trajectory.max_extrapolation_ns)
    return replace(info, sensors=tuple(sensors), trajectory=trajectory)
