"""Columns as bytes: what ``boxes.proto`` says of them, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.wire.errors import RequestError

_SUFFIX = {
    np.dtype(np.float64): "f64",
    np.dtype(np.float32): "f32",
    np.dtype(np.int64): "i64",
    np.dtype(np.int32): "i32",
    np.dtype(np.int16): "i16",
    np.dtype(np.int8): "i8",
    np.dtype(np.uint8): "u8",
    np.dtype(np.bool_): "u8",
}


def field_name(name: str, dtype: np.dtype[Any]) -> str:
    """The name of the field that carries a column of a dtype."""
    return f"{name}_{_SUFFIX[dtype]}"


def column_bytes(column: AnyArray, default: float | None = None) -> bytes:
    """Little-endian bytes of a column; none at all if every row has the default."""
    if default is not None and _all_equal(column, default):
        return b""
    return column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()


def column_of(
    data: bytes,
    what: str,
    dtype: np.dtype[Any] | type[np.generic],
    rows: int,
    shape: tuple[int, ...] = (),
    default: float | None = None,
) -> AnyArray:
    """The column (rows, *shape) that bytes hold, without a copy and not to be written to.

    Args:
        what: the field, for errors.
        default: of all rows if there are no bytes; None: there must be some.

    Raises:
        RequestError: the bytes have another length, or truth values are neither 0 nor 1.
    """
    kind = np.dtype(dtype)
    each = int(np.prod(shape, dtype=np.int64))
    expected = rows * each * kind.itemsize
    if not data and expected and default is not None:
        return np.broadcast_to(np.asarray(default, dtype=kind), (rows, *shape))
    if len(data) != expected:
        raise RequestError(what, f"{expected} bytes for {rows} rows of {each} {kind}", f"{len(data)} bytes")
    if kind == np.bool_:
        truth = np.frombuffer(data, dtype=np.uint8).reshape(rows, *shape)
        if truth.size and int(truth.max()) > 1:
            raise RequestError(what, "0 or 1 in every row", str(int(truth.max())))
        return truth.view(np.bool_)
    return np.frombuffer(data, dtype=kind.newbyteorder("<")).astype(kind, copy=False).reshape(rows, *shape)


def rows_of(data: bytes, what: str, dtype: type[np.generic], each: int = 1) -> AnyArray:
    """A column of as many rows as its bytes hold; of ``each`` numbers a row, if that is more than one.

    Raises:
        RequestError: the bytes end within a row.
    """
    size = np.dtype(dtype).itemsize * each
    if len(data) % size:
        raise RequestError(what, f"a multiple of {size} bytes", f"{len(data)} bytes")
    return column_of(data, what, dtype, len(data) // size, (each,) if each > 1 else ())


def numbers(values: Sequence[float], what: str, length: int, *, positive: bool = False) -> tuple[float, ...]:
    """A short vector of finite numbers.

    Raises:
        RequestError: there are more or fewer, or one is not what it should be.
    """
    if len(values) != length:
        raise RequestError(what, f"{length} numbers", str(len(values)))
    found = tuple(float(value) + 0.0 for value in values)
    if not np.isfinite(found).all() or (positive and min(found) <= 0):
        raise RequestError(what, "finite numbers above 0" if positive else "finite numbers", str(list(found)))
    return found


def _all_equal(column: AnyArray, default: float) -> bool:
    if not column.size:
        return True
    # The first row tells most columns apart without looking at the others.
    if default != default:
        return bool(np.isnan(column.flat[0])) and bool(np.isnan(column).all())
    return bool(column.flat[0] == default) and bool((column == default).all())
