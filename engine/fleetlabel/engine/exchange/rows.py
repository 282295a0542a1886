"""Rows of label files on their way to columns: checked, and handed on in blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fleetlabel.engine.exchange.contract import BLOCK_ROWS, Block, Reading
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import SourceError, UsageError

# Eight times the largest vocabulary that detectors are trained on.
_MAX_CLASSES = 10_000
_CUBOID = ("center_m", "size_lwh_m", "q_wxyz")


class Rows:
    """Rows of one kind of boxes as a reader finds them.

    ``add`` takes a row's values in the order of ``columns``; ``blocks`` hands on what was gathered: call it often with
    ``full()`` as condition, and once at the end.

    Args:
        kind: of boxes.
        columns: besides frame, time and class, which every row has.
        unit: what ``at`` counts in messages: line, annotation, ...
    """

    def __init__(
        self,
        kind: type[Boxes2D] | type[Boxes3D],
        path: Path,
        reading: Reading,
        columns: Sequence[str],
        unit: str = "line",
    ) -> None:
        self._kind, self._path, self._reading, self._unit = kind, path, reading, unit
        self._columns = tuple(columns)
        self._rows: list[tuple[Any, ...]] = []
        self._class_names: dict[str, int] = {}

    def add(self, at: object, camera: str | None, frame: int, name: str, *values: object) -> None:
        """A row.

        Args:
            at: number of the line, annotation, ... that it stands in.
            camera: whose picture it is in; None for a cuboid.
            values: in the order of ``columns``.
        """
        class_id = self._class_names.setdefault(name, len(self._class_names))
        if class_id >= _MAX_CLASSES:
            refuse_classes(self._path, len(self._class_names))
        self._rows.append((at, camera, frame, class_id, *values))

    def full(self) -> bool:
        """Whether there are enough rows for a block."""
        return len(self._rows) >= BLOCK_ROWS

    def blocks(self) -> Iterator[Block]:
        """What was gathered, by camera.

        Raises:
            SourceError: a row is of no frame of the drive, or its values are no numbers of the right kind.
        """
        rows, self._rows = self._rows, []
        if not rows:
            return
        ats, cameras, frames, class_ids, *values = zip(*rows, strict=True)
        columns: dict[str, AnyArray] = {"class_id": np.array(class_ids, dtype=np.int16)}
        columns["frame"] = frame_column(frames, ats, self._where, self._reading)
        for name, column in zip(self._columns, values, strict=True):
            dtype, shape = self._kind.column_spec(name)
            columns[name] = self._column(name, column, dtype, shape, ats)
        checked(self._kind, columns, lambda row: self._where(ats[row]))
        names = tuple(self._class_names)
        which = np.array([camera or "" for camera in cameras], dtype=np.str_)
        for camera in dict.fromkeys(cameras):
            mine = np.flatnonzero(which == (camera or ""))
            mine = mine[np.argsort(columns["frame"][mine], kind="stable")]
            yield block(self._reading, camera, names, {k: column[mine] for k, column in columns.items()})

    def _where(self, at: object) -> str:
        return f"{self._path} {self._unit} {at}"

    def _column(
        self,
        name: str,
        values: Sequence[Any],
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        ats: Sequence[object],
    ) -> AnyArray:
        try:
            column = np.array(values, dtype=dtype)
            if column.shape == (len(values), *shape):
                return column
        except (ValueError, TypeError, OverflowError):
            pass
        for at, value in zip(ats, values, strict=True):  # find the culprit
            try:
                good = np.array(value, dtype=dtype).shape == shape
            except (ValueError, TypeError, OverflowError):
                good = False
            if not good:
                kind = f"{shape[0]} numbers" if shape else "a number"
                raise SourceError(
                    f"{self._where(at)}: {name} is {str(value)[:60]}, expected {kind} ({dtype})"
                )
        raise SourceError(f"{self._path}: {name} cannot be read as {dtype} {shape}")


def refuse_classes(path: Path | str, count: int) -> None:
    """Refuses files that give nearly every box a class of its own, which no label file does.

    Raises:
        SourceError: there are more than :data:`_MAX_CLASSES`.
    """
    if count > _MAX_CLASSES:
        raise SourceError(f"{path} has more than {_MAX_CLASSES} classes; is the class in another column?")


def checked(
    kind: type[Boxes2D] | type[Boxes3D], columns: dict[str, AnyArray], where: Callable[[int], str]
) -> None:
    """Holds boxes to what they must be, and makes quaternions unit.

    Args:
        where: says where a row (its number) stands.

    Raises:
        SourceError: a box is not finite, ends before it begins, or its quaternion names no rotation.
    """

    def refuse(bad: Any, what: str) -> None:
        if bad.any():
            raise SourceError(f"{where(int(np.argmax(bad)))} {what}; correct or remove it")

    if kind is Boxes2D:
        xyxy = columns["xyxy_px"]
        refuse(~np.isfinite(xyxy).all(axis=1), "has a box whose edges are not finite")
        refuse((xyxy[:, 2:] < xyxy[:, :2]).any(axis=1), "has a box that ends before it begins")
        return
    finite = np.all([np.isfinite(columns[name]).all(axis=1) for name in _CUBOID], axis=0)
    refuse(~finite, "has a cuboid with numbers that are not finite")
    refuse((columns["size_lwh_m"] < 0).any(axis=1), "has a cuboid of negative size")
    norm = np.linalg.norm(columns["q_wxyz"], axis=1)
    refuse(~(np.abs(norm - 1) < 1e-2), "has a quaternion that is not of unit length")
    columns["q_wxyz"] = quaternion.normalize(columns["q_wxyz"])


def block(
    reading: Reading,
    camera: str | None,
    class_names: Sequence[str],
    columns: dict[str, AnyArray],
    view: str | None = None,
) -> Block:
    """Boxes of columns, at the time of the picture or of the frame where the file gives none."""
    drive, frame = reading.drive, columns["frame"]
    times = drive.info.frame_timestamp_ns if camera is None else drive.exposure_ns[camera]
    kind = Boxes3D if camera is None else Boxes2D
    return Block(
        camera, kind.from_columns(tuple(class_names), {"timestamp_ns": times[frame], **columns}), view
    )


def frame_column(
    frames: Sequence[Any], ats: Sequence[Any], where: Callable[[Any], str], reading: Reading
) -> AnyArray:
    """Frame numbers as int32, each of the drive.

    Raises:
        SourceError: one is not; ``where(at)`` says where it stands.
    """
    n = reading.drive.info.n_frames
    for frame, at in zip(frames, ats, strict=True):
        if type(frame) is not int or not 0 <= frame < n:
            raise SourceError(
                f"{where(at)} is of frame {str(frame)[:40]}, but {reading.drive.info.name} has frames 0..{n - 1}; "
                "these labels are of another drive"
            )
    return np.array(frames, dtype=np.int32)


def camera_named(name: str | None, reading: Reading, where: str) -> str:
    """The drive's camera of that name; where files name none, the one that was given for them.

    Raises:
        UsageError: nobody says which camera, or the drive has none of that name.
    """
    cameras = reading.drive.cameras
    if name in cameras:
        return str(name)
    given = reading.camera or (cameras[0] if len(cameras) == 1 else None)
    if given is None:
        raise UsageError(f"{where} does not say which of {list(cameras)} it is of; say it with --camera")
    if given not in cameras:
        raise UsageError(f"there is no camera {given!r}; the drive has {list(cameras)}")
    return given


def camera_in(path: str, reading: Reading) -> str:
    """The camera whose name is a folder of a path, or ends the name of one (``drive-front``).

    Raises:
        UsageError: see :func:`camera_named`.
    """
    parts = path.replace("\\", "/").rsplit(".", 1)[0].split("/")
    found = [camera for camera in reading.drive.cameras if camera in parts]
    found = found or [c for c in reading.drive.cameras if any(part.endswith(f"-{c}") for part in parts)]
    return camera_named(found[-1] if found else None, reading, str(path)[-200:])


def frame_in(path: str) -> int | None:
    """The number at the end of a picture's name (``front/000012.jpg``: 12), None if there is none."""
    match = re.search(r"(\d{1,12})$", PurePosixPath(path.replace("\\", "/")).stem)
    return int(match[1]) if match else None


def picture_name(drive_name: str, camera: str, frame: int) -> str:
    """What a picture is called in label files: sequence, camera and frame."""
    return f"{drive_name}/{camera}/{frame:06d}.jpg"
