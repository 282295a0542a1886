"""Tables of a rig folder: sensor times, frame times and ego poses, from CSV, NumPy or TUM files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.ingest.clocks import nanoseconds
from fleetlabel.engine.ingest.files import read_bytes, read_text
from fleetlabel.engine.ingest.point_files import read_npy
from fleetlabel.engine.ingest.rig_problems import Problem, RigError
from fleetlabel.engine.ingest.rig_schema import PosesEntry
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.geometry.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd

POSE_COLUMNS = ("x", "y", "z", "qw", "qx", "qy", "qz")
TUM_COLUMNS = ("timestamp_s", "x", "y", "z", "qx", "qy", "qz", "qw")
_SAMPLE_COLUMNS = ("timestamp_ns", "file", "frame", "fault", "dropped_points")


@dataclass(frozen=True, slots=True, eq=False)
class SampleTable:
    """What a sensor's timestamps file says, one row per sample.

    Attributes:
        timestamp_ns: (N,) int64.
        files: (N,) file of each sample in the sensor's folder, "" where it has none; None: the files in order.
        frame: (N,) int64 frame of each sample; None: by time.
        faults: row -> why the sample must not be used.
        dropped_points: (N,) int32 points that were left out before.
    """

    timestamp_ns: I64
    files: tuple[str, ...] | None = None
    frame: I64 | None = None
    faults: dict[int, str] = field(default_factory=dict)
    dropped_points: AnyArray | None = None

    def __len__(self) -> int:
        return len(self.timestamp_ns)


def read_samples(path: Path) -> SampleTable:
    """A timestamps file: .npy, text with one number per line, or .csv with named columns.

    Raises:
        SourceError: it cannot be read, or a time is no whole number of nanoseconds.
    """
    if path.suffix.lower() == ".npy":
        return SampleTable(_whole(read_npy(read_bytes(path), str(path)), path, "timestamp_ns"))
    table = _read_csv(path)
    if "timestamp_ns" not in table:
        if table.shape[1] != 1:
            raise _lacking(path, "timestamp_ns", table)
        table = _read_csv(path, header=False).rename(columns={0: "timestamp_ns"})
    unknown = [name for name in table if name not in _SAMPLE_COLUMNS]
    if unknown:
        raise RigError(
            [Problem(path, "header", f"columns of {_SAMPLE_COLUMNS}", f"{unknown}", "rename or drop them")]
        )
    faults = {row: text for row, text in enumerate(table.get("fault", ())) if text}
    return SampleTable(
        timestamp_ns=_whole(table["timestamp_ns"].to_numpy(), path, "timestamp_ns"),
        files=tuple(table["file"]) if "file" in table else None,
        frame=_whole(table["frame"].to_numpy(), path, "frame") if "frame" in table else None,
        faults=faults,
        dropped_points=(
            _whole(table["dropped_points"].to_numpy(), path, "dropped_points").astype(np.int32)
            if "dropped_points" in table
            else None
        ),
    )


def write_samples(path: Path, table: SampleTable) -> None:
    """Writes a timestamps file with every column that the table has."""
    import pandas as pd

    columns: dict[str, object] = {}
    if table.frame is not None:
        columns["frame"] = table.frame
    columns["timestamp_ns"] = table.timestamp_ns
    if table.files is not None:
        columns["file"] = table.files
    if table.dropped_points is not None:
        columns["dropped_points"] = table.dropped_points
    if table.faults:
        columns["fault"] = [" ".join(table.faults.get(row, "").split()) for row in range(len(table))]
    pd.DataFrame(columns).to_csv(path, index=False)


def read_times(path: Path) -> I64:
    """Times (F,) int64 of a timestamps file that has to be in ascending order.

    Raises:
        SourceError: it cannot be read, or is not ascending.
    """
    times = read_samples(path).timestamp_ns
    late = times[1:] <= times[:-1]
    if late.any():
        row = int(late.argmax()) + 1
        found = f"{times[row]} ns in row {row}, after {times[row - 1]} ns"
        raise RigError([Problem(path, "timestamp_ns", "ascending times", found, "sort, and drop duplicates")])
    return times


def read_poses(path: Path, entry: PosesEntry) -> tuple[Trajectory, list[Problem]]:
    """Ego poses in the file's own world, and what was noticed: rows that are no pose are left out.

    Raises:
        SourceError: the file cannot be read, says no order of the quaternion, or its times do not ascend.
    """
    kind = entry.format or {".csv": "csv", ".npy": "npy", ".tum": "tum"}.get(path.suffix.lower())
    if kind is None:
        raise RigError(
            [
                Problem(
                    path, "poses.format", "csv, npy or tum", f"the ending {path.suffix!r}", "state the format"
                )
            ]
        )
    times, poses = _named_npy(path) if kind == "npy" else _text_poses(path, kind, entry.columns)
    norm = np.linalg.norm(poses[:, 3:], axis=1)
    good = np.isfinite(poses).all(axis=1) & (norm > 1e-6)
    problems = []
    if not good.all():
        row = int(np.argmin(good))
        found = f"{int((~good).sum())} rows that are none, the first is row {row}"
        problems.append(Problem(path, "poses", "finite poses", found, "they are interpolated", warning=True))
    uneven = good & (np.abs(norm - 1) > 1e-3)
    if uneven.any():
        row = int(uneven.argmax())
        found = f"{int(uneven.sum())} rows that are not, row {row} of length {norm[row]:.6g}"
        remedy = "they are normalised; check the order of the columns"
        problems.append(Problem(path, "poses", "unit quaternions", found, remedy, warning=True))
    times, poses = times[good], poses[good]
    late = times[1:] <= times[:-1]
    if late.any():
        row = int(late.argmax()) + 1
        found = f"{times[row]} ns in row {row}, after {times[row - 1]} ns"
        raise RigError(
            [*problems, Problem(path, "poses", "ascending times", found, "sort, and drop duplicates")]
        )
    if not len(times):
        raise RigError([*problems, Problem(path, "poses", "at least one pose", "none", "restore the file")])
    return Trajectory(times, poses, entry.max_extrapolation_ns), problems


def _text_poses(path: Path, kind: str, columns: Sequence[str] | None) -> tuple[I64, F64]:
    import pandas as pd

    if kind == "tum":
        rows = [
            line.split() for line in read_text(path).splitlines() if line.strip() and line.strip()[0] != "#"
        ]
        ragged = next((row for row in rows if len(row) != len(TUM_COLUMNS)), None)
        if ragged is not None:
            found = f"{len(ragged)} in {' '.join(ragged)[:60]!r}"
            raise RigError([Problem(path, "poses", "8 numbers in a row", found, "restore the file")])
        table = pd.DataFrame(rows, columns=list(TUM_COLUMNS), dtype=str)
    else:
        table = _read_csv(path, header=columns is None)
        if columns is not None:
            if len(columns) != table.shape[1]:
                raise RigError(
                    [
                        Problem(
                            path, "poses.columns", f"{table.shape[1]} names", f"{len(columns)}", "name each"
                        )
                    ]
                )
            table.columns = pd.Index(list(columns))
    if "timestamp_s" in table:
        times = _exact_seconds(table["timestamp_s"].tolist(), path)
    elif "timestamp_ns" in table:
        times = _whole(table["timestamp_ns"].to_numpy(), path, "timestamp_ns")
    else:
        raise _lacking(path, "timestamp_ns", table)
    for name in POSE_COLUMNS:
        if name not in table:
            raise _lacking(path, name, table)
    poses = [_reals(table[name].to_numpy(), path, name) for name in POSE_COLUMNS]
    return times, np.stack(poses, axis=1)


def _named_npy(path: Path) -> tuple[I64, F64]:
    table = read_npy(read_bytes(path), str(path))
    names = table.dtype.names or ()
    lacking = [name for name in ("timestamp_ns", *POSE_COLUMNS) if name not in names]
    if lacking or table.ndim != 1:
        found = f"{table.dtype} {table.shape}"
        remedy = (
            "save a structured array: a float cannot hold nanoseconds, and names state the quaternion's order"
        )
        raise RigError(
            [Problem(path, "poses", f"fields timestamp_ns, {', '.join(POSE_COLUMNS)}", found, remedy)]
        )
    poses = np.stack([table[name].astype(np.float64) for name in POSE_COLUMNS], axis=1)
    return _whole(table["timestamp_ns"], path, "timestamp_ns"), poses


def _read_csv(path: Path, *, header: bool = True) -> pd.DataFrame:
    """All cells as text, stripped."""
    import pandas as pd

    text = read_text(path)
    try:
        table = pd.read_csv(
            io.StringIO(text),
            header=0 if header else None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            comment=None,
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise RigError(
            [Problem(path, "", "a table with a header", " ".join(str(error).split()), "restore the file")]
        ) from error
    if header:
        table.columns = [str(name).strip() for name in table.columns]
    return table


def _lacking(path: Path, name: str, table: pd.DataFrame) -> RigError:
    found = ", ".join(map(str, table.columns[:12]))
    remedy = "name the columns in the first line"
    if name.startswith("q"):
        remedy += ": only names state in which order a quaternion stands"
    return RigError([Problem(path, "header", f"a column {name}", found, remedy)])


def _whole(values: AnyArray, path: Path, name: str) -> I64:
    """Cells as int64, exactly."""
    values = np.asarray(values)
    if values.ndim == 1 and values.dtype.kind in "iu" and values.dtype != np.uint64:
        return values.astype(np.int64)
    if values.ndim == 1 and values.dtype.kind not in "fcV":
        try:
            return np.array([int(value) for value in values.tolist()], dtype=np.int64)
        except (ValueError, TypeError, OverflowError):
            pass
    if values.ndim != 1 or values.dtype.kind in "fcV":
        found = f"{values.dtype} {values.shape}"
        raise RigError([Problem(path, name, "whole numbers (N,)", found, "save them as int64")])
    row = next(row for row, value in enumerate(values.tolist()) if not _is_whole(value))
    remedy = "write times in whole nanoseconds" if name == "timestamp_ns" else "correct the row"
    raise RigError([Problem(path, f"{name}, row {row}", "a whole number", repr(values[row])[:40], remedy)])


def _is_whole(value: object) -> bool:
    try:
        return -(2**63) <= int(str(value)) < 2**63
    except ValueError:
        return False


def _reals(values: AnyArray, path: Path, name: str) -> F64:
    try:
        return np.asarray(values, dtype=np.str_).astype(np.float64)
    except ValueError as error:
        raise RigError([Problem(path, name, "numbers", str(error), "correct the row")]) from error


def _exact_seconds(cells: list[str], path: Path) -> I64:
    times = []
    for row, cell in enumerate(cells):
        try:
            time_ns = nanoseconds(Decimal(cell))
        except InvalidOperation:
            time_ns = None
        if time_ns is None:
            raise RigError(
                [Problem(path, f"timestamp_s, row {row}", "seconds", repr(cell)[:40], "correct the row")]
            )
        times.append(time_ns)
    return np.array(times, dtype=np.int64)
