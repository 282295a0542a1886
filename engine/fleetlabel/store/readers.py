"""Random and sequential access to camera pictures and lidar sweeps by frame."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fleetlabel.geometry.arrays import I64, U8, AnyArray
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.model.sensors import Sensor
from fleetlabel.model.sweep import Sweep
from fleetlabel.store.arrays import read_rows
from fleetlabel.store.resident import PlainFiles, resident_rows
from fleetlabel.store.table import Quarantined, SampleStatus, Table

_OPEN_PARTS = 8


@dataclass(frozen=True, slots=True, eq=False)
class _OpenPart:
    start: int
    timestamp_ns: I64
    status: U8
    offsets: I64
    flat: dict[str, zarr.Array[Any]]
    files: PlainFiles | None


class SensorReader:
    """Frames of one sensor. Everything is read on demand, part by part: opening costs the same for any length.

    Attributes:
        sensor: its calibration.
    """

    def __init__(self, sensor: Sensor, table: Table) -> None:
        missing = table.missing()
        if missing:
            raise StoreNotFoundError(
                f"{table.path}: frames {missing} are not committed; finish the ingest first"
            )
        self.sensor = sensor
        self._table = table
        self._ranges = table.ranges()
        self._starts = [start for start, _ in self._ranges]
        self._open: dict[int, _OpenPart] = {}

    def __len__(self) -> int:
        return self._table.length

    @cached_property
    def timestamp_ns(self) -> I64:
        """(F,) int64 times of all frames; for a missing frame the frame's own time."""
        times: I64 = self._table.read(columns=("timestamp_ns",)).samples["timestamp_ns"]
        return times

    @cached_property
    def status(self) -> U8:
        """(F,) uint8 :class:`SampleStatus` of all frames."""
        status: U8 = self._table.read(columns=("status",)).samples["status"]
        return status

    @cached_property
    def quarantined(self) -> tuple[Quarantined, ...]:
        """Frames whose data could not be used, with reasons."""
        return tuple(entry for record in self._table.records() for entry in record.quarantined)

    def usable(self, frame: int) -> bool:
        """Whether the sensor has data at this frame that is not known to be broken."""
        part = self._part(frame)
        return bool(part.status[frame - part.start] == SampleStatus.OK)

    def time_ns(self, frame: int) -> int:
        """Time of one frame, without reading those of the others."""
        part = self._part(frame)
        return int(part.timestamp_ns[frame - part.start])

    def part_folders(self) -> list[Path]:
        """Folders of its parts: others than these are another reader's to read."""
        return [self._table.part_folder(*part) for part in self._ranges]

    def _flat(self, frame: int, column: str) -> AnyArray:
        part = self._part(frame)
        low, high = part.offsets[frame - part.start : frame - part.start + 2]
        return read_rows(part.flat[column], int(low), int(high))

    def _part(self, frame: int) -> _OpenPart:
        if not 0 <= frame < len(self):
            raise StoreNotFoundError(f"{self._table.path} has frames 0..{len(self) - 1}, no frame {frame}")
        index = bisect_right(self._starts, frame) - 1
        part = self._open.get(index)
        if part is None:
            part = self._open_part(index)
            while len(self._open) >= _OPEN_PARTS:
                self._open.pop(next(iter(self._open), index), None)  # another thread may have been faster
            self._open[index] = part
        return part

    def _open_part(self, index: int) -> _OpenPart:
        record = self._table.record(*self._ranges[index])
        flat = [name for name in record.columns if name.startswith("flat.")]
        samples = self._table.read(record.start, record.stop, columns=("timestamp_ns", "status"))
        arrays = self._table.open_part(record, flat)
        return _OpenPart(
            start=record.start,
            timestamp_ns=samples.samples["timestamp_ns"],
            status=samples.samples["status"],
            offsets=samples.offsets,
            flat={name.removeprefix("flat."): array for name, array in arrays.items()},
            files=PlainFiles.of(arrays["flat.jpeg"]) if "flat.jpeg" in arrays else None,
        )


class CameraReader(SensorReader):
    """Pictures of one camera."""

    def jpeg(self, frame: int) -> bytes:
        """The picture's file as it came, empty if it is missing."""
        return self._flat(frame, "jpeg").tobytes()

    def jpegs(self, start: int, stop: int) -> list[tuple[int, SampleStatus, memoryview]]:
        """Time, state and file of the pictures of the frames ``start:stop``, those of a part read in one go."""
        found: list[tuple[int, SampleStatus, memoryview]] = []
        while start < stop:
            part = self._part(start)
            last = min(stop, part.start + len(part.status))
            ends = _ends(part, start, last)
            data = read_rows(part.flat["jpeg"], ends[0], ends[-1]).data
            files = [data[low - ends[0] : high - ends[0]] for low, high in pairwise(ends)]
            found += zip(*_states(part, start, last), files, strict=True)
            start = last
        return found

    def resident_jpegs(
        self, start: int, stop: int
    ) -> list[tuple[int, SampleStatus, tuple[memoryview, ...]]] | None:
        """As :meth:`jpegs`, each file in pieces, if no disk has to be waited for and one part has them that was read
        before; else None. The pieces are not to be kept: see :func:`~fleetlabel.store.resident.resident_rows`.
        """
        part = self._open.get(bisect_right(self._starts, start) - 1)
        if part is None or part.files is None or stop > part.start + len(part.status):
            return None
        files = resident_rows(part.files, _ends(part, start, stop))
        return None if files is None else list(zip(*_states(part, start, stop), files, strict=True))


def _ends(part: _OpenPart, start: int, stop: int) -> list[int]:
    """Where the pictures of the frames ``start:stop`` of a part end, the one before them first."""
    ends: list[int] = part.offsets[start - part.start : stop - part.start + 1].tolist()
    return ends


def _states(part: _OpenPart, start: int, stop: int) -> tuple[list[int], list[SampleStatus]]:
    rows = slice(start - part.start, stop - part.start)
    return part.timestamp_ns[rows].tolist(), list(map(SampleStatus, part.status[rows].tolist()))


class LidarReader(SensorReader):
    """Sweeps of one lidar."""

    def sweep(self, frame: int) -> Sweep:
        """The sweep of a frame, without points if it is missing."""
        return Sweep(
            timestamp_ns=self.time_ns(frame),
            points=self._flat(frame, "points"),
            point_time_offset_ns=self._flat(frame, "point_time_offset_ns").astype(np.int64),
        )
