"""Rows of a part's columns, read past zarr, are those that zarr reads; damaged ones are errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import ZstdCodec

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError
from fleetlabel.store import arrays
from fleetlabel.store.arrays import open_arrays, read_rows, write_arrays

_RNG = np.random.default_rng(7)
COLUMNS: dict[str, AnyArray] = {
    "flat.jpeg": _RNG.integers(0, 256, 30_000, dtype=np.uint8),
    "flat.points": np.round(_RNG.normal(size=(7_000, 4)) * 8).astype(np.float32),
    "flat.point_time_offset_ns": np.arange(7_000, dtype=np.int32),
    "flat.covariance": _RNG.normal(size=(90, 7, 7)),
    "flat.occluded": np.arange(90) % 3 == 0,
    "flat.nothing": np.empty((0, 4), dtype=np.float32),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Columns in chunks of some thousand bytes."""
    monkeypatch.setattr(arrays, "_SWEEP_CHUNK_ROWS", 300)
    for kind in ("_CHUNK_BYTES", "_PICTURE_CHUNK_BYTES"):
        monkeypatch.setattr(arrays, kind, 5_000)
    write_arrays(tmp_path, COLUMNS)
    return tmp_path


@pytest.mark.parametrize("name", COLUMNS)
def test_any_rows_of_any_column(folder: Path, name: str) -> None:
    column, array = COLUMNS[name], open_arrays(folder, [name])[name]
    borders = np.sort(_RNG.integers(0, len(column) + 1, (40, 2)), axis=1)
    for start, stop in [(0, len(column)), (0, 0), *borders.tolist()]:
        rows = read_rows(array, start, stop)
        assert rows.dtype == column.dtype
        np.testing.assert_array_equal(rows, column[start:stop])


@pytest.mark.parametrize("name", ["flat.jpeg", "flat.points", "flat.point_time_offset_ns"])
def test_sensor_data_is_not_read_through_zarr(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    array = open_arrays(folder, [name])[name]

    def through_zarr(self: object, selection: object) -> None:
        raise AssertionError("this would take several times as long")

    monkeypatch.setattr(zarr.Array, "__getitem__", through_zarr)
    np.testing.assert_array_equal(read_rows(array, 3, 6_500), COLUMNS[name][3:6_500])


def test_columns_of_earlier_releases(tmp_path: Path) -> None:
    points = COLUMNS["flat.points"]
    old = zarr.create_array(
        str(tmp_path / "flat.points"),
        shape=points.shape,
        dtype=points.dtype,
        chunks=(100, 4),
        compressors=ZstdCodec(level=1),
    )
    old[...] = points
    array = open_arrays(tmp_path, ["flat.points"])["flat.points"]
    np.testing.assert_array_equal(read_rows(array, 90, 310), points[90:310])


@pytest.mark.parametrize("damage", ["cut short", "empty", "another size", "no header", "other bytes"])
def test_a_damaged_chunk_is_an_error(folder: Path, damage: str) -> None:
    array = open_arrays(folder, ["flat.points"])["flat.points"]
    chunk = folder / "flat.points/c.1.0"
    packed = chunk.read_bytes()
    other = folder / "flat.point_time_offset_ns/c.0"
    changed: dict[str, Any] = {
        "cut short": packed[:-1],
        "empty": b"",
        "another size": other.read_bytes(),
        "no header": packed[:10],
        "other bytes": packed[:16] + bytes([255] * (len(packed) - 16)),
    }
    chunk.write_bytes(changed[damage])
    rows = array.chunks[0]
    with pytest.raises(CorruptStoreError, match="cannot be read"):
        read_rows(array, rows, 2 * rows)
    np.testing.assert_array_equal(read_rows(array, 0, rows), COLUMNS["flat.points"][:rows])
