"""Zarr arrays in local files, encoded and decoded without zarr's event loop, which takes longer than small arrays do.

An array's document is zarr's own; only chunks are handled here. What is not as this engine writes it is left to zarr.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import blosc
from numcodecs.zstd import Zstd

from fleetlabel.geometry.arrays import AnyArray

_DTYPES = {
    np.dtype(name).name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float32", "float64"),
    )
}
_SHUFFLES = {"noshuffle": blosc.NOSHUFFLE, "shuffle": blosc.SHUFFLE, "bitshuffle": blosc.BITSHUFFLE}


def can_write(document: Mapping[str, Any]) -> bool:
    """Whether :func:`write_array` knows arrays of this document."""
    return _packing(document) is not None


def write_array(folder: Path, column: AnyArray, document: Mapping[str, Any]) -> None:
    """Writes an array and its document into a folder that is not there yet.

    Args:
        document: ``zarr.json`` of an array of this dtype; its shape is that of ``column``.
    """
    packing = _packing(document)
    assert packing is not None
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps(document))
    if not column.size:
        return
    chunk = document["chunk_grid"]["configuration"]["chunk_shape"]
    rows = chunk[0]
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    for number in range(-(-len(little) // rows)):
        values = little[number * rows : (number + 1) * rows]
        if not values.reshape(-1).view(np.uint8).any():
            continue  # a chunk that is not there is all zeros
        if len(values) < rows:  # the last chunk is as large as the others
            values = np.concatenate([values, np.zeros((rows - len(values), *chunk[1:]), little.dtype)])
        file = _file(folder, document, number)
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
        file.write_bytes(_packed(values, packing))


def read_array(folder: Path, rows: slice | None = None) -> AnyArray | None:
    """Values of an array, or some of its rows; None if zarr has to read it, or to say what is wrong with it."""
    try:
        document = json.loads((folder / "zarr.json").read_bytes())
        packing = _packing(document)
        if packing is None:
            return None
        shape, dtype = document["shape"], _DTYPES[document["data_type"]]
        size, *inner = document["chunk_grid"]["configuration"]["chunk_shape"]
        start, stop, _ = (rows or slice(None)).indices(shape[0])
        out = np.empty((max(stop - start, 0), *shape[1:]), dtype)
        if not out.size:
            return out
        for number in range(start // size, -(-stop // size)):
            low, high = max(start, number * size), min(stop, (number + 1) * size)
            wanted = out[low - start : high - start]
            try:
                packed = _file(folder, document, number).read_bytes()
            except FileNotFoundError:
                wanted[:] = 0
                continue
            if high - low == size:
                _unpack(packed, wanted, packing)
            else:
                chunk = np.empty((size, *inner), dtype)
                _unpack(packed, chunk, packing)
                wanted[:] = chunk[low - number * size : high - number * size]
    except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError):
        return None
    return out


def _file(folder: Path, document: Mapping[str, Any], number: int) -> Path:
    """Where a chunk of whole rows is."""
    separator: str = document["chunk_key_encoding"]["configuration"]["separator"]
    return folder / separator.join(["c", str(number), *["0"] * (len(document["shape"]) - 1)])


def _packing(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """The codecs after the one that makes bytes of numbers; None if this is an array that only zarr knows."""
    to_bytes, *packing = document["codecs"]
    grid, keys = document["chunk_grid"], document["chunk_key_encoding"]
    plain = (
        document["data_type"] in _DTYPES
        and len(document["shape"]) >= 1
        and not document["storage_transformers"]
        and to_bytes["name"] == "bytes"
        and to_bytes.get("configuration", {}).get("endian", "little") == "little"
        and grid["name"] == "regular"
        and [max(n, 1) for n in document["shape"][1:]] == grid["configuration"]["chunk_shape"][1:]
        and keys["name"] == "default"
        and keys["configuration"]["separator"] in ("/", ".")
        and not document["fill_value"]
        and len(packing) <= 1
        and all(codec["name"] in ("zstd", "blosc") for codec in packing)
    )
    return packing if plain else None


def _packed(values: AnyArray, packing: Sequence[Mapping[str, Any]]) -> Any:
    if not packing:
        return values.data
    said = packing[0]["configuration"]
    if packing[0]["name"] == "zstd":
        return Zstd(level=said["level"], checksum=said["checksum"]).encode(values.reshape(-1).view(np.uint8))
    return blosc.compress(
        values.reshape(-1).view(np.uint8),
        said["cname"].encode(),
        said["clevel"],
        _SHUFFLES[said["shuffle"]],
        said["blocksize"],
        said["typesize"],
    )


def _unpack(packed: bytes, values: AnyArray, packing: Sequence[Mapping[str, Any]]) -> None:
    """Fills contiguous ``values``.

    Raises:
        ValueError, RuntimeError: the bytes are not a chunk of this size.
    """
    flat = values.reshape(-1).view(np.uint8)
    if not packing:
        flat[:] = np.frombuffer(packed, np.uint8)
    elif packing[0]["name"] == "zstd":
        flat[:] = np.frombuffer(Zstd().decode(packed), np.uint8)
    else:
        unpack_blosc(packed, flat)


def unpack_blosc(packed: bytes, values: AnyArray) -> None:
    """Fills contiguous ``values`` with what Blosc packed.

    Raises:
        ValueError, RuntimeError: the bytes are not a chunk of this size.
    """
    # Blosc's header: four bytes, then the sizes of what is packed, of a block, and of the packed bytes.
    if len(packed) < 16 or struct.unpack_from("<4xI4xI", packed) != (values.nbytes, len(packed)):
        raise ValueError("a chunk of another size")
    blosc.decompress(packed, values)
