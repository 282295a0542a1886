"""The Zarr arrays of one part, all written, opened or read in one go.

A part has up to twenty arrays, most of them small: handing each call to zarr's event loop by itself would take longer
than the work.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.api import asynchronous
from zarr.codecs import BloscCodec, BytesCodec, ZstdCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, ObjectStore, StorePath

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError, StoreError
from fleetlabel.store import buckets, local_arrays
from fleetlabel.store.object_path import ObjectPath

# zarrs decodes and encodes chunks outside the interpreter's lock: 2-5 times faster than zarr-python's own pipeline.
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})

_CHUNK_BYTES = 2 << 20
_SHARD_BYTES = 256 << 20
# Of pictures in files just the bytes that are asked for are read, of sweeps the whole chunks that hold them.
_PICTURE_CHUNK_BYTES, _SWEEP_CHUNK_ROWS = 8 << 20, 24 << 10
_PICTURES, _SWEEPS = ("flat.jpeg",), ("flat.points", "flat.point_time_offset_ns")
# zarrs opens a bucket of its own with the settings of ours, and says so each time.
warnings.filterwarnings("ignore", message="Successfully reconstructed a store", category=RuntimeWarning)


def write_arrays(folder: Path, columns: Mapping[str, AnyArray], *, few_files: bool = False) -> None:
    """Writes columns as arrays below a local folder that has none of them yet.

    Args:
        few_files: chunks of an array share files (Zarr's sharding), as suits object storage.
    """
    left = {}
    for name, column in columns.items():
        document = None if few_files else _document(name, column)
        if document is None:
            left[name] = column
        else:
            local_arrays.write_array(folder / name, column, document)

    async def write_all() -> None:
        work = [_write(folder / name, column, few_files) for name, column in left.items()]
        # All have ended before the first error goes up: nothing writes any more when the folder is cleared away.
        for error in await asyncio.gather(*work, return_exceptions=True):
            if error is not None:
                raise error

    if left:
        sync(write_all())


def open_arrays(folder: Path, names: Sequence[str]) -> dict[str, zarr.Array[Any]]:
    """Arrays by name, unread.

    Raises:
        CorruptStoreError: one is not there or its metadata is damaged.
    """

    async def open_all() -> list[Any]:
        return await asyncio.gather(*(_open(folder / name) for name in names))

    with _committed_data(folder):
        return {name: zarr.Array(array) for name, array in zip(names, sync(open_all()), strict=True)}


def read_arrays(
    folder: Path, names: Sequence[str], rows: Mapping[str, slice] | None = None
) -> dict[str, AnyArray]:
    """Values of arrays by name.

    Args:
        rows: of the arrays of which just some rows are wanted.

    Raises:
        CorruptStoreError: one is not there or cannot be decoded. (A chunk whose file is gone reads as zeros: only
            ``verify`` finds that.)
    """
    found: dict[str, AnyArray | None] = dict.fromkeys(names)
    if not isinstance(folder, ObjectPath):
        found = {name: local_arrays.read_array(folder / name, (rows or {}).get(name)) for name in names}
    left = [name for name, values in found.items() if values is None]

    async def read(name: str) -> Any:
        array = await _open(folder / name)
        return await array.getitem((rows or {}).get(name, ...))

    async def read_all() -> list[Any]:
        return await asyncio.gather(*map(read, left))

    if left:
        with _committed_data(folder):
            found |= {name: np.asarray(values) for name, values in zip(left, sync(read_all()), strict=True)}
    return {name: values for name, values in found.items() if values is not None}


def read_rows(array: zarr.Array[Any], start: int, stop: int) -> AnyArray:
    """Rows ``start:stop`` of an opened array.

    Raises:
        CorruptStoreError: they cannot be decoded.
    """
    with _committed_data(array.store_path):
        rows = _read_directly(array, start, stop)
        return np.asarray(array[start:stop]) if rows is None else rows


def _read_directly(array: zarr.Array[Any], start: int, stop: int) -> AnyArray | None:
    """Rows of an array in local files: just their chunks are read, into the place where they belong.

    Returns:
        None if the array is kept in another way, or a file is not what it should be, which zarr then says.
    """
    store, (to_bytes, *packing) = array.store_path.store, array.metadata.codecs  # type: ignore[union-attr]
    plain = not packing and array.dtype.itemsize == 1 and array.ndim == 1
    packed = len(packing) == 1 and isinstance(packing[0], BloscCodec) and array.chunks[1:] == array.shape[1:]
    if not isinstance(store, LocalStore) or not isinstance(to_bytes, BytesCodec) or not (plain or packed):
        return None
    rows, size = np.empty((stop - start, *array.shape[1:]), dtype=array.dtype), array.chunks[0]
    folder, rest = f"{store.root}/{array.store_path.path}", (0,) * (array.ndim - 1)
    numbers = range(start // size, -(-stop // size))
    with ExitStack() as opened:
        handles = []
        for number in numbers:
            try:
                handle = os.open(f"{folder}/{array.metadata.encode_chunk_key((number, *rest))}", os.O_RDONLY)
            except FileNotFoundError:
                return None
            opened.callback(os.close, handle)
            handles.append(handle)
        for handle in handles[1:]:  # fetched from the disk while those before are unpacked
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)
        for number, handle in zip(numbers, handles, strict=True):
            low, high = max(start, number * size), min(stop, (number + 1) * size)
            wanted, first = rows[low - start : high - start], low - number * size
            if not (_read_bytes(handle, wanted, first) if plain else _unpack(handle, wanted, first, size)):
                return None
    return rows


def _read_bytes(handle: int, rows: AnyArray, first: int) -> bool:
    """Fills ``rows`` with the bytes of a file from ``first`` on; False if it is too short."""
    return os.preadv(handle, [rows.data], first) == rows.nbytes


def _unpack(handle: int, rows: AnyArray, first: int, size: int) -> bool:
    """Fills ``rows`` with those from ``first`` on of a chunk of ``size``; False if the file is not such a chunk."""
    packed = os.pread(handle, os.fstat(handle).st_size, 0)
    chunk = rows if len(rows) == size else np.empty((size, *rows.shape[1:]), dtype=rows.dtype)
    try:
        local_arrays.unpack_blosc(packed, chunk)
    except ValueError:
        return False
    if chunk is not rows:
        rows[:] = chunk[first : first + len(rows)]
    return True


async def _open(path: Path) -> Any:
    if isinstance(path, ObjectPath):
        store, inside = ObjectStore(buckets.store_of(path.bucket), read_only=True), path.key
        array = await asynchronous.open_array(store=store, path=inside, mode="r", zarr_format=3)
        # zarrs would open the bucket for itself, without our patience, and ask for each chunk's size first.
        object.__setattr__(array, "codec_pipeline", BatchedCodecPipeline.from_codecs(array.metadata.codecs))
        return array
    return await asynchronous.open_array(store=str(path), mode="r", zarr_format=3)


async def _write(path: Path, column: AnyArray, few_files: bool) -> None:
    array = await asynchronous.create_array(str(path), **_layout(path.name, column, few_files))
    if column.size:
        await array.setitem(..., column)


def _layout(name: str, column: AnyArray, few_files: bool) -> dict[str, Any]:
    """How zarr is to make a column's array."""
    row_bytes = max(column.dtype.itemsize * math.prod(column.shape[1:]), 1)
    compressor, chunk_bytes = _packing(name, row_bytes)
    rows = max(min(len(column), (_CHUNK_BYTES if few_files else chunk_bytes) // row_bytes), 1)
    return {
        "shape": column.shape,
        "dtype": column.dtype,
        "chunks": (rows, *(max(n, 1) for n in column.shape[1:])),
        "shards": _shards(rows, column) if few_files else None,
        "compressors": compressor,
        # In files, chunks lie in their array's folder: to make folders of their own takes longer than to write.
        "chunk_key_encoding": {
            "name": "default",
            "separator": "/" if few_files or name in _PICTURES else ".",
        },
        "config": {"write_empty_chunks": True},
    }


def _document(name: str, column: AnyArray) -> dict[str, Any] | None:
    """The ``zarr.json`` of a column in local files; None if zarr has to write the column itself."""
    special = name if name in _PICTURES or name in _SWEEPS else ""
    like = _document_like(special, column.dtype, column.shape[1:])
    if like is None:
        return None
    chunks = list(_layout(name, column, few_files=False)["chunks"])
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    return {**like, "shape": list(column.shape), "chunk_grid": grid}


@lru_cache(maxsize=256)
def _document_like(name: str, dtype: np.dtype[Any], inner: tuple[int, ...]) -> dict[str, Any] | None:
    """What zarr says of an array of one such row: of others, just the shapes differ."""

    async def create() -> Any:
        layout = _layout(name, np.empty((1, *inner), dtype), few_files=False)
        return await asynchronous.create_array(MemoryStore(), **layout)

    said = sync(create()).metadata.to_dict()
    document: dict[str, Any] = json.loads(json.dumps(said, default=lambda value: value.to_dict()))
    return document if local_arrays.can_write(document) else None


def _packing(name: str, row_bytes: int) -> tuple[BloscCodec | ZstdCodec | None, int]:
    """How a column is compressed, and in chunks of how many bytes."""
    if name in _PICTURES:  # which are compressed already
        return None, _PICTURE_CHUNK_BYTES
    if name in _SWEEPS:
        # A byte of all rows, then the next: beside zstd-1, 0.8 times as large, packed twice and unpacked three times as
        # fast. Labels, which repeat themselves, zstd-1 makes half as large as this.
        packed = BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=row_bytes)
        return packed, _SWEEP_CHUNK_ROWS * row_bytes
    return ZstdCodec(level=1), _CHUNK_BYTES


def _shards(rows: int, column: AnyArray) -> tuple[int, ...] | None:
    """Chunks per file: all of them, or as many as fit; None if there is just one chunk."""
    chunks = -(-len(column) // rows)
    if chunks <= 1:
        return None
    return rows * min(chunks, _SHARD_BYTES // _CHUNK_BYTES), *(max(n, 1) for n in column.shape[1:])


@contextmanager
def _committed_data(place: Path | StorePath) -> Iterator[None]:
    remote = isinstance(place, ObjectPath) or (
        isinstance(place, StorePath) and isinstance(place.store, ObjectStore)
    )
    try:
        with buckets.told_errors(str(place)) if remote else nullcontext():
            yield
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:  # the last is zarrs'
        raise CorruptStoreError(
            f"{place} is committed but cannot be read ({error}); run `fleetlabel verify`, delete the damaged part's "
            "folder and resume"
        ) from error
