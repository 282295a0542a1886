"""What goes into a tracker and what comes out: columns of boxes, one row per box, sorted by frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Self

import numpy as np

from fleetlabel.geometry.arrays import F64, I16, I32, I64, U8, AnyArray

Layout = dict[str, tuple[Any, int]]  # name of a column: its dtype, numbers per row or 0


class Status(IntEnum):
    """How the box of a track row came about."""

    matched = 0
    coasted = 1
    interpolated = 2
    smoothed = 3
    human = 4


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of equal length sorted by frame; children list their dtypes and widths in ``_layout``."""

    _layout: ClassVar[Layout] = {}
    _may_be_unknown: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        layout = self._layout
        n = len(np.atleast_1d(getattr(self, next(iter(layout)))))
        for name, (dtype, width) in layout.items():
            given = getattr(self, name)
            column = np.asarray(given, dtype=dtype)
            shape = (n, width) if width else (n,)
            if column.shape != shape:
                if column.size == 0 and n == 0:
                    column = column.reshape(shape)
                elif column.size == 0 and name in self._may_be_unknown:
                    column = np.full(shape, np.nan)
                else:
                    raise ValueError(
                        f"{type(self).__name__}.{name} has shape {column.shape}, expected {shape}"
                    )
            if not column.flags.c_contiguous:
                column = np.ascontiguousarray(column)
            if column is not given:
                object.__setattr__(self, name, column)
        frame: I32 = getattr(self, "frame")  # noqa: B009 - every child has it
        if n > 1 and (falls := frame[1:] < frame[:-1]).any():
            row = int(falls.argmax()) + 1
            raise ValueError(
                f"{type(self).__name__} row {row} has frame {frame[row]} after frame {frame[row - 1]}; "
                "expected rows sorted by frame: sort them with numpy.argsort(frame, kind='stable')"
            )

    @classmethod
    def trusted(cls, columns: tuple[AnyArray, ...]) -> Self:
        """Rows of columns that are known to be right, in the order of the fields; checks nothing."""
        rows = object.__new__(cls)
        for name, column in zip(cls._layout, columns, strict=True):
            object.__setattr__(rows, name, column)
        return rows

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls(**{name: np.empty((0, w) if w else 0, dtype=t) for name, (t, w) in cls._layout.items()})

    def take(self, rows: AnyArray) -> Self:
        """The rows named by an index array, a mask or a slice; must stay sorted by frame."""
        return type(self)(**{name: getattr(self, name)[rows] for name in self._layout})

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        """All rows of ``parts``, stably sorted by frame."""
        if not parts:
            return cls.empty()
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls._layout}
        order = np.argsort(columns["frame"], kind="stable")
        return cls(**{name: column[order] for name, column in columns.items()})

    def __len__(self) -> int:
        frame: I32 = getattr(self, "frame")  # noqa: B009 - every child has it
        return len(frame)


@dataclass(frozen=True, slots=True)
class Detections2D(_Columns):
    """Boxes found in pictures, before anyone knows which belong together.

    Attributes:
        frame: (N,) int32, index into the timestamps of the chunk, ascending.
        xyxy_px: (N, 4) float64, pixel edges, x2 and y2 exclusive.
        score: (N,) float64, the detector's confidence, 0-1.
        class_id: (N,) int16.

    """

    frame: I32
    xyxy_px: F64
    score: F64
    class_id: I16

    _layout: ClassVar[Layout] = {
        "frame": (np.int32, 0),
        "xyxy_px": (np.float64, 4),
        "score": (np.float64, 0),
        "class_id": (np.int16, 0),
    }


@dataclass(frozen=True, slots=True)
class Detections3D(_Columns):
    """Upright cuboids, in the world frame where ego poses are known and in the ego frame where they are not.

    Attributes:
        frame: (N,) int32, index into the timestamps of the chunk, ascending.
        center_m: (N, 3) float64.
        size_lwh_m: (N, 3) float64, length along x of the box, width along y, height along z.
        yaw_rad: (N,) float64, heading about z, 0 along x.
        score: (N,) float64, the detector's confidence, 0-1.
        class_id: (N,) int16.

    """

    frame: I32
    center_m: F64
    size_lwh_m: F64
    yaw_rad: F64
    score: F64
    class_id: I16

    _layout: ClassVar[Layout] = {
        "frame": (np.int32, 0), "center_m": (np.float64, 3), "size_lwh_m": (np.float64, 3), "yaw_rad": (np.float64, 0),
        "score": (np.float64, 0), "class_id": (np.int16, 0),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tracks2D(_Columns):
    """Boxes with identities.

    Attributes:
        frame: (N,) int32, ascending.
        track_id: (N,) int64, from 1, unique within one tracker.
        xyxy_px: (N, 4) float64; of a matched row, the detection's own box.
        score: (N,) float64, of the detection; of a row without one, of the track's last detection.
        class_id: (N,) int16, the track's class: the majority of its detections so far, by score.
        detection: (N,) int64, row of the detections given, -1 where there is none.
        status: (N,) uint8, :class:`Status`.
        xyxy_std_px: (N, 4) float64, how sure each edge is, as a standard deviation; nan where nobody says.

    """

    frame: I32
    track_id: I64
    xyxy_px: F64
    score: F64
    class_id: I16
    detection: I64
    status: U8
    xyxy_std_px: F64 = field(default_factory=lambda: np.empty((0, 4)))

    _may_be_unknown: ClassVar[tuple[str, ...]] = ("xyxy_std_px",)

    _layout: ClassVar[Layout] = {
        "frame": (np.int32, 0), "track_id": (np.int64, 0), "xyxy_px": (np.float64, 4), "score": (np.float64, 0),
        "class_id": (np.int16, 0), "detection": (np.int64, 0), "status": (np.uint8, 0),
        "xyxy_std_px": (np.float64, 4),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tracks3D(_Columns):
    """Cuboids with identities and velocities; columns as in :class:`Detections3D` and :class:`Tracks2D`.

    ``velocity_mps`` (N, 3) float64 is in the frame of the boxes. ``center_std_m`` (N, 3) float64 says how
    sure the centre is along the box's own axes, as a standard deviation; nan where nobody says.
    """

    frame: I32
    track_id: I64
    center_m: F64
    size_lwh_m: F64
    yaw_rad: F64
    velocity_mps: F64
    score: F64
    class_id: I16
    detection: I64
    status: U8
    center_std_m: F64 = field(default_factory=lambda: np.empty((0, 3)))

    _may_be_unknown: ClassVar[tuple[str, ...]] = ("center_std_m",)

    _layout: ClassVar[Layout] = {
        "frame": (np.int32, 0), "track_id": (np.int64, 0), "center_m": (np.float64, 3), "size_lwh_m": (np.float64, 3),
        "yaw_rad": (np.float64, 0), "velocity_mps": (np.float64, 3), "score": (np.float64, 0),
        "class_id": (np.int16, 0), "detection": (np.int64, 0), "status": (np.uint8, 0), "center_std_m": (np.float64, 3),
    }  # fmt: skip
