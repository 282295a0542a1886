"""What a report says of a store besides its pictures: sensors, runs, objects, and what could not be used.

Everything is read from commit records and labels; no picture is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.model.boxes import Boxes
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.model.ontology import CLASSES
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import SampleStatus, SequenceStore, StoreInfo, TableInfo
from fleetlabel.store.runs import Run, open_run
from fleetlabel.viewers.palette import class_color, shown_class


@dataclass(frozen=True, slots=True)
class SensorFact:
    """One sensor's data.

    Attributes:
        name, kind: of the sensor.
        detail: a camera's size and lens, or a lidar's points per sweep.
        rate_hz: of its samples; None with fewer than two.
        samples, missing, quarantined: frames with data, without, and with data that could not be used.
    """

    name: str
    kind: str
    detail: str
    rate_hz: float | None
    samples: int
    missing: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class ClassFact:
    """What a label version holds of one class.

    Attributes:
        name, color: shown name, CSS colour as in the pictures.
        objects: identities, in pictures and cuboids together.
        cuboids, boxes2d: boxes in all frames and cameras.
        median_s: time for which half of the objects are followed at least.
        true_objects: identities in the ground truth; None without one.
    """

    name: str
    color: str
    objects: int
    cuboids: int
    boxes2d: int
    median_s: float
    true_objects: int | None


@dataclass(frozen=True, slots=True)
class RunFact:
    """One machine stage behind the labels: its settings as one line each."""

    stage: str
    run_id: str
    settings: tuple[tuple[str, str], ...]


def sensor_facts(store: SequenceStore, described: StoreInfo) -> tuple[SensorFact, ...]:
    """One row per sensor, in the sequence's order."""
    tables = {table.path: table for table in described.tables}
    return tuple(
        _sensor_fact(store, sensor, tables[f"sensors/{sensor.name}"]) for sensor in store.info.sensors
    )


def class_facts(store: SequenceStore, version: str, truth: str | None) -> tuple[ClassFact, ...]:
    """One row per class that occurs in the labels or in the truth, in the ontology's order."""
    mine = _rows(store, version)
    theirs = None if truth is None else _rows(store, truth)
    found = {*mine["name"].tolist(), *([] if theirs is None else theirs["name"].tolist())}
    names = [*(name for name in CLASSES if name in found), *sorted(found - set(CLASSES))]
    return tuple(_class_fact(name, mine, theirs) for name in names)


def run_facts(store: SequenceStore, version: str) -> tuple[RunFact, ...]:
    """The machine runs that a label version was made by; none for labels that people or a log brought."""
    runs = store.labels(version).provenance.get("runs", {})
    return tuple(_run_fact(run) for run in _existing(store, runs))


def quarantined(store: SequenceStore, described: StoreInfo) -> tuple[tuple[str, int, str], ...]:
    """Samples that could not be used: table, frame, reason."""
    return tuple(
        (table.path, entry.sample, entry.reason)
        for table in described.tables
        if table.quarantined
        for record in store.table(table.path).records()
        for entry in record.quarantined
    )


def driven_m(store: SequenceStore) -> float:
    """Way of the ego vehicle along its poses."""
    place = store.info.trajectory.world_from_ego[:, :3]
    return float(np.linalg.norm(np.diff(place, axis=0), axis=1).sum())


def _sensor_fact(store: SequenceStore, sensor: Sensor, table: TableInfo) -> SensorFact:
    samples = store.table(table.path).read(columns=("timestamp_ns", "status")).samples
    there = samples["status"] != SampleStatus.MISSING
    count = int(np.count_nonzero(there))
    steps = np.diff(samples["timestamp_ns"][there])
    if sensor.camera is not None:
        lens = type(sensor.camera).__name__.removesuffix("Camera").lower()
        detail = f"{sensor.camera.width_px} x {sensor.camera.height_px} px, {lens}"
    else:
        detail = f"{table.rows / max(count, 1):,.0f} points a sweep"
    return SensorFact(
        name=sensor.name,
        kind=sensor.kind.value,
        detail=detail,
        rate_hz=1e9 / float(np.median(steps)) if len(steps) else None,
        samples=count,
        missing=len(there) - count,
        quarantined=table.quarantined,
    )


def _rows(store: SequenceStore, version: str) -> dict[str, AnyArray]:
    """Name, identity, time and kind (whether a cuboid) of all boxes of a version, ignore regions left out."""
    cameras = [sensor.name for sensor in store.info.of_kind(SensorKind.CAMERA)]
    blocks: list[Boxes] = [store.labels2d(version, camera) for camera in cameras]
    blocks.append(store.labels3d(version))
    kept = [boxes.take(~boxes.ignore) for boxes in blocks]
    solid = [np.full(len(boxes), boxes is kept[-1]) for boxes in kept]
    return {
        "name": np.concatenate([_shown_names(boxes) for boxes in kept]),
        "track_id": np.concatenate([boxes.track_id for boxes in kept]),
        "timestamp_ns": np.concatenate([boxes.timestamp_ns for boxes in kept]),
        "cuboid": np.concatenate(solid),
    }


def _shown_names(boxes: Boxes) -> AnyArray:
    words = np.array([shown_class(name) for name in boxes.class_names] or [""], dtype=np.str_)
    return words[boxes.class_id]


def _class_fact(name: str, mine: Mapping[str, AnyArray], theirs: Mapping[str, AnyArray] | None) -> ClassFact:
    rows = mine["name"] == name
    cuboids = int(np.count_nonzero(rows & mine["cuboid"]))
    lasting = _lasting_s(mine["track_id"][rows], mine["timestamp_ns"][rows])
    blue, green, red = class_color(name)
    return ClassFact(
        name=name.replace("_", " "),
        color=f"#{red:02x}{green:02x}{blue:02x}",
        objects=len(lasting),
        cuboids=cuboids,
        boxes2d=int(np.count_nonzero(rows)) - cuboids,
        median_s=float(np.median(lasting)) if len(lasting) else 0.0,
        true_objects=None if theirs is None else _count_identities(theirs, name),
    )


def _lasting_s(track_id: AnyArray, timestamp_ns: AnyArray) -> F64:
    """Seconds (T,) from the first to the last box of each identity."""
    tracks, row = np.unique(track_id[track_id >= 0], return_inverse=True)
    times = timestamp_ns[track_id >= 0]
    first = np.full(len(tracks), np.iinfo(np.int64).max)
    last = np.full(len(tracks), np.iinfo(np.int64).min)
    np.minimum.at(first, row, times)
    np.maximum.at(last, row, times)
    return np.asarray((last - first) * 1e-9)


def _count_identities(rows: Mapping[str, AnyArray], name: str) -> int:
    track_id = rows["track_id"][rows["name"] == name]
    return len(np.unique(track_id[track_id >= 0]))


def _existing(store: SequenceStore, runs: Mapping[str, str]) -> Iterator[Run]:
    """The runs that are still there: a store may have been thinned out."""
    for stage, run_id in runs.items():
        try:
            yield open_run(store, stage, run_id)
        except StoreNotFoundError:
            continue


def _run_fact(run: Run) -> RunFact:
    settings = {key: value for key, value in run.identity.items() if key != "class_names"}
    return RunFact(run.stage, run.run_id, tuple(_flat(settings)))


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Nested settings as pairs of name and text; an inner name that the outer settings have, too, says whose it is."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            for inner, text in _flat(value):
                yield f"{name} {inner}" if inner.replace(" ", "_") in settings else inner, text
        else:
            yield name.replace("_", " "), str(value)
