"""The Zarr arrays of one part, all written, opened or read in one go.

A part has up to twenty arrays, most of them small: handing each call to zarr's event loop by itself would take longer
than the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.api import asynchronous
from zarr.codecs import ZstdCodec
from zarr.core.sync import sync

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError

# zarrs decodes and encodes chunks outside the interpreter's lock: 2-5 times faster than zarr-python's own pipeline.
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})

_CHUNK_BYTES = 2 << 20


def write_arrays(folder: Path, columns: Mapping[str, AnyArray]) -> None:
    """Writes columns as arrays below a folder that has none of them yet."""

    async def write_all() -> None:
        work = [_write(folder / name, column) for name, column in columns.items()]
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
        return np.asarray(array[start:stop])


async def _open(path: Path) -> Any:
    return await asynchronous.open_array(store=str(path), mode="r", zarr_format=3)


async def _write(path: Path, column: AnyArray) -> None:
    """About 2 MiB per chunk, zstd-1, bytes that are compressed already left alone."""
    row_bytes = max(column.dtype.itemsize * int(np.prod(column.shape[1:])), 1)
    rows = max(min(len(column), _CHUNK_BYTES // row_bytes), 1)
    array = await asynchronous.create_array(
        str(path),
        shape=column.shape,
        dtype=column.dtype,
        chunks=(rows, *(max(n, 1) for n in column.shape[1:])),
        compressors=None if path.name == "flat.jpeg" else ZstdCodec(level=1),
        config={"write_empty_chunks": True},
    )
    if column.size:
        await array.setitem(..., column)


@contextmanager
def _committed_data(place: object) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:  # the last is zarrs'
        raise CorruptStoreError(
            f"{place} is committed but cannot be read ({error}); run `fleetlabel verify`, delete the damaged part's "
            "folder and resume"
        ) from error
