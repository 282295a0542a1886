"""The Zarr arrays of one part, all written, opened or read in one go.

A part has up to twenty arrays, most of them small: handing each call to zarr's event loop by itself would take longer
than the work.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.api import asynchronous
from zarr.codecs import ZstdCodec
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore, StorePath

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError, StoreError
from fleetlabel.store import buckets
from fleetlabel.store.object_path import ObjectPath

# zarrs decodes and encodes chunks outside the interpreter's lock: 2-5 times faster than zarr-python's own pipeline.
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})

_CHUNK_BYTES = 2 << 20
_SHARD_BYTES = 256 << 20
# zarrs opens a bucket of its own with the settings of ours, and says so each time.
warnings.filterwarnings("ignore", message="Successfully reconstructed a store", category=RuntimeWarning)


def write_arrays(folder: Path, columns: Mapping[str, AnyArray], *, few_files: bool = False) -> None:
    """Writes columns as arrays below a local folder that has none of them yet.

    Args:
        few_files: chunks of an array share files (Zarr's sharding), as suits object storage.
    """

    async def write_all() -> None:
        work = [_write(folder / name, column, few_files) for name, column in columns.items()]
        # All have ended before the first error goes up: nothing writes any more when the folder is cleared away.
        for error in await asyncio.gather(*work, return_exceptions=True):
            if error is not None:
                raise error

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

    async def read(name: str) -> Any:
        array = await _open(folder / name)
        return await array.getitem((rows or {}).get(name, ...))

    async def read_all() -> list[Any]:
        return await asyncio.gather(*(read(name) for name in names))

    with _committed_data(folder):
        return {name: np.asarray(values) for name, values in zip(names, sync(read_all()), strict=True)}


def read_rows(array: zarr.Array[Any], start: int, stop: int) -> AnyArray:
    """Rows ``start:stop`` of an opened array.

    Raises:
        CorruptStoreError: they cannot be decoded.
    """
    with _committed_data(array.store_path):
        plain = _read_plain(array, start, stop)
        return np.asarray(array[start:stop]) if plain is None else plain


def _read_plain(array: zarr.Array[Any], start: int, stop: int) -> AnyArray | None:
    """Rows of a column of bytes that lie in files as they are (pictures): just those bytes are read, once.

    Returns:
        None if the array is another one, or a file is not what it should be, which zarr then says.
    """
    store = array.store_path.store
    raw = array.dtype == np.uint8 and array.ndim == 1 and array.shards is None
    if not raw or not isinstance(store, LocalStore) or len(array.metadata.codecs) != 1:  # type: ignore[union-attr]
        return None
    rows, size = np.empty(stop - start, dtype=np.uint8), array.chunks[0]
    view, folder = memoryview(rows), store.root / array.store_path.path  # type: ignore[arg-type]
    for number in range(start // size, -(-stop // size)):
        low, high = max(start, number * size), min(stop, (number + 1) * size)
        try:
            handle = os.open(folder / array.metadata.encode_chunk_key((number,)), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            if os.preadv(handle, [view[low - start : high - start]], low - number * size) != high - low:
                return None
        finally:
            os.close(handle)
    return rows


async def _open(path: Path) -> Any:
    if isinstance(path, ObjectPath):
        store, inside = ObjectStore(buckets.store_of(path.bucket), read_only=True), path.key
        array = await asynchronous.open_array(store=store, path=inside, mode="r", zarr_format=3)
        # zarrs would open the bucket for itself, without our patience, and ask for each chunk's size first.
        object.__setattr__(array, "codec_pipeline", BatchedCodecPipeline.from_codecs(array.metadata.codecs))
        return array
    return await asynchronous.open_array(store=str(path), mode="r", zarr_format=3)


async def _write(path: Path, column: AnyArray, few_files: bool) -> None:
    """About 2 MiB per chunk, zstd-1, bytes that are compressed already left alone."""
    row_bytes = max(column.dtype.itemsize * int(np.prod(column.shape[1:])), 1)
    rows = max(min(len(column), _CHUNK_BYTES // row_bytes), 1)
    array = await asynchronous.create_array(
        str(path),
        shape=column.shape,
        dtype=column.dtype,
        chunks=(rows, *(max(n, 1) for n in column.shape[1:])),
        shards=_shards(rows, column) if few_files else None,
        compressors=None if path.name == "flat.jpeg" else ZstdCodec(level=1),
        config={"write_empty_chunks": True},
    )
    if column.size:
        await array.setitem(..., column)


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
