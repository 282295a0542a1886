"""Lidar parts: sweeps read one after the other, broken ones set aside with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.ingest.clocks import Timeline
from fleetlabel.geometry.arrays import F32, F64, I32, I64, AnyArray
from fleetlabel.model.errors import SourceError
from fleetlabel.store import Part, Quarantined, SampleStatus

_MAX_OFFSET_NS = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points of one sweep in the sensor frame, all finite.

    Attributes:
        points: (P, 4) float32 x y z in metres, intensity as the source gives it.
        point_time_offset_ns: (P,) int32 time of each point less the sweep's.
        dropped: how many points of the source were left out because a coordinate or time is not finite.
    """

    points: F32
    point_time_offset_ns: I32
    dropped: int

    @classmethod
    def finite(cls, xyz_m: F64, intensity: F64, offset_ns: F64 | I64, where: str) -> Points:
        """Keeps the finite points of a sweep; intensity that is not a number becomes 0.

        Args:
            xyz_m: (P, 3) in the sensor frame.
            intensity: (P,).
            offset_ns: (P,) time of each point less the sweep's.
            where: the file, for messages.

        Raises:
            SourceError: there are points, but none is finite.
        """
        good = np.abs(offset_ns) <= _MAX_OFFSET_NS
        for axis in range(3):  # three times as fast as all three at once
            good &= np.isfinite(xyz_m[:, axis])
        n_bad = len(good) - int(np.count_nonzero(good))
        if n_bad and n_bad == len(good):
            raise SourceError(
                f"{where}: none of its {n_bad} points has finite coordinates and a time; restore the file"
            )
        kept = good if n_bad else slice(None)
        points = np.empty((len(good) - n_bad, 4), dtype=np.float32)
        points[:, :3] = xyz_m[kept]
        points[:, 3] = np.nan_to_num(intensity[kept])
        return cls(points, np.round(offset_ns[kept]).astype(np.int32), n_bad)


def lidar_part(
    read: Callable[[int], Points | None], start: int, stop: int, times: Timeline
) -> tuple[Part, list[Quarantined]]:
    """The part of frames ``start:stop`` of a lidar.

    Args:
        read: gives a frame's points, None where the log has none; raises :class:`SourceError` for broken
            data.
    """
    none = Points(np.empty((0, 4), np.float32), np.empty(0, np.int32), 0)
    sweeps: list[Points] = []
    status = np.full(stop - start, SampleStatus.OK, dtype=np.uint8)
    quarantined: list[Quarantined] = []
    for row, frame in enumerate(range(start, stop)):
        problem: str | None = None
        try:
            sweep = read(frame)
        except SourceError as error:
            sweep, problem = none, str(error)
        if sweep is None:
            status[row] = SampleStatus.MISSING
        else:
            problem = problem or times.faults.get(frame)
        if problem:
            status[row] = SampleStatus.QUARANTINED
            quarantined.append(Quarantined(frame, problem))
        sweeps.append(sweep or none)
    samples: dict[str, AnyArray] = {
        "timestamp_ns": times.timestamp_ns[start:stop],
        "status": status,
        "dropped_points": np.array([sweep.dropped for sweep in sweeps], dtype=np.int32),
    }
    flat: dict[str, AnyArray] = {
        "points": np.concatenate([sweep.points for sweep in sweeps]),
        "point_time_offset_ns": np.concatenate([sweep.point_time_offset_ns for sweep in sweeps]),
    }
    return Part(samples, np.array([len(sweep.points) for sweep in sweeps], dtype=np.int64), flat), quarantined
