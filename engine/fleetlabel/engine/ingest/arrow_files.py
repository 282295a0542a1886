"""Feather and Parquet files of foreign logs: of declared sizes that are bounded before anything is unpacked.

Needs the extra ``fleetlabel[parquet]`` (polars). Its readers raise, and sometimes panic, on damaged files: both end as
a :class:`SourceError` that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlabel.engine.ingest.files import MAX_FILE_BYTES
from fleetlabel.engine.ingest.unpacked_sizes import refuse_feather_bombs, refuse_parquet_bombs
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.model.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

# Rows that a table of a drive may have: an hour of points would not be in one file.
MAX_ROWS = 1 << 23
_LONGEST_TEXT_BYTES = 1 << 12


def polars_for(path: Path) -> Any:
    """The library.

    Raises:
        SourceError: it is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise SourceError(
            f"{path} needs polars; install it with `pip install 'fleetlabel[parquet]'`"
        ) from error
    return polars


def read_feather(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of a Feather (Arrow IPC) file.

    Raises:
        SourceError: it is missing, empty, damaged, too large, or lacks a column.
    """
    library = polars_for(path)
    if _size(path) > MAX_FILE_BYTES:
        raise SourceError(
            f"{path} has {_size(path) >> 20} MiB, more than the {MAX_FILE_BYTES >> 20} that a table of a drive has"
        )
    refuse_feather_bombs(path)
    with _damage_named(path, library):
        _require(path, columns, library.read_ipc_schema(path))
        _few_enough(path, library.scan_ipc(path).select(library.len()).collect().item())
        table: pl.DataFrame = library.read_ipc(path, columns=list(columns))
        return table


def read_parquet(
    path: Path, columns: Sequence[str], rows: Mapping[str, Sequence[int]] | None = None
) -> pl.DataFrame:
    """Columns of a Parquet file.

    Args:
        rows: only those whose value of each column is one of these; what the others hold is not unpacked.

    Raises:
        SourceError: it is missing, empty, damaged, has too many rows, or lacks a column.
    """
    library = polars_for(path)
    _size(path)
    refuse_parquet_bombs(path, tuple(columns))
    with _damage_named(path, library):
        found = library.scan_parquet(path)
        _require(path, columns, found.collect_schema())
        _few_enough(path, found.select(library.len()).collect().item())
        for name, values in (rows or {}).items():
            found = found.filter(library.col(name).is_in(list(values)))
        table: pl.DataFrame = found.select(*columns).collect()
        return table


def floats(table: pl.DataFrame, columns: Sequence[str], path: Path) -> F64:
    """Columns of numbers as (N, columns) float64, NaN where there is none.

    Raises:
        SourceError: a column holds something else.
    """
    found = []
    for name in columns:
        if not table[name].dtype.is_numeric():
            raise SourceError(
                f"{path}: column {name} holds {table[name].dtype}, not numbers; restore it from the original log"
            )
        found.append(np.asarray(table[name].to_numpy(), dtype=np.float64))
    return np.stack(found, axis=1)


def whole_numbers(table: pl.DataFrame, column: str, path: Path) -> I64:
    """A column (N,) of int64.

    Raises:
        SourceError: it holds something else, or has gaps.
    """
    series = table[column]
    if not series.dtype.is_integer() or series.null_count():
        raise SourceError(
            f"{path}: column {column} holds {series.dtype} with {series.null_count()} gaps, expected whole numbers; "
            "restore it from the original log"
        )
    values: AnyArray = series.to_numpy()
    if values.dtype == np.uint64 and len(values) and int(values.max()) >= 1 << 63:
        raise SourceError(f"{path}: column {column} has {values.max()}, which is no time; restore the file")
    return values.astype(np.int64)


def texts(table: pl.DataFrame, column: str, path: Path) -> list[str]:
    """A column of text; gaps are empty.

    Raises:
        SourceError: it holds something else, or texts that are no names.
    """
    try:
        told = table[column].cast(str)
        longest: Any = told.str.len_bytes().max() or 0
        if (
            longest > _LONGEST_TEXT_BYTES
        ):  # a file has it once for all rows, but each row here would have its own
            raise SourceError(f"{path}: column {column} holds a text of {longest} bytes; it was refused")
        return [value or "" for value in told.to_list()]
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{path}: column {column} holds {table[column].dtype}, not text") from error


@contextmanager
def _damage_named(path: Path, library: Any) -> Iterator[None]:
    """Makes whatever the library raises over a file's content an error that names it."""
    try:
        yield
    except SourceError:
        raise
    except (library.exceptions.PolarsError, OSError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    except BaseException as error:  # a panic in the library is no Exception
        if not isinstance(error, library.exceptions.PanicException):
            raise
        raise _damaged(path, error) from error


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise SourceError(f"{path} is missing; restore it from the original log") from error
    if not size:
        raise SourceError(f"{path} is empty (0 bytes); restore it from the original log")
    return size


def _require(path: Path, columns: Sequence[str], schema: Any) -> None:
    lacking = [name for name in columns if name not in schema]
    if lacking:
        raise SourceError(f"{path} has no columns {', '.join(lacking)}; restore it from the original log")


def _few_enough(path: Path, rows: int) -> None:
    if rows > MAX_ROWS:
        raise SourceError(
            f"{path} says that it has {rows} rows, more than any table of a drive; it was refused"
        )


def _damaged(path: Path, error: BaseException) -> SourceError:
    said = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return SourceError(f"{path} is damaged or cut off ({said}); restore it from the original log")
