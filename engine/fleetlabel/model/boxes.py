"""Columnar 2D and 3D boxes: one array per column, one row per box, sorted by frame.

No Python object stands for a box. A column's type, trailing shape and meaning are declared once, in the dataclass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Self

import numpy as np

from fleetlabel.geometry import boxes as cuboids
from fleetlabel.geometry.arrays import F32, F64, I8, I16, I32, I64, U8, AnyArray, Bool


class Source(IntEnum):
    """Who made a box."""

    UNKNOWN = 0
    GROUND_TRUTH = 1
    DETECTOR = 2
    TRACKER = 3
    INTERPOLATED = 4
    SMOOTHED = 5
    HUMAN = 6


def _column(dtype: Any, default: float | None = None, shape: tuple[int, ...] = ()) -> Any:
    """A column: its dtype, the value that means "not given" (None: it must be given), and its trailing shape."""
    metadata = {"dtype": np.dtype(dtype), "default": default, "shape": shape}
    if default is None:
        return field(metadata=metadata)
    return field(metadata=metadata, default=None)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Boxes:
    """What 2D and 3D boxes have in common. Columns that are not given take the value that means "unknown".

    Attributes:
        class_names: what ``class_id`` counts.
        frame: (N,) int32 frame of the sequence, ascending.
        timestamp_ns: (N,) int64 time at which the box holds.
        class_id: (N,) int16 row of ``class_names``.
        score: (N,) float32 in [0, 1]; 1 for people and ground truth.
        track_id: (N,) int64 identity through the sequence, -1 if none.
        source: (N,) uint8 :class:`Source`.
        detection: (N,) int32 row, among those of the same frame, in the stage that the box was taken from; -1 none.
        truncation: (N,) float32 as the source grades it (KITTI: 0, 1, 2; others a fraction), NaN unknown.
        occlusion: (N,) int8 as the source grades it (KITTI: 0..3), -1 unknown.
        ignore: (N,) bool a region that is neither an object nor background (KITTI's DontCare).
    """

    class_names: tuple[str, ...]
    frame: I32 = _column(np.int32)
    timestamp_ns: I64 = _column(np.int64)
    class_id: I16 = _column(np.int16)
    score: F32 = _column(np.float32, 1.0)
    track_id: I64 = _column(np.int64, -1)
    source: U8 = _column(np.uint8, Source.UNKNOWN)
    detection: I32 = _column(np.int32, -1)
    truncation: F32 = _column(np.float32, np.nan)
    occlusion: I8 = _column(np.int8, -1)
    ignore: Bool = _column(np.bool_, False)

    def __post_init__(self) -> None:
        n = np.size(self.frame)
        for column in fields(self):
            if not column.metadata:
                continue
            dtype, shape = column.metadata["dtype"], (n, *column.metadata["shape"])
            given = getattr(self, column.name)
            if given is None:
                value = np.full(shape, column.metadata["default"], dtype=dtype)
            else:
                value = _as_dtype(column.name, given, dtype)
            if value.shape != shape:
                raise ValueError(f"column {column.name} has {value.shape = }, expected {shape} for {n} boxes")
            object.__setattr__(self, column.name, value)
        if n and bool(np.any(np.diff(self.frame) < 0)):
            row = int(np.argmax(np.diff(self.frame) < 0)) + 1
            raise ValueError(
                f"boxes are not sorted by frame: row {row} is of frame {self.frame[row]}, the one before it of "
                f"{self.frame[row - 1]}; sort the rows first"
            )
        if n and not 0 <= int(self.class_id.min()) <= int(self.class_id.max()) < len(self.class_names):
            raise ValueError(
                f"class_id spans {self.class_id.min()}..{self.class_id.max()}, but there are "
                f"{len(self.class_names)} class names"
            )

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def column_names(cls) -> tuple[str, ...]:
        """Names of the array columns, in declaration order."""
        return tuple(column.name for column in fields(cls) if column.metadata)

    @classmethod
    def column_spec(cls, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """dtype and trailing shape of a column."""
        metadata = cls.__dataclass_fields__[name].metadata
        return metadata["dtype"], metadata["shape"]

    @classmethod
    def empty(cls, class_names: Sequence[str]) -> Self:
        """No boxes."""
        return cls.from_columns(
            class_names, {name: _no_rows(*cls.column_spec(name)) for name in cls.column_names()}
        )

    @classmethod
    def from_columns(cls, class_names: Sequence[str], columns: dict[str, AnyArray]) -> Self:
        """Boxes of a dictionary of columns; the inverse of :meth:`columns`."""
        return cls(class_names=tuple(class_names), **columns)

    def columns(self) -> dict[str, AnyArray]:
        """Every array column by name."""
        return {name: getattr(self, name) for name in self.column_names()}

    def take(self, rows: AnyArray | slice) -> Self:
        """The boxes at the given row numbers (ascending in frame), mask or slice."""
        return self.from_columns(
            self.class_names, {name: value[rows] for name, value in self.columns().items()}
        )

    def replace(self, **columns: AnyArray) -> Self:
        """The same boxes with some columns exchanged."""
        return self.from_columns(self.class_names, self.columns() | columns)

    def with_class_names(self, class_names: Sequence[str]) -> Self:
        """The same boxes counted by another list of class names.

        Raises:
            ValueError: a class that some box has is not in the list.
        """
        present = np.unique(self.class_id)
        lost = [self.class_names[i] for i in present if self.class_names[i] not in class_names]
        if lost:
            raise ValueError(f"boxes of classes {lost} cannot be counted by {list(class_names)}")
        place = np.zeros(len(self.class_names), dtype=np.int16)
        place[present] = [list(class_names).index(self.class_names[i]) for i in present]
        return self.from_columns(class_names, self.columns() | {"class_id": place[self.class_id]})

    def frame_ptr(self, n_frames: int) -> I64:
        """Offsets (n_frames + 1,): rows ``ptr[f]:ptr[f + 1]`` are those of frame f."""
        return np.searchsorted(self.frame, np.arange(n_frames + 1)).astype(np.int64)

    def class_labels(self) -> AnyArray:
        """Class name of every row, (N,) of str."""
        return (
            np.asarray(self.class_names, dtype=np.str_)[self.class_id] if len(self) else np.empty(0, np.str_)
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All boxes of several blocks with the same class names, sorted by frame (stable).

        Raises:
            ValueError: there is no block, or the blocks count classes differently.
        """
        names = {part.class_names for part in parts}
        if len(names) != 1:
            raise ValueError(
                f"cannot join boxes with {len(names)} different lists of class names: {sorted(names)}"
            )
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.column_names()
        }
        order = np.argsort(joined["frame"], kind="stable")
        return cls.from_columns(parts[0].class_names, {name: value[order] for name, value in joined.items()})


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Boxes2D(Boxes):
    """Boxes in one camera's pictures.

    Attributes:
        xyxy_px: (N, 4) float64 x1 y1 x2 y2, pixel edges (x2, y2 exclusive); of the visible part where visible and
            whole extent are told apart.
        amodal_xyxy_px: (N, 4) float64 of the whole object within the picture, what hides it taken away; NaN unknown.
        visible_fraction: (N,) float32 share of the object's area within the picture that nothing hides, NaN unknown.
    """

    xyxy_px: F64 = _column(np.float64, shape=(4,))
    amodal_xyxy_px: F64 = _column(np.float64, np.nan, shape=(4,))
    visible_fraction: F32 = _column(np.float32, np.nan)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Boxes3D(Boxes):
    """Cuboids in the world frame.

    Attributes:
        center_m: (N, 3) float64.
        size_lwh_m: (N, 3) float64 length (x), width (y), height (z).
        q_wxyz: (N, 4) float64 world from box.
        velocity_mps: (N, 3) float32, NaN unknown.
        n_points: (N,) int32 lidar points inside or assigned, -1 unknown.
    """

    center_m: F64 = _column(np.float64, shape=(3,))
    size_lwh_m: F64 = _column(np.float64, shape=(3,))
    q_wxyz: F64 = _column(np.float64, shape=(4,))
    velocity_mps: F32 = _column(np.float32, np.nan, shape=(3,))
    n_points: I32 = _column(np.int32, -1)

    def corners_m(self) -> F64:
        """Corners (N, 8, 3) in the world frame; order of :data:`fleetlabel.geometry.boxes.UNIT_CORNERS`."""
        return cuboids.corners(self.center_m, self.size_lwh_m, self.q_wxyz)


def _as_dtype(name: str, given: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """The column in its declared dtype; whole numbers must survive the cast, so that no class becomes another."""
    found = np.asarray(given)
    with np.errstate(invalid="ignore"):
        value = np.ascontiguousarray(found, dtype=dtype)
    if found.dtype != dtype and dtype.kind in "iub" and not np.array_equal(value, found):
        raise ValueError(
            f"column {name} has {found.dtype} values that are no {dtype}: they would change when stored"
        )
    return value


def _no_rows(dtype: np.dtype[Any], shape: tuple[int, ...]) -> AnyArray:
    return np.empty((0, *shape), dtype=dtype)
