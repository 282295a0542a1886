"""Tables out of pickled pandas frames without running anything that a pickle asks for.

A pickle is a program: loading one calls whatever it names, and even numpy's own types can be led astray by a
crafted state (an object array over bytes of the attacker's choice). Here every name that pandas frames are
made of stands for an inert record that only notes how it was called; the columns are then read out of the
records by our own code, from lists and raw bytes. No other code is within a pickle's reach, and any other
name is refused before anything happens. pandas is not needed, and pickles of pandas 1 to 3, numpy 1 and 2 and
protocols from 2 on read alike.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.files import read_bytes
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import SourceError, UnsafeFileError

# Where pandas and numpy, old and new, keep the names that a frame's pickle uses.
_KNOWN = frozenset(
    {
        *("pandas.DataFrame", "pandas.core.frame.DataFrame"),
        *("pandas.core.internals.managers.BlockManager", "pandas.core.internals.BlockManager"),
        *("pandas._libs.internals._unpickle_block", "pandas.core.internals.blocks.new_block"),
        *("pandas.Index", "pandas.core.indexes.base.Index", "pandas.core.indexes.base._new_Index"),
        *("pandas.RangeIndex", "pandas.core.indexes.range.RangeIndex"),
        *("pandas.core.indexes.numeric.Int64Index", "pandas.core.indexes.numeric.Float64Index"),
        *("pandas.StringDtype", "pandas.core.arrays.string_.StringDtype"),
        *("pandas.arrays.StringArray", "pandas.core.arrays.string_.StringArray"),
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked",
        *("numpy.ndarray", "numpy.dtype"),
        *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
        *("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"),
        *("builtins.slice", "__builtin__.slice", "_codecs.encode"),
    }
)
_PLAIN_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")


class _Record:
    """A call that a pickle asked for and did not get: ``called(*args)``, then a state."""

    called = ""
    __slots__ = ("args", "state")
    args: Any
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> _Record:
        record = object.__new__(cls)
        record.args = args
        record.state = None
        return record

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_table(path: Path) -> dict[str, AnyArray]:
    """Columns of a pickled (and gzipped) pandas frame, by name, all (rows,).

    Raises:
        UnsafeFileError: the pickle names something that no pandas frame needs; nothing of it was run.
        SourceError: the file is missing, damaged, absurdly large, or holds no frame of plain columns.
    """
    content = read_bytes(path)
    try:
        return _columns(_Unpickler(content, path).load())
    except SourceError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise SourceError(
            f"{path} is not a readable pandas pickle ({type(error).__name__}: {error}); "
            "restore it from the original log"
        ) from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(content))
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full not in _KNOWN:
            raise UnsafeFileError(
                f"{self._path} asks for {full}, which no pandas frame needs: loading it could run code, so "
                f"it was refused. Get the file from its original source"
            )
        # A class of its own each time, so that nothing a pickle does to it is seen by another.
        return type(name, (_Record,), {"__slots__": (), "called": name})


# --- reading the records
# --------------------------------------------------------------------------------------------


def _columns(frame: Any) -> dict[str, AnyArray]:
    if not _is(frame, "DataFrame") or not isinstance(frame.state, dict):
        raise ValueError(f"it holds a {getattr(frame, 'called', type(frame).__name__)}, not a DataFrame")
    axes, blocks = _manager(frame.state.get("_mgr", frame.state.get("_data")))
    names = [str(name) for name in _array(axes[0].args[1]["data"]).reshape(-1)]
    columns: dict[str, AnyArray] = {}
    for values, placement in blocks:
        block = np.atleast_2d(_array(values))
        places = _places(placement, len(names))
        if block.ndim != 2 or len(block) != len(places):
            raise ValueError(f"a block of shape {block.shape} stands for {len(places)} columns")
        columns.update({names[place]: block[row] for row, place in enumerate(places)})
    if set(columns) != set(names) or len({len(column) for column in columns.values()}) > 1:
        raise ValueError("its columns are incomplete or of different lengths")
    return {name: columns[name] for name in names}


def _manager(manager: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Axes and (values, placement) of each block of a BlockManager, as pandas 1 to 3 lay it out."""
    # Up to pandas 1.2 the state ends with {"0.14.1": {"axes": ..., "blocks": ...}}.
    if isinstance(manager.state, tuple):
        layout = manager.state[3]["0.14.1"]
        return layout["axes"], [(block["values"], block["mgr_locs"]) for block in layout["blocks"]]
    blocks, axes = manager.args
    return axes, [(block.args[0], block.args[1]) for block in blocks]


def _places(placement: Any, n_columns: int) -> list[int]:
    """Column numbers that a block's rows stand for: a slice or an array."""
    if _is(placement, "slice"):
        return list(range(n_columns))[slice(*placement.args)]
    return [int(place) for place in _array(placement).reshape(-1)]


def _array(record: Any) -> AnyArray:
    """The array that a record of numpy, or of pandas' string array around one, describes."""
    if _is(record, "_frombuffer"):
        data, dtype, shape, order = record.args[:4]
        return _plain_array(data, _dtype(dtype), tuple(shape), order == "F")
    if _is(record, "_reconstruct"):
        _, shape, dtype, is_fortran, data = record.state
        if isinstance(data, list):
            return _object_array(data, tuple(shape), bool(is_fortran))
        return _plain_array(data, _dtype(dtype), tuple(shape), bool(is_fortran))
    if _is(record, "__pyx_unpickle_NDArrayBacked"):
        return _array(next(part for part in record.state if _is(part, "_reconstruct", "_frombuffer")))
    raise ValueError(f"a column is a {getattr(record, 'called', type(record).__name__)}, not a plain array")


def _plain_array(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...], is_fortran: bool) -> AnyArray:
    if _is(data, "encode"):  # protocol 2 has no bytes: it spells them as text in Latin-1
        data = data.args[0].encode("latin-1")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if is_fortran else "C")


def _object_array(values: list[Any], shape: tuple[int, ...], is_fortran: bool) -> AnyArray:
    if math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} values do not fill an array of shape {shape}")
    flat = np.empty(len(values), dtype=object)
    flat[:] = [value if isinstance(value, str | int | float) else None for value in values]
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _dtype(record: Any) -> np.dtype[Any]:
    """A plain number type from numpy's ``dtype("f8")`` and its state (version, byte order, ...)."""
    name = record.args[0]
    if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name):
        raise ValueError(f"a column has the type {name!r}, not a number type")
    is_big_endian = record.state is not None and record.state[1] == ">"
    return np.dtype(name).newbyteorder(">" if is_big_endian else "<")


def _is(record: Any, *called: str) -> bool:
    return isinstance(record, _Record) and record.called in called
