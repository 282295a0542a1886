"""Parquet: the contract with every column, hostile tables, and pyarrow as another reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exchange.contract import LabelFormatContract
from exchange.scenes import drive, random_labels
from fleetlabel.engine.exchange import export_labels, read_labels, writable_format
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import SourceError

pl = pytest.importorskip("polars")


class TestParquet(LabelFormatContract):
    format_name = "parquet"


def test_every_column_is_carried() -> None:
    carries = writable_format("parquet").carries
    for kind in (Boxes2D, Boxes3D):
        assert set(carries.exact(kind)) == set(kind.column_names()) - {"frame"}


def test_tables_with_just_the_boxes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "boxes.parquet"
    table = {"frame": [3, 1], "class": ["car"] * 2}
    table |= {"x1_px": [1.0, 2], "y1_px": [0.0, 0], "x2_px": [5, 6], "y2_px": [7, 8]}
    pl.DataFrame(table).write_parquet(path)
    boxes = read_labels(writable_format("parquet"), path, drive(), camera="rear").pictures["rear"]
    assert (boxes.frame.tolist(), boxes.xyxy_px.tolist()) == ([1, 3], [[2, 0, 6, 8], [1, 0, 5, 7]])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frame": [10**12]}, "row 0 is of frame 1000000000000"),
        ({"x1_px": ["left"]}, "column xyxy_px"),
        ({"x1_px": [None]}, "not finite"),
        ({"track_id": [1.5e300]}, "column track_id"),
        ({"occlusion": [1000]}, "column occlusion"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = tmp_path / "boxes.parquet"
    row: dict[str, Any] = {"frame": [1], "class": ["car"], "camera": ["front"]}
    row |= {"x1_px": [1.0], "y1_px": [0.0], "x2_px": [5.0], "y2_px": [7.0]}
    pl.DataFrame(row | changed).write_parquet(path)
    with pytest.raises(SourceError, match=message):
        read_labels(writable_format("parquet"), path, drive())


def test_a_small_file_with_many_rows_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    rows = 20_000_000
    names = ("frame", "x1_px", "y1_px", "x2_px", "y2_px")
    same = {name: pl.repeat(1, rows, dtype=pl.Int8, eager=True) for name in names}
    pl.DataFrame(same).write_parquet(path, compression="zstd")
    assert path.stat().st_size < rows / 50
    with pytest.raises(SourceError, match="20000000 rows in"):
        read_labels(writable_format("parquet"), path, drive())


def test_pyarrow_reads_what_we_write(tmp_path: Path, ask_oracle: Callable[..., Any]) -> None:
    labels = random_labels(2)
    export_labels(labels, writable_format("parquet"), tmp_path, "made")
    rows = ask_oracle("pyarrow_table", tmp_path / "monday_drive/cuboids")
    solid = labels.boxes3d
    assert [row["frame"] for row in rows] == solid.frame.tolist()
    assert [row["track_id"] for row in rows] == solid.track_id.tolist()
    for names, column in (
        (("length_m", "width_m", "height_m"), solid.size_lwh_m),
        (("qw", "qx", "qy", "qz"), solid.q_wxyz),
    ):
        np.testing.assert_array_equal([[row[name] for name in names] for row in rows], column)
    assert [row["truncation"] is None for row in rows] == np.isnan(solid.truncation).tolist()
