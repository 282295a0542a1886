"""Small files of foreign logs read with care: bounded, and every failure names the file and what to do."""

from __future__ import annotations

import gzip
import json
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.model.errors import SourceError

# Thirty times the largest sweep: a file that unpacks to more is no file of a drive log.
MAX_FILE_BYTES = 1 << 28


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked if it is gzip.

    Raises:
        SourceError: it is missing, empty, cut off, not gzip though it says so, or larger than
            :data:`MAX_FILE_BYTES` unpacked.
    """
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty (0 bytes); restore it from the original log")
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if not packed and path.suffix == ".gz":
                raise SourceError(f"{path} is not gzip data; restore it from the original log")
            with gzip.open(plain) if packed else plain as file:
                content: bytes = file.read(MAX_FILE_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(
            f"{path} is damaged or cut off ({error}); restore it from the original log"
        ) from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} is missing; restore it from the original log") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SourceError(
            f"{path} unpacks to more than {MAX_FILE_BYTES >> 20} MiB, which no file of a drive log does; it was "
            f"refused"
        )
    return content


def read_json(path: Path, *, exact: bool = False) -> Any:
    """A JSON file.

    Args:
        exact: numbers with a fraction come as :class:`decimal.Decimal`, so that no digit of a time is lost.

    Raises:
        SourceError: it is missing or not JSON.
    """
    content = read_bytes(path)
    try:
        return json.loads(content, parse_float=Decimal) if exact else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not valid JSON ({error}); restore it from the original log") from error


def read_text(path: Path) -> str:
    """A text file; see :func:`read_bytes`. An empty file is empty text."""
    if path.is_file() and path.stat().st_size == 0:
        return ""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not text ({error}); restore it from the original log") from error


def number_rows(path: Path, n_columns: int) -> F64:
    """A text file of numbers, one row per line, separated by spaces or commas, as (N, n_columns) float64.

    Raises:
        SourceError: a row has another number of columns or something that is no finite number; names the
            line.
    """
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.replace(",", " ").split()
        if not fields:
            continue
        rows.append(numbers(fields, f"{path} line {number}", n_columns))
    return np.array(rows, dtype=np.float64).reshape(-1, n_columns)


def numbers(fields: list[str], where: str, expected: int) -> list[float]:
    """``fields`` as finite numbers.

    Raises:
        SourceError: they are not, or not as many as expected.
    """
    try:
        values = [float(text) for text in fields]
    except ValueError as error:
        raise SourceError(f"{where}: {error}; expected {expected} numbers") from error
    if len(values) != expected:
        raise SourceError(f"{where}: found {len(values)} columns, expected {expected} numbers")
    if not np.isfinite(values).all():
        column = int(np.argmin(np.isfinite(values)))
        raise SourceError(f"{where}: column {column + 1} is {fields[column]}, expected finite numbers")
    return values
