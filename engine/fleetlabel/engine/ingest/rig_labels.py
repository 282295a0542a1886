"""Ground truth of a rig folder: one .csv of cuboids, one .csv of boxes per camera. Numbers come back bit for bit.

A row is a box; ``frame`` and ``class`` must be there, and the box itself. Every other column of
:mod:`fleetlabel.model.boxes` may be left out, or a cell left empty: the value is then unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fleetlabel.engine.ingest.rig_problems import Problem, RigError
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import I64, AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D

if TYPE_CHECKING:
    import pandas as pd

B = TypeVar("B", Boxes2D, Boxes3D)

# Names of the numbers of a column that has several.
_SPREAD: Mapping[str, tuple[str, ...]] = {
    "xyxy_px": ("x1_px", "y1_px", "x2_px", "y2_px"),
    "amodal_xyxy_px": ("amodal_x1_px", "amodal_y1_px", "amodal_x2_px", "amodal_y2_px"),
    "center_m": ("x_m", "y_m", "z_m"),
    "size_lwh_m": ("length_m", "width_m", "height_m"),
    "q_wxyz": ("qw", "qx", "qy", "qz"),
    "velocity_mps": ("vx_mps", "vy_mps", "vz_mps"),
}
_YAW = "yaw_rad"


def write_boxes(path: Path, boxes: Boxes) -> None:
    """Writes boxes, those columns only that say something."""
    import pandas as pd

    columns: dict[str, object] = {"frame": boxes.frame, "class": boxes.class_labels()}
    for name, values in boxes.columns().items():
        if name in ("frame", "class_id") or _says_nothing(boxes, name, values):
            continue
        columns |= _cells(name, values)
    # A number that is none is written out: an empty cell means "not given".
    pd.DataFrame(columns).to_csv(path, index=False, na_rep="nan")


def read_class_names(path: Path) -> tuple[str, ...]:
    """Classes that a file of boxes has, sorted."""
    return tuple(sorted(set(_read(path)["class"].tolist())))


def read_boxes(
    path: Path, kind: type[B], class_names: Sequence[str], frame_timestamp_ns: I64, field: str
) -> B:
    """Boxes of a file, sorted by frame.

    Args:
        frame_timestamp_ns: (F,) times of the frames; a box without a time has its frame's.
        field: of ``rig.yaml``, for messages.

    Raises:
        RigError: a column is missing or unknown, or a cell is no number, class or frame of the drive.
    """
    table = _read(path)
    known = {cell for name in kind.column_names() for cell in _SPREAD.get(name, (name,))}
    extra = [name for name in table if name not in known - {"class_id"} | {"class", _YAW}]
    if extra:
        expected = f"columns of {kind.__name__}"
        raise RigError([Problem(path, field, expected, f"{extra}", "rename or drop them; see rig-format.md")])
    frame = _numbers(table, "frame", np.dtype(np.int64), path)
    _require(path, "frame", (frame >= 0) & (frame < len(frame_timestamp_ns)), frame,
             f"frames 0 to {len(frame_timestamp_ns) - 1}")  # fmt: skip
    order = np.argsort(frame, kind="stable")
    columns: dict[str, AnyArray] = {
        "frame": frame.astype(np.int32),
        "class_id": _class_ids(table["class"], class_names, path),
        "timestamp_ns": frame_timestamp_ns[frame],
    }
    for name in kind.column_names():
        if name in ("frame", "class_id"):
            continue
        values = _column(table, kind, name, path)
        if values is not None:
            columns[name] = values
    return kind.from_columns(class_names, {name: values[order] for name, values in columns.items()})


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        # Text first: what a cell means hangs on its column, and an empty one is no number.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        said = " ".join(str(error).split())
        raise RigError([Problem(path, "", "a table with a header", said, "restore the file")]) from error
    lacking = [name for name in ("frame", "class") if name not in table]
    if lacking:
        found = ", ".join(map(str, table.columns[:12]))
        raise RigError([Problem(path, "header", f"the column {lacking[0]}", found, "add it")])
    return table


def _column(table: pd.DataFrame, kind: type[Boxes], name: str, path: Path) -> AnyArray | None:
    """A column of the boxes, None where the file does not have it and it may be left out."""
    dtype, _ = kind.column_spec(name)
    default = kind.__dataclass_fields__[name].metadata["default"]
    cells = _SPREAD.get(name, (name,))
    given = [cell for cell in cells if cell in table]
    if name == "q_wxyz" and not given and _YAW in table:
        return quaternion.from_yaw(_numbers(table, _YAW, np.dtype(np.float64), path))
    if not given and (default is not None or name == "timestamp_ns"):
        return None
    if len(given) != len(cells):
        lacking = [cell for cell in cells if cell not in given]
        raise RigError(
            [
                Problem(
                    path, "header", f"the columns {', '.join(cells)}", f"no {', '.join(lacking)}", "add them"
                )
            ]
        )
    found = [_numbers(table, cell, dtype, path, default) for cell in cells]
    return np.stack(found, axis=1) if name in _SPREAD else found[0]


def _numbers(
    table: pd.DataFrame, name: str, dtype: np.dtype[Any], path: Path, default: float | None = None
) -> AnyArray:
    text = table[name].to_numpy(dtype=object)
    empty = text == ""
    if default is not None and empty.any():
        filler = repr(float(default)) if dtype.kind == "f" else str(int(default))
        text = np.where(empty, filler, text)
    try:
        if dtype.kind == "f":
            return text.astype(np.float64).astype(dtype)
        wide = np.array([int(cell) for cell in text.tolist()], dtype=np.int64)
    except (ValueError, OverflowError):
        row = next(row for row, cell in enumerate(text.tolist()) if not _parses(cell, dtype.kind))
        what = "a number" if dtype.kind == "f" else "a whole number"
        raise RigError(
            [Problem(path, f"{name}, row {row}", what, repr(text[row])[:40], "correct the row")]
        ) from None
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    _require(path, name, (wide >= limits[0]) & (wide <= limits[1]), wide, f"{limits[0]} to {limits[1]}")
    return wide.astype(dtype)


def _parses(cell: str, kind: str) -> bool:
    try:
        if kind == "f":
            float(cell)
            return True
        return -(2**63) <= int(cell) < 2**63
    except ValueError:
        return False


def _class_ids(cells: pd.Series[str], class_names: Sequence[str], path: Path) -> AnyArray:
    place = {name: row for row, name in enumerate(class_names)}
    found = np.array([place.get(cell, -1) for cell in cells.tolist()], dtype=np.int16)
    _require(path, "class", found >= 0, cells.to_numpy(dtype=object), f"one of {', '.join(class_names)}")
    return found


def _require(path: Path, name: str, good: AnyArray, values: AnyArray, expected: str) -> None:
    if len(good) and not good.all():
        row = int(np.argmin(good))
        raise RigError(
            [Problem(path, f"{name}, row {row}", expected, repr(values[row])[:40], "correct the row")]
        )


def _says_nothing(boxes: Boxes, name: str, values: AnyArray) -> bool:
    default = boxes.__dataclass_fields__[name].metadata["default"]
    if default is None:
        return False
    unknown = np.isnan(values) if default != default else values == default
    return bool(np.all(unknown))


def _cells(name: str, values: AnyArray) -> dict[str, AnyArray]:
    """Columns of the file: doubles print so that they are read as the same; so do floats once they are doubles."""
    wide = values.astype({"f": np.float64, "b": np.int64}.get(values.dtype.kind, values.dtype))
    return dict(zip(_SPREAD[name], wide.T, strict=True)) if name in _SPREAD else {name: wide}
