"""What checks read of a drive: times and states of all samples, and any picture or sweep."""

from __future__ import annotations

from typing import Protocol

from fleetlabel.geometry.arrays import I64, U8
from fleetlabel.model.sensors import SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import CameraReader, LidarReader, SequenceInfo, SequenceStore


class Recording(Protocol):
    """A drive that is there to be looked at, frame by frame.

    Attributes:
        info: sensors, frames, poses.
    """

    @property
    def info(self) -> SequenceInfo:
        """Sensors, frames, poses."""

    def timestamp_ns(self, sensor: str) -> I64:
        """Times (F,) of a sensor's samples; meaningless where there is none."""

    def status(self, sensor: str) -> U8:
        """States (F,) of a sensor's samples: :class:`fleetlabel.store.SampleStatus`."""

    def jpeg(self, camera: str, frame: int) -> bytes:
        """A picture's file."""

    def sweep(self, lidar: str, frame: int) -> Sweep:
        """A sweep."""


class StoredRecording:
    """The recording that a store holds.

    Raises:
        StoreNotFoundError: it is not ingested completely.
    """

    def __init__(self, store: SequenceStore) -> None:
        self.info = store.info
        self._cameras = {s.name: store.camera(s.name) for s in store.info.of_kind(SensorKind.CAMERA)}
        self._lidars = {s.name: store.lidar(s.name) for s in store.info.of_kind(SensorKind.LIDAR)}

    def timestamp_ns(self, sensor: str) -> I64:
        """See :class:`Recording`."""
        return self._reader(sensor).timestamp_ns

    def status(self, sensor: str) -> U8:
        """See :class:`Recording`."""
        return self._reader(sensor).status

    def jpeg(self, camera: str, frame: int) -> bytes:
        """See :class:`Recording`."""
        return self._cameras[camera].jpeg(frame)

    def sweep(self, lidar: str, frame: int) -> Sweep:
        """See :class:`Recording`."""
        return self._lidars[lidar].sweep(frame)

    def _reader(self, sensor: str) -> CameraReader | LidarReader:
        return self._cameras.get(sensor) or self._lidars[sensor]
