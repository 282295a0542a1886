"""Tables out of pickled pandas frames without running anything that a pickle asks for.

A pickle is a program: loading one calls whatever it names. Here the names that pandas frames are made of stand for
inert records, made anew for every file, that only note how they were called; the columns are then read out of the
records. Of foreign code a pickle can reach nothing but numpy's ``dtype`` and ``scalar`` and plain arrays of its own
bytes. Any other name is refused before anything happens. No pandas is needed, and pickles of pandas 1 to 3, numpy 1
and 2 and all protocols from 2 on read alike.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fleetlabel.engine.ingest.files import read_bytes
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import SourceError, UnsafeFileError

# Where pandas and numpy, old and new, keep the names that a frame's pickle may use; each becomes a record.
_RECORDS = frozenset(
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
        "numpy.ndarray",
    }
)


@dataclass(slots=True)
class _Slice:
    start: Any
    stop: Any
    step: Any = None


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
        self._allowed: Mapping[str, Any] = _allowed_names()

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in self._allowed:
            return self._allowed[full]
        raise UnsafeFileError(
            f"{self._path} asks for {full}, which no pandas frame needs: loading it could run code, so it was "
            "refused. Get the file from its original source"
        )


def _allowed_names() -> dict[str, Any]:
    """What the names of a pickle stand for: classes of this one file, so that no pickle can alter the next one's."""
    allowed: dict[str, Any] = {name: _record_type(name.rsplit(".", 1)[1]) for name in _RECORDS}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        allowed[f"{module}._reconstruct"] = _fresh(lambda subtype, shape, typecode: np.empty(0, np.int8))
        allowed[f"{module}.scalar"] = _fresh(np._core.multiarray.scalar)  # type: ignore[attr-defined]
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        allowed[f"{module}._frombuffer"] = _fresh(_from_buffer)
    allowed["numpy.dtype"] = _fresh(np.dtype)
    for module in ("builtins", "__builtin__"):
        allowed[f"{module}.slice"] = _fresh(_Slice)
    allowed["_codecs.encode"] = _fresh(_latin1)
    return allowed


def _record_type(name: str) -> type:
    """A class whose instances note what they are called with and what state they are given."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.state = None

    def __setstate__(self: Any, state: Any) -> None:
        self.state = state

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:
        record = object.__new__(cls)
        record.args, record.state = args, None  # type: ignore[attr-defined]
        return record

    slots = ("args", "state")
    return type(
        name, (), {"__slots__": slots, "__new__": __new__, "__init__": __init__, "__setstate__": __setstate__}
    )


def _fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: function(*args)


def _from_buffer(buffer: bytes, dtype: Any, shape: tuple[int, ...], order: str, axis: Any = None) -> AnyArray:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


def _latin1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin-1")


# --- reading the records --------------------------------------------------------------------------------------------


def _columns(frame: Any) -> dict[str, AnyArray]:
    if type(frame).__name__ != "DataFrame" or not isinstance(frame.state, dict):
        raise ValueError(f"it holds a {type(frame).__name__}, not a DataFrame")
    axes, blocks = _manager(frame.state.get("_mgr", frame.state.get("_data")))
    names = [str(name) for name in _index_values(axes[0])]
    columns: dict[str, AnyArray] = {}
    for values, placement in blocks:
        rows = _places(placement, len(names))
        block = _block_values(values)
        if block.ndim == 1:
            block = block[None]
        if block.ndim != 2 or len(block) != len(rows):
            raise ValueError(f"a block of shape {block.shape} stands for {len(rows)} columns")
        columns.update({names[int(place)]: block[row] for row, place in enumerate(rows)})
    if set(columns) != set(names) or len({len(column) for column in columns.values()}) > 1:
        raise ValueError("its columns are incomplete or of different lengths")
    return {name: columns[name] for name in names}


def _manager(manager: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Axes and (values, placement) of every block of a BlockManager record, in the layouts of pandas 1 to 3."""
    if isinstance(manager.state, tuple):  # up to pandas 1.2: state ends with {"0.14.1": {"axes": ..., "blocks": ...}}
        layout = manager.state[3]["0.14.1"]
        return layout["axes"], [(block["values"], block["mgr_locs"]) for block in layout["blocks"]]
    blocks, axes = manager.args
    return axes, [(block.args[0], block.args[1]) for block in blocks]


def _index_values(index: Any) -> AnyArray:
    data = index.args[1]["data"]
    return _block_values(data).reshape(-1)


def _block_values(values: Any) -> AnyArray:
    """An array, or the array inside a record of pandas' string array."""
    if isinstance(values, np.ndarray):
        return values
    inside = [part for part in values.state if isinstance(part, np.ndarray)]
    return inside[0]


def _places(placement: Any, n_columns: int) -> AnyArray:
    if isinstance(placement, _Slice):
        return np.arange(n_columns)[slice(placement.start, placement.stop, placement.step)]
    return np.asarray(placement).reshape(-1)
