"""Pictures and points of an engine's sequence, fetched as they are looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fleetlabel.client import LidarSample, RemoteFrames, Timeline
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus, SequenceInfo
from fleetlabel.viewers.remote.mirror import sample_state
from fleetlabel.viewers.sensors import (
    Cloud,
    Picture,
    azimuth_of,
    finite,
    placed_picture,
    points_world,
    world_from_ego,
)

_FRAMES_KEPT = 6  # whose pictures' bytes are kept: the app keeps what it decoded of them for longer


class RemoteSensors:
    """What an engine's sensors saw; see :class:`fleetlabel.viewers.sensors.Sensors`.

    Args:
        lost: is told why when the engine does not answer.
    """

    patience_s: float | None = 0.25

    def __init__(
        self, frames: RemoteFrames, info: SequenceInfo, timeline: Timeline, lost: Callable[[str], None]
    ) -> None:
        self._frames, self._info, self._timeline, self._lost = frames, info, timeline, lost
        self.camera_names = tuple(sensor.name for sensor in info.of_kind(SensorKind.CAMERA))
        self._lidars = {sensor.name: sensor for sensor in info.of_kind(SensorKind.LIDAR)}
        self._lock = threading.Lock()
        self._jpegs: OrderedDict[int, dict[str, bytes]] = OrderedDict()

    @property
    def has_lidar(self) -> bool:
        """Whether there are clouds."""
        return bool(self._lidars)

    def picture(self, name: str, frame: int) -> Picture:
        """One camera's picture; where the engine does not answer, its place and the reason."""
        _, status, problem = sample_state(self._timeline, name, frame)
        place = self.place(name, frame)
        if status is not SampleStatus.OK:
            return replace(place, problem=problem)
        try:
            jpeg = self._pictures(frame).get(name, b"")
        except FleetLabelError as error:
            self._lost(str(error))
            return replace(place, problem="the engine does not answer")
        return replace(place, jpeg=jpeg, problem="" if jpeg else "no picture came")

    def place(self, name: str, frame: int) -> Picture:
        """The same without the picture: where and when it was taken."""
        timestamp_ns = sample_state(self._timeline, name, frame)[0]
        return placed_picture(self._info, self._info.sensor(name), frame, timestamp_ns)

    def azimuth(self, name: str) -> float:
        """Where a camera looks, 0 forward, positive to the left."""
        return azimuth_of(self._info.sensor(name))

    def cloud(self, frame: int) -> Cloud:
        """Points of all lidars.

        Raises:
            FleetLabelError: the engine does not answer.
        """
        world, intensity = [np.empty((0, 3))], [np.empty(0, dtype=np.float32)]
        for sample in self._sweeps(frame):
            if sample.status is SampleStatus.OK:
                sweep = finite(sample.sweep)
                world.append(points_world(self._info, self._lidars[sample.lidar], frame, sweep))
                intensity.append(sweep.points[:, 3])
        return Cloud(np.concatenate(world), np.concatenate(intensity))

    def world_from_ego(self, what: str, frame: int, timestamp_ns: int) -> F64:
        """Ego pose (4, 4) at a time."""
        return world_from_ego(self._info, what, frame, timestamp_ns)

    def _sweeps(self, frame: int) -> list[LidarSample]:
        if not self._lidars:
            return []
        try:
            return list(self._frames.sweeps(tuple(self._lidars), frame, frame + 1))
        except FleetLabelError as error:
            self._lost(str(error))
            raise

    def _pictures(self, frame: int) -> dict[str, bytes]:
        """All cameras' files of a frame, fetched in one call."""
        with self._lock:
            if frame in self._jpegs:
                self._jpegs.move_to_end(frame)
                return self._jpegs[frame]
        found = {p.camera: p.data for p in self._frames.pictures(self.camera_names, frame, frame + 1)}
        with self._lock:
            self._jpegs[frame] = found
            while len(self._jpegs) > _FRAMES_KEPT:
                self._jpegs.popitem(last=False)
        return found
