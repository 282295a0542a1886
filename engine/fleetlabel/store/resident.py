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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from fleetlabel.geometry.arrays import U8, AnyArray

_MAPPED_FILES = 32
_PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None)
_mapped: OrderedDict[str, tuple[tuple[int, int], U8]] = OrderedDict()
_lock = threading.Lock()


def resident_rows(array: zarr.Array[Any], ends: Sequence[int]) -> list[tuple[memoryview, ...]] | None:
    """Rows ``ends[i]:ends[i + 1]`` of a column of bytes that lie in files as they are (pictures); not to be kept.

    Returns:
        Each as the pieces that files have of it. None if a disk would have to be waited for, or the array is kept in
        another way: then read it in a thread.
    """
    store = array.store_path.store
    raw = array.dtype == np.uint8 and array.ndim == 1 and array.shards is None
    if not raw or not isinstance(store, LocalStore) or len(array.metadata.codecs) != 1:  # type: ignore[union-attr]
        return None
    folder, size = f"{store.root}/{array.store_path.path}", array.chunks[0]
    chunks: dict[int, memoryview] = {}
    for number in range(ends[0] // size, -(-ends[-1] // size)):
        low, high = max(ends[0] - number * size, 0), min(ends[-1] - number * size, size)
        chunk = _resident(f"{folder}/{array.metadata.encode_chunk_key((number,))}", low, high)
        if chunk is None:
            return None
        chunks[number] = chunk.data
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


def _resident(file: str, low: int, high: int) -> AnyArray | None:
    """A file, if its bytes ``low:high`` are in memory."""
    try:
        found = Path(file).stat()
        state = found.st_ino, found.st_size
        with _lock:
            known = _mapped.get(file)
            if known is not None and known[0] == state:
                _mapped.move_to_end(file)
            else:
                known = _mapped[file] = state, _map(file)
                while len(_mapped) > _MAPPED_FILES:
                    _mapped.popitem(last=False)
    except (OSError, ValueError):  # gone, or empty; who reads it then says what is wrong
        return None
    rows = known[1]
    first = low // _PAGE * _PAGE
    pages = np.zeros(-(-(high - first) // _PAGE), dtype=np.uint8)
    address = ctypes.c_void_p(rows.ctypes.data + first)
    told = _libc.mincore(address, ctypes.c_size_t(high - first), ctypes.c_void_p(pages.ctypes.data))
    return rows if high <= len(rows) and told == 0 and (pages & 1).all() else None


def _map(file: str) -> U8:
    if not os.access(file, os.W_OK):  # of others' files the system says that all of it is in memory
        raise PermissionError(file)
    handle = os.open(file, os.O_RDONLY)
    try:
        return np.frombuffer(mmap.mmap(handle, 0, prot=mmap.PROT_READ), dtype=np.uint8)
    finally:
        os.close(handle)
