"""nuScenes' tables, read once and kept by scene.

The tables of all scenes are gigabytes of JSON, of which one scene needs a thousandth. They are read row by row into a
database: in memory if they are small, in ``FLEETLABEL_SCRATCH`` otherwise, where the next process finds it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from fleetlabel.engine.ingest.fetching import scratch_folder
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.model.errors import SourceError
from fleetlabel.store import durable
from fleetlabel.store.object_path import ObjectPath

TABLES = (
    *("scene", "log", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor"),
    *("instance", "category", "attribute", "visibility", "sample_annotation"),
)
# Of which a test set has none.
_LABELS = ("instance", "category", "attribute", "visibility", "sample_annotation")
_IN_MEMORY_BYTES = 1 << 26
_MADE = """
create table scene(token text primary key, name text, log text);
create table log(token text primary key, vehicle text, location text, date text);
create table sample(token text primary key, scene text, time_us int);
create table sample_data(scene text, pose text, calibration text, time_us int, width int, height int, file text);
create table ego_pose(token text primary key, tx real, ty real, tz real, qw real, qx real, qy real, qz real);
create table calibration(token text primary key, sensor text, tx real, ty real, tz real,
                         qw real, qx real, qy real, qz real, intrinsic text);
create table sensor(token text primary key, channel text, modality text);
create table instance(token text primary key, category text);
create table category(token text primary key, name text);
create table attribute(token text primary key, name text);
create table visibility(token text primary key, level text);
create table annotation(scene text, row int, sample text, instance text, visibility text, attributes text,
                        tx real, ty real, tz real, width real, length real, height real,
                        qw real, qx real, qy real, qz real, points int);
"""
_INDEXED = "create index of_scene on sample_data(scene); create index labels_of on annotation(scene);"


def scene_names(folder: Path) -> dict[str, str]:
    """Token by name of the scenes in a folder of tables, which may be on object storage."""
    if not isinstance(folder, ObjectPath):
        return {row[1]: row[0] for row in _scenes(folder)}
    path = folder / "scene.json"
    try:
        return {str(row["name"]): str(row["token"]) for row in json.loads(path.read_bytes())}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            f"{path} is no table of scenes ({error!r}); restore it from the original log"
        ) from error


class NuScenesTables:
    """Tables of a folder ``v1.0-*``.

    Attributes:
        folder: with the JSON files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sizes = [self._size(name) for name in TABLES]
        if sum(sizes) <= _IN_MEMORY_BYTES:
            self._database = sqlite3.connect(":memory:", check_same_thread=False)
            _fill(self._database, folder)
        else:
            self._database = sqlite3.connect(_kept(folder), check_same_thread=False)

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self._database.execute(query, values).fetchall()

    def _size(self, name: str) -> int:
        path = self.folder / f"{name}.json"
        try:
            return path.stat().st_size
        except FileNotFoundError:
            if name in _LABELS:
                return 0
            raise SourceError(f"{path} is missing; restore it from the original log") from None


def _kept(folder: Path) -> Path:
    """The database of a folder's tables as they are now, made if it is not there."""
    state = [
        (name, found.stat().st_size, found.stat().st_mtime_ns)
        for name in TABLES
        if (found := folder / f"{name}.json").exists()
    ]
    name = hashlib.sha256(repr((str(folder.resolve()), state, _MADE)).encode()).hexdigest()[:24]
    # In a folder of its own, as copies of drives are: the oldest are deleted where room is needed.
    place = scratch_folder() / name
    database = place / "tables.sqlite"
    with durable.write_errors(database):
        if not database.exists():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = place / f".{secrets.token_hex(4)}"
            try:
                with closing(sqlite3.connect(partial)) as made:
                    made.execute("pragma journal_mode = off")
                    made.execute("pragma synchronous = off")
                    _fill(made, folder)
                partial.rename(database)
            finally:
                partial.unlink(missing_ok=True)
        os.utime(place)
    return database


def _fill(database: sqlite3.Connection, folder: Path) -> None:
    database.executescript(_MADE)
    rows = {
        "scene": _scenes(folder),
        "log": _texts(folder, "log", "token", "vehicle", "location", "date_captured"),
        "sample": _samples(folder),
        "sensor": _texts(folder, "sensor", "token", "channel", "modality"),
        "calibration": _calibrations(folder),
        "ego_pose": (
            (_text(row, "token", where), *_numbers(row, "translation", 3), *_numbers(row, "rotation", 4))
            for where, row in _table(folder, "ego_pose")
        ),
    }
    for name, values in rows.items():
        _insert(database, name, values)
    scene_of = dict(database.execute("select token, scene from sample"))
    _insert(database, "sample_data", _sample_data(folder, scene_of))
    if all((folder / f"{name}.json").exists() for name in _LABELS):
        _insert(database, "instance", _texts(folder, "instance", "token", "category_token"))
        _insert(database, "category", _texts(folder, "category", "token", "name"))
        _insert(database, "attribute", _texts(folder, "attribute", "token", "name"))
        _insert(database, "visibility", _texts(folder, "visibility", "token", "level"))
        _insert(database, "annotation", _annotations(folder, scene_of))
    database.executescript(_INDEXED)
    database.commit()


def _insert(database: sqlite3.Connection, table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    width = len(database.execute(f"select * from {table}").description)
    marks = ", ".join("?" * width)
    database.executemany(f"insert or ignore into {table} values ({marks})", rows)


def _scenes(folder: Path) -> Iterator[tuple[Any, ...]]:
    return _texts(folder, "scene", "token", "name", "log_token")


def _samples(folder: Path) -> Iterator[tuple[Any, ...]]:
    for where, row in _table(folder, "sample"):
        yield _text(row, "token", where), _text(row, "scene_token", where), _whole(row, "timestamp", where)


def _calibrations(folder: Path) -> Iterator[tuple[Any, ...]]:
    for where, row in _table(folder, "calibrated_sensor"):
        given = row.get("camera_intrinsic")
        flat = [value for line in given or [] for value in (line if isinstance(line, list) else [line])]
        intrinsic = " ".join(str(value) for value in flat[:9])
        place = (*_numbers(row, "translation", 3), *_numbers(row, "rotation", 4))
        yield _text(row, "token", where), _text(row, "sensor_token", where), *place, intrinsic


def _sample_data(folder: Path, scene_of: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    for where, row in _table(folder, "sample_data"):
        sample = _text(row, "sample_token", where)
        if sample not in scene_of:
            raise SourceError(f"{where} is of sample {sample[:40]!r}, which sample.json does not have")
        size = [row.get(name) if type(row.get(name)) is int else 0 for name in ("width", "height")]
        yield (
            scene_of[sample],
            _text(row, "ego_pose_token", where),
            _text(row, "calibrated_sensor_token", where),
            _whole(row, "timestamp", where),
            *(value if value is not None and 0 <= value < 1 << 20 else 0 for value in size),
            _text(row, "filename", where),
        )


def _annotations(folder: Path, scene_of: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    for at, (where, row) in enumerate(_table(folder, "sample_annotation")):
        sample = _text(row, "sample_token", where)
        attributes = row.get("attribute_tokens")
        points = row.get("num_lidar_pts")
        yield (
            scene_of.get(sample, ""),
            at,
            sample,
            _text(row, "instance_token", where),
            str(row.get("visibility_token", "")),
            " ".join(str(token) for token in attributes) if isinstance(attributes, list) else "",
            *_numbers(row, "translation", 3),
            *_numbers(row, "size", 3),
            *_numbers(row, "rotation", 4),
            points if type(points) is int and 0 <= points < 1 << 31 else -1,
        )


def _texts(folder: Path, name: str, *fields: str) -> Iterator[tuple[Any, ...]]:
    for where, row in _table(folder, name):
        yield tuple(_text(row, field, where) for field in fields)


def _table(folder: Path, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a table, each with its place for messages."""
    path = folder / f"{name}.json"
    for _, at, row in members(path, ()):
        if not isinstance(row, Mapping):
            raise SourceError(f"{path} row {at} is {str(row)[:80]}, expected a row with named fields")
        yield f"{path} row {at}", row


def _text(row: Mapping[str, Any], field: str, where: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise SourceError(f"{where}: {field} is {str(value)[:80]!r}, expected text; restore the file")
    return value


def _whole(row: Mapping[str, Any], field: str, where: str) -> int:
    value = row.get(field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or abs(value) >= 1 << 53:
        raise SourceError(f"{where}: {field} is {str(value)[:80]}, expected microseconds; restore the file")
    return value


def _numbers(row: Mapping[str, Any], field: str, count: int) -> list[float]:
    """Numbers of a list; if they are not that many, or not finite, all of them are NaN: what is so is set aside."""
    value = row.get(field)
    if isinstance(value, list) and len(value) == count:
        try:
            numbers = [float(number) for number in value]
        except (TypeError, ValueError, OverflowError):
            numbers = []
        if numbers and all(map(math.isfinite, numbers)):
            return numbers
    return [math.nan] * count
