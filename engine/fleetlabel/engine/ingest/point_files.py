"""Point clouds of files: .bin (rows of float32), .npy (plain or with named fields) and .pcd.

Every reader checks that the file holds what its header declares before anything is made of it: a header can claim a
terabyte.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.files import read_bytes
from fleetlabel.engine.ingest.pcd import read_pcd
from fleetlabel.engine.ingest.sweeps import Points
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.model.errors import SourceError

DEFAULT_COLUMNS = ("x", "y", "z", "intensity")
TIME_COLUMNS = ("time_offset_ns", "time_offset_s", "timestamp_ns", "timestamp_s")
_MAX_HEADER_BYTES = 1 << 16


def read_points(path: Path, columns: Sequence[str] | Mapping[str, str], timestamp_ns: int) -> Points:
    """One sweep.

    Args:
        columns: names of the columns of a file that does not name them (.bin, plain .npy), in order; for one that
            does, our name -> the file's. Ours are x, y, z, intensity and one of :data:`TIME_COLUMNS`: time since the
            sweep's, or absolute. Others are left out.
        timestamp_ns: time of the sweep.

    Raises:
        SourceError: it is no such file, is cut off, or lacks a coordinate.
    """
    table = read_columns(path, columns)
    lacking = [axis for axis in "xyz" if axis not in table]
    if lacking:
        raise SourceError(
            f"{path} has no column {', '.join(lacking)}; it has {', '.join(table) or 'none'}; name them under columns"
        )
    xyz = np.empty((len(table["x"]), 3), dtype=np.float64)
    for column, axis in enumerate("xyz"):
        xyz[:, column] = table[axis]
    intensity = table["intensity"] if "intensity" in table else np.zeros(len(xyz))
    with np.errstate(invalid="ignore"):
        offset = _offsets(table, timestamp_ns, len(xyz))
        return Points.finite(xyz, intensity.astype(np.float64), offset, str(path))


def read_columns(path: Path, columns: Sequence[str] | Mapping[str, str]) -> dict[str, AnyArray]:
    """Columns (P,) of a point file by name; see :func:`read_points`."""
    content = read_bytes(path)
    ending = path.suffix.lower()
    if ending == ".pcd":
        table = read_pcd(content, str(path))
    elif ending == ".npy":
        array = read_npy(content, str(path))
        if array.dtype.names is None:
            return _unnamed(array, columns, path)
        if array.ndim != 1:
            raise SourceError(
                f"{path} holds an array of shape {array.shape}, expected (points,); save it flat"
            )
        table = {name: array[name] for name in array.dtype.names}
    elif ending == ".bin":
        names = _order(columns, path)
        if len(content) % (4 * len(names)):
            raise SourceError(
                f"{path} has {len(content)} bytes, not a multiple of {4 * len(names)} ({' '.join(names)} as float32): "
                "it is cut off, or has other columns; restore it, or name its columns"
            )
        return _unnamed(np.frombuffer(content, dtype="<f4").reshape(-1, len(names)), names, path)
    else:
        raise SourceError(f"{path} is no point file: expected .bin, .npy or .pcd")
    return _renamed(table, columns, path)


def read_npy(content: bytes, where: str) -> AnyArray:
    """The array of a .npy file; it is read-only and never a pickle.

    Raises:
        SourceError: it is no .npy file, holds Python objects, or another number of bytes than it declares.
    """
    try:
        if content[:6] != b"\x93NUMPY" or len(content) < 12:
            raise ValueError(f"it begins with {content[:6]!r}")
        width = 2 if content[6] == 1 else 4
        start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
        if start > min(len(content), _MAX_HEADER_BYTES):
            raise ValueError(f"its header has {start} bytes")
        head = ast.literal_eval(content[8 + width : start].decode("utf-8"))
        shape = tuple(head["shape"])
        if head["fortran_order"] not in (False, True) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"its header is {head}")
        dtype: np.dtype[Any] = np.dtype(_dtype_of(head["descr"]))
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise SourceError(f"{where} is no .npy file ({error}); restore it from the original log") from error
    expected = dtype.itemsize
    for length in shape:
        expected *= length
    if dtype.hasobject or not dtype.itemsize or expected != len(content) - start:
        raise SourceError(
            f"{where} declares {dtype} {shape}, which is {expected} bytes, but holds {len(content) - start}; restore "
            "it from the original log"
        )
    array: AnyArray = np.frombuffer(content, dtype, offset=start)
    return array.reshape(shape, order="F" if head["fortran_order"] else "C")


def _dtype_of(description: object) -> Any:
    """NumPy's own spelling of a dtype: text, or a list of (name, text[, shape])."""
    if not isinstance(description, list):
        return str(description)
    return [tuple(entry) for entry in description]


def _unnamed(array: AnyArray, columns: Sequence[str] | Mapping[str, str], path: Path) -> dict[str, AnyArray]:
    names = _order(columns, path)
    if array.ndim != 2 or array.shape[1] != len(names) or array.dtype.kind not in "fiu":
        raise SourceError(
            f"{path} holds {array.dtype} {array.shape}, expected numbers (points, {len(names)}) for the columns "
            f"{', '.join(names)}; name its columns"
        )
    return {name: array[:, column] for column, name in enumerate(names)}


def _order(columns: Sequence[str] | Mapping[str, str], path: Path) -> Sequence[str]:
    if isinstance(columns, Mapping):
        raise SourceError(f"{path} does not name its columns; give them as a list, in the file's order")
    return columns or DEFAULT_COLUMNS


def _renamed(
    table: Mapping[str, AnyArray], columns: Sequence[str] | Mapping[str, str], path: Path
) -> dict[str, AnyArray]:
    """Columns by our names; a list chooses and a file's own names stand where nothing is said."""
    if not isinstance(columns, Mapping):
        return dict(table)
    lacking = [name for name in columns.values() if name not in table]
    if lacking:
        raise SourceError(f"{path} has no column {', '.join(lacking)}; it has {', '.join(table)}")
    return dict(table) | {ours: table[theirs] for ours, theirs in columns.items()}


def _offsets(table: Mapping[str, AnyArray], timestamp_ns: int, n: int) -> F64 | I64:
    """Nanoseconds (n,) of each point after the sweep's time."""
    for name in TIME_COLUMNS:
        if name not in table:
            continue
        values = table[name]
        if name.endswith("_s"):
            seconds = values.astype(np.float64)
            whole = timestamp_ns // 1_000_000_000 if name == "timestamp_s" else 0
            # Whole seconds first: a float64 of today's seconds resolves a quarter of a microsecond.
            shift = timestamp_ns % 1_000_000_000 if name == "timestamp_s" else 0
            return np.asarray((seconds - whole) * 1e9 - shift, dtype=np.float64)
        if values.dtype.kind in "iu":
            since = values.astype(np.int64)
            return since - timestamp_ns if name == "timestamp_ns" else since
        return values.astype(np.float64) - (timestamp_ns if name == "timestamp_ns" else 0)
    return np.zeros(n, dtype=np.int64)
