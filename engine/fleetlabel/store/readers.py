"""Random and sequential access to camera pictures and lidar sweeps by frame."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
from fleetlabel.geometry.arrays import I64, U8, AnyArray
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.model.sensors import Sensor
from fleetlabel.model.sweep import Sweep
from fleetlabel.store.table import CommitRecord, Quarantined, SampleStatus, Table


class SensorReader:
    """Frames of one sensor. Times and status of all frames are in memory; pictures and points are read on demand.

    Attributes:
        sensor: its calibration.
        timestamp_ns: (F,) int64; for a missing frame the frame's own time.
        status: (F,) uint8 :class:`SampleStatus`.
        quarantined: frames whose data could not be used, with reasons.
    """

    def __init__(self, sensor: Sensor, table: Table) -> None:
        self.sensor = sensor
        self._table = table
        self._records = table.records()
        self._starts = [record.start for record in self._records]
        self._open: dict[int, tuple[dict[str, Any], I64]] = {}
        header = table.read(columns=("timestamp_ns", "status"))
        self.timestamp_ns: I64 = header.samples["timestamp_ns"]
        self.status: U8 = header.samples["status"]
        self.quarantined: tuple[Quarantined, ...] = tuple(
            q for record in self._records for q in record.quarantined
        )

    def __len__(self) -> int:
        return len(self.timestamp_ns)

    def usable(self, frame: int) -> bool:
        """Whether the sensor has data at this frame that is not known to be broken."""
        return bool(self.status[frame] == SampleStatus.OK)

    def _flat(self, frame: int, column: str) -> AnyArray:
        record, arrays, offsets = self._part(frame)
        low, high = offsets[frame - record.start : frame - record.start + 2]
        return np.asarray(arrays[f"flat.{column}"][int(low) : int(high)])

    def _part(self, frame: int) -> tuple[CommitRecord, dict[str, Any], I64]:
        if not 0 <= frame < len(self):
            raise StoreNotFoundError(f"{self._table.path} has frames 0..{len(self) - 1}, no frame {frame}")
        index = bisect_right(self._starts, frame) - 1
        if index not in self._open:
            arrays = self._table.open_part(self._records[index])
            counts = np.asarray(arrays["counts"][:], dtype=np.int64)
            self._open[index] = arrays, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return self._records[index], *self._open[index]


class CameraReader(SensorReader):
    """Pictures of one camera."""

    def jpeg(self, frame: int) -> bytes:
        """The picture's file as it came, empty if it is missing."""
        return self._flat(frame, "jpeg").tobytes()


class LidarReader(SensorReader):
    """Sweeps of one lidar."""

    def sweep(self, frame: int) -> Sweep:
        """The sweep of a frame, without points if it is missing."""
        return Sweep(
            timestamp_ns=int(self.timestamp_ns[frame]),
            points=self._flat(frame, "points"),
            point_time_offset_ns=self._flat(frame, "point_time_offset_ns").astype(np.int64),
        )
