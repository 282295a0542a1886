"""Parquet tables of everything that labels say: a row per box, a column per number, units in the names.

``<sequence>/cuboids/*.parquet`` and ``<sequence>/pictures/*.parquet``; a folder is one table for everything that reads
Parquet (``polars.scan_parquet("monday/cuboids/*.parquet")``, DuckDB, pandas). What is unknown is null. Needs the extra
``fleetlabel[parquet]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fleetlabel.engine.exchange.contract import BLOCK_ROWS, Block, Carries, Reading, WritableFormat, exactly
from fleetlabel.engine.exchange.labels import Labels, is_keyframe
from fleetlabel.engine.exchange.rows import block, camera_named, checked, frame_column, refuse_classes
from fleetlabel.engine.exchange.writing import new_bytes, new_folder
from fleetlabel.engine.ingest.arrow_files import texts
from fleetlabel.engine.ingest.large_files import label_files
from fleetlabel.engine.ingest.unpacked_sizes import refuse_parquet_bombs
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.errors import SourceError, UsageError

if TYPE_CHECKING:
    import polars as pl

# Columns of several numbers, and what each of them is called.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "xyxy_px": ("x1_px", "y1_px", "x2_px", "y2_px"),
    "amodal_xyxy_px": ("amodal_x1_px", "amodal_y1_px", "amodal_x2_px", "amodal_y2_px"),
    "center_m": ("center_x_m", "center_y_m", "center_z_m"),
    "size_lwh_m": ("length_m", "width_m", "height_m"),
    "q_wxyz": ("qw", "qx", "qy", "qz"),
    "velocity_mps": ("velocity_x_mps", "velocity_y_mps", "velocity_z_mps"),
}
# What a table must have; everything else may be missing.
_NEEDED = {
    Boxes2D: ("frame", "class", "xyxy_px"),
    Boxes3D: ("frame", "class", "center_m", "size_lwh_m", "q_wxyz"),
}
_SOURCES = {source.name.lower(): int(source) for source in Source}
_NAMES: AnyArray = np.array([source.name.lower() for source in sorted(Source)])
# Columns that say something here; others may hold anything, and are not read.
_KNOWN = {"camera", "class"}.union(
    part for kind in (Boxes2D, Boxes3D) for name in kind.column_names() for part in _PARTS.get(name, (name,))
)
# A box takes more than a byte, however it is packed: a table with more rows than bytes was made to do harm.
_SMALL_ROWS = 1 << 16


class ParquetLabels(WritableFormat):
    """Parquet tables."""

    name = "parquet"
    title = "Parquet"
    looks_for = "<sequence>/cuboids/*.parquet and <sequence>/pictures/*.parquet, or such a file"
    carries = Carries(
        pictures=exactly(
            "class_id", *(name for name in Boxes2D.column_names() if name not in ("frame", "class_id"))
        ),
        cuboids=exactly(
            "class_id", *(name for name in Boxes3D.column_names() if name not in ("frame", "class_id"))
        ),
        keyframes=True,
    )

    def write(self, labels: Labels, out: Path) -> list[str]:
        """See the base class."""
        root = out / labels.drive.file_name
        new_folder(root)
        counts = {"cuboids": 0, "pictures": 0}
        for frames, cuboids, pictures in labels.blocks():
            for kind, found in (("cuboids", {None: cuboids}), ("pictures", dict(pictures))):
                tables = [_table(boxes, camera) for camera, boxes in found.items() if len(boxes)]
                if tables:
                    with new_bytes(root / kind / f"{frames.start:08d}.parquet") as file:
                        _polars().concat(tables).write_parquet(file)
                    counts[kind] += sum(len(table) for table in tables)
        return [f"{root / kind}: {count} boxes" for kind, count in counts.items()]

    def read(self, path: Path, reading: Reading) -> Iterator[Block]:
        """See the base class."""
        own = path / reading.drive.file_name
        pattern = "**/*.parquet"
        for file in (
            sorted(own.glob(pattern)) if own.is_dir() else label_files(path, pattern, "Parquet tables")
        ):
            for table in _tables(file):
                yield from _blocks(table, file, reading)


def _polars() -> Any:
    try:
        import polars
    except ImportError as error:
        raise UsageError(
            "Parquet needs polars; install it with: pip install 'fleetlabel[parquet]'"
        ) from error
    return polars


def _table(boxes: Boxes, camera: str | None) -> pl.DataFrame:
    columns: dict[str, Any] = {"frame": boxes.frame, "class": boxes.class_labels().astype(str)}
    for name, column in boxes.columns().items():
        if name == "source":
            columns["source"] = _NAMES[column]
        elif name in _PARTS:
            columns |= dict(zip(_PARTS[name], column.T, strict=True))
        elif name not in ("frame", "class_id"):
            columns[name] = column
    columns["keyframe"] = is_keyframe(boxes)
    polars = _polars()
    columns = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    if camera is not None:
        columns["camera"] = np.full(len(boxes), camera)
    table: pl.DataFrame = polars.DataFrame(columns).with_columns(polars.selectors.float().fill_nan(None))
    return table


def _tables(path: Path) -> Iterator[pl.DataFrame]:
    """A file's rows, some ten thousand at a time.

    Raises:
        SourceError: it is no Parquet, damaged, or has more rows than a file of its size can have.
    """
    polars = _polars()
    try:
        schema = polars.scan_parquet(path).collect_schema()
        columns = [name for name in schema if name in _KNOWN]
        nested = [name for name in columns if schema[name].is_nested()]
        if nested:
            raise SourceError(f"{path}: columns {nested} hold lists, expected a number or text in each row")
        rows = int(polars.scan_parquet(path).select(polars.len()).collect().item())
        if rows > max(_SMALL_ROWS, path.stat().st_size):
            raise SourceError(
                f"{path} has {rows} rows in {path.stat().st_size} bytes, which no labels do; it was refused"
            )
        refuse_parquet_bombs(path, tuple(columns))
        for start in range(0, rows, BLOCK_ROWS):
            yield polars.scan_parquet(path).select(columns).slice(start, BLOCK_ROWS).collect()
    except (SourceError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # polars' panics are no Exception
        raise SourceError(
            f"{path} is no Parquet file, or damaged ({str(error)[:200]}); export it again"
        ) from error


def _blocks(table: pl.DataFrame, path: Path, reading: Reading) -> Iterator[Block]:
    kind = Boxes3D if "center_x_m" in table.columns else Boxes2D
    missing = [
        part for name in _NEEDED[kind] for part in _PARTS.get(name, (name,)) if part not in table.columns
    ]
    if missing:
        raise SourceError(f"{path} has no columns {missing}; it has {table.columns}")
    columns, rows = _columns(table, kind, path), range(len(table))
    frames = columns.pop("frame").tolist()
    columns["frame"] = frame_column(frames, rows, lambda row: f"{path} row {row}", reading)
    names, columns["class_id"] = np.unique(_texts(table, "class", path), return_inverse=True)
    refuse_classes(path, len(names))
    columns["class_id"] = columns["class_id"].astype(np.int16)
    checked(kind, columns, lambda row: f"{path} row {row}")
    named = kind is Boxes2D and "camera" in table.columns
    cameras = _texts(table, "camera", path) if named else np.full(len(table), "")
    for camera in np.unique(cameras).tolist():
        mine = np.flatnonzero(cameras == camera)
        mine = mine[np.argsort(columns["frame"][mine], kind="stable")]
        whose = camera_named(camera, reading, str(path)) if kind is Boxes2D else None
        yield block(reading, whose, names.tolist(), {name: column[mine] for name, column in columns.items()})


def _columns(table: pl.DataFrame, kind: type[Boxes2D] | type[Boxes3D], path: Path) -> dict[str, AnyArray]:
    """Columns of boxes that a table has, in their dtypes; null becomes what means unknown."""
    columns: dict[str, AnyArray] = {}
    for name in kind.column_names():
        parts = _PARTS.get(name, (name,))
        if name == "class_id" or not all(part in table.columns for part in parts):
            continue
        dtype, shape = kind.column_spec(name)
        if name == "source":
            found = [_SOURCES.get(text, 0) for text in _texts(table, name, path)]
            columns[name] = np.array(found, dtype=np.uint8)
            continue
        try:
            values = [_numbers(table, part, dtype, kind, name) for part in parts]
        except Exception as error:  # of polars' own kinds
            raise SourceError(f"{path}: column {name} is no {dtype} ({str(error)[:200]})") from error
        columns[name] = np.stack(values, axis=1) if shape else values[0]
    return columns


def _numbers(table: pl.DataFrame, part: str, dtype: Any, kind: type[Boxes], name: str) -> AnyArray:
    polars = _polars()
    column = table[part]
    default = kind.__dataclass_fields__[name].metadata["default"]
    if dtype.kind == "f":
        return np.asarray(column.cast(polars.Float64).fill_null(float("nan")).to_numpy(), dtype=dtype)
    if column.null_count():
        column = column.fill_null(default)
    if dtype.kind == "b":
        return np.asarray(column.cast(polars.Boolean).to_numpy(), dtype=dtype)
    values = column.cast(polars.Int64).to_numpy()
    if name != "frame" and (
        values.min(initial=0) < np.iinfo(dtype).min or values.max(initial=0) > np.iinfo(dtype).max
    ):
        raise ValueError(f"{part} spans {values.min()}..{values.max()}")
    return np.asarray(values if name == "frame" else values.astype(dtype))


def _texts(table: pl.DataFrame, name: str, path: Path) -> AnyArray:
    return np.array(texts(table, name, path), dtype=np.str_)
