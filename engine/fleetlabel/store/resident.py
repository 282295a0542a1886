"""Rows that the operating system has in memory, without a copy and without a thread.

Files are mapped. Two things could go wrong with that, and are looked at right before rows are taken: a page that is not
in memory would have to be waited for, and one that is not in the file any more ends the process. What is committed is
never shortened, only taken away whole, which a mapping outlives.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

_MAPPED_BYTES = 256 << 20  # and no more files than a process may have open
_MAPPED_FILES = 128
_PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None)
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class PlainFiles:
    """A column of bytes that lie in files as they are (pictures).

    Attributes:
        folder: of the files, which are numbered.
        size: bytes of each but the last.
    """

    folder: str
    size: int

    @classmethod
    def of(cls, array: zarr.Array[Any]) -> PlainFiles | None:
        """Those of an array; None if it is kept in another way."""
        store, metadata = array.store_path.store, array.metadata
        raw = array.dtype == np.uint8 and array.ndim == 1 and array.shards is None
        plain = raw and len(metadata.codecs) == 1 and metadata.encode_chunk_key((0,)) == "c/0"  # type: ignore[union-attr]
        if not plain or not isinstance(store, LocalStore):
            return None
        return cls(f"{store.root}/{array.store_path.path}/c", array.chunks[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Mapped:
    """A file in memory.

    Attributes:
        state: inode and size.
        rows: its bytes.
        address: of the first one.
    """

    state: tuple[int, int]
    rows: memoryview
    address: int


_mapped: OrderedDict[str, _Mapped] = OrderedDict()


def resident_rows(files: PlainFiles, ends: Sequence[int]) -> list[tuple[memoryview, ...]] | None:
    """Rows ``ends[i]:ends[i + 1]`` of a column; they are not to be kept.

    Returns:
        Each as the pieces that files have of it. None if a disk would have to be waited for: read them in a thread.
    """
    size, first, last = files.size, ends[0], ends[-1]
    chunks: dict[int, memoryview] = {}
    for number in range(first // size, -(-last // size)):
        start = number * size
        chunk = _resident(f"{files.folder}/{number}", max(first - start, 0), min(last - start, size))
        if chunk is None:
            return None
        chunks[number] = chunk
    return [
        tuple(
            chunks[number][max(low - number * size, 0) : high - number * size]
            for number in range(low // size, -(-high // size))
        )
        for low, high in pairwise(ends)
    ]


def let_go() -> None:
    """Ends all mappings: what was deleted meanwhile takes no room on the disk any more."""
    with _lock:
        _mapped.clear()


def _resident(file: str, low: int, high: int) -> memoryview | None:
    """A file, if its bytes ``low:high`` are in memory."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a Path takes as long as all the rest
        state = found.st_ino, found.st_size
        with _lock:
            known = _mapped.get(file)
            if known is not None and known.state == state:
                _mapped.move_to_end(file)
            else:
                known = _mapped[file] = _map(file, state)
                while (
                    len(_mapped) > _MAPPED_FILES
                    or sum(one.state[1] for one in _mapped.values()) > _MAPPED_BYTES
                ):
                    _mapped.popitem(last=False)
    except (OSError, ValueError):  # gone, or empty; who reads it then says what is wrong
        return None
    first = low // _PAGE * _PAGE
    count = -(-(high - first) // _PAGE)
    pages = ctypes.create_string_buffer(count + 1)
    told = _libc.mincore(ctypes.c_void_p(known.address + first), ctypes.c_size_t(high - first), pages)
    there = told == 0 and high <= len(known.rows) and pages.raw.count(1, 0, count) == count
    return known.rows if there else None


def _map(file: str, state: tuple[int, int]) -> _Mapped:
    if not os.access(file, os.W_OK):  # of others' files the system says that all of it is in memory
        raise PermissionError(file)
    handle = os.open(file, os.O_RDONLY)
    try:
        rows = np.frombuffer(mmap.mmap(handle, 0, prot=mmap.PROT_READ), dtype=np.uint8)
    finally:
        os.close(handle)
    return _Mapped(state, rows.data, rows.ctypes.data)
