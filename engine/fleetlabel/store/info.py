"""What is known of a drive before its data is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import SourceError, StoreNotFoundError
from fleetlabel.model.sensors import Sensor, SensorKind


@dataclass(frozen=True, slots=True, eq=False)
class SequenceInfo:
    """What is known of a drive before its data is read.

    Attributes:
        name: of the sequence.
        sensors: cameras and lidars.
        frame_timestamp_ns: (F,) int64 reference time of every frame, ascending. Frames are fine enough that no
            sensor has two samples in one frame.
        trajectory: ego poses in the world frame.
        world_offset_m: (3,) what was subtracted from the source's own world coordinates (logs in UTM).
        source: JSON-ready description of where it came from (format, version, ...), without machine paths.
    """

    name: str
    sensors: tuple[Sensor, ...]
    frame_timestamp_ns: I64
    trajectory: Trajectory
    world_offset_m: F64 = field(default_factory=lambda: np.zeros(3))
    source: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        times = self.frame_timestamp_ns
        if times.dtype != np.int64 or times.ndim != 1 or not len(times):
            raise SourceError(
                f"{self.name}: frame times are {times.dtype} {times.shape}, expected int64 (F,) and at least one frame"
            )
        if bool(np.any(times[1:] <= times[:-1])):
            row = int(np.argmax(times[1:] <= times[:-1])) + 1
            raise SourceError(
                f"{self.name}: frame {row} has timestamp {times[row]} ns, not later than frame {row - 1} "
                f"({times[row - 1]} ns); sort the frames and drop duplicates"
            )
        names = [sensor.name for sensor in self.sensors]
        if len(set(names)) != len(names):
            raise SourceError(f"{self.name}: two sensors have the same name among {names}; rename one")

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.frame_timestamp_ns)

    def of_kind(self, kind: SensorKind) -> tuple[Sensor, ...]:
        """The cameras, or the lidars."""
        return tuple(sensor for sensor in self.sensors if sensor.kind is kind)

    def sensor(self, name: str) -> Sensor:
        """The sensor of that name.

        Raises:
            StoreNotFoundError: there is none.
        """
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise StoreNotFoundError(
            f"{self.name} has no sensor {name!r}; it has {[s.name for s in self.sensors]}"
        )
