"""What the catalogue knows of a store: read from it once, and again when its commit records have changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.fleet.places import way_of
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.boxes import Boxes
from fleetlabel.model.errors import FleetLabelError, StoreNotFoundError
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import LabelVersion, SequenceStore
from fleetlabel.store.groups import DOCUMENT, subgroups
from fleetlabel.store.hierarchy import INTAKE, JOURNAL
from fleetlabel.store.sequence import GROUND_TRUTH
from fleetlabel.store.tombstones import FOLDER as TOMBSTONES

_BLOCK_FRAMES = 2048
UPLOAD = "upload"
_HASH_BYTES = 66  # at the end of a journal


@dataclass(frozen=True, slots=True)
class Entry:
    """A store in the catalogue.

    Attributes:
        name: of the store, without ``.zarr``.
        sequence: the sequence's own name.
        vehicle: that drove, if the log says so.
        format: of the log.
        start_ns, stop_ns: times of its first and last frame.
        frames: number of frames.
        cameras, lidars: their names.
        way: points (latitude, longitude) in degrees along its way, if the log says where it is.
        labels: the newest label version, if there is one.
        edits: records of people's edits.
        review: ``unlabelled``, ``unreviewed`` (nobody edited), ``in-review`` (edits that are in no version yet) or
            ``reviewed`` (all are).
        intake: what checks of the drive said, ``pass``, ``unknown`` (the data cannot tell), ``warn`` or ``fail``;
            None: nobody has looked.
        quarantined: samples that could not be used.
        deleted: what people deleted of it, in words.
        objects, boxes: by class, in the newest labels; objects are tracks, of cuboids where there are any.
        problem: why it cannot be read, if it cannot.
    """

    name: str
    sequence: str = ""
    vehicle: str | None = None
    format: str = ""
    start_ns: int = 0
    stop_ns: int = 0
    frames: int = 0
    cameras: tuple[str, ...] = ()
    lidars: tuple[str, ...] = ()
    way: tuple[tuple[float, float], ...] | None = None
    labels: str | None = None
    edits: int = 0
    review: str = "unlabelled"
    intake: str | None = None
    quarantined: int = 0
    deleted: tuple[str, ...] = ()
    objects: Mapping[str, int] | None = None
    boxes: Mapping[str, int] | None = None
    problem: str | None = None


def fingerprint(root: Path) -> str:
    """Changes whenever something that the catalogue tells of a store does; reads commit records' names only."""
    digest = hashlib.sha256(_bytes(root / DOCUMENT) + _bytes(root / INTAKE / DOCUMENT))
    for name in subgroups(root / "labels"):
        digest.update(f"{name}\0".encode() + _bytes(root / "labels" / name / DOCUMENT))
    for name in subgroups(root / TOMBSTONES):
        digest.update(_bytes(root / TOMBSTONES / name / DOCUMENT))
    for sensor in subgroups(root / "sensors"):
        digest.update(f"{sensor} {subgroups(root / 'sensors' / sensor)}".encode())
    journal = root / JOURNAL
    if journal.is_dir():  # on object storage, one object per record
        digest.update(repr(sorted(entry.name for entry in journal.iterdir())).encode())
    elif journal.exists():
        with journal.open("rb") as stream:  # its last record's hash stands for all of it
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _HASH_BYTES))
            digest.update(f"{size}".encode() + stream.read())
    return digest.hexdigest()


def entry_of(root: Path) -> Entry:
    """Everything that the catalogue tells of a store."""
    name = root.stem
    try:
        return _entry(name, SequenceStore.open(root))
    except (FleetLabelError, OSError) as error:
        return Entry(name, problem=str(error))


def _entry(name: str, store: SequenceStore) -> Entry:
    info = store.info
    origin = info.source.get("origin")
    vehicle = origin.get("vehicle") if isinstance(origin, Mapping) else info.source.get("vehicle")
    way = way_of(info)
    version = _newest(store)
    objects, boxes = _counts(store, version) if version else ({}, {})
    edits = len(store.journal().read())
    return Entry(
        name=name,
        sequence=info.name,
        vehicle=None if vehicle is None else str(vehicle),
        format=_format(info.source),
        start_ns=int(info.frame_timestamp_ns[0]),
        stop_ns=int(info.frame_timestamp_ns[-1]),
        frames=info.n_frames,
        cameras=tuple(sensor.name for sensor in info.of_kind(SensorKind.CAMERA)),
        lidars=tuple(sensor.name for sensor in info.of_kind(SensorKind.LIDAR)),
        way=None if way is None else tuple((float(lat), float(lon)) for lat, lon in way),
        labels=None if version is None else version.name,
        edits=edits,
        review=_review(store, version, edits),
        intake=(store.intake() or {}).get("verdict"),
        quarantined=_quarantined(store),
        deleted=tuple(str(tombstone) for tombstone in store.tombstones()),
        objects=objects,
        boxes=boxes,
    )


def _format(source: Mapping[str, Any]) -> str:
    """What the drive was read from; of an upload, which is kept as a rig folder in between, that it was one."""
    origin = source.get("origin")
    uploaded = isinstance(origin, Mapping) and origin.get("format") == UPLOAD
    return UPLOAD if uploaded else str(source.get("format", ""))


def _newest(store: SequenceStore) -> LabelVersion | None:
    try:
        return store.latest_labels()
    except StoreNotFoundError:
        return None


def _review(store: SequenceStore, version: LabelVersion | None, edits: int) -> str:
    if version is None or version.name == GROUND_TRUTH:
        return "unlabelled"
    if not edits:
        return "unreviewed"
    saved = [store.labels(name).provenance.get("journal_sequence") for name in store.label_versions()]
    return "reviewed" if edits in saved else "in-review"


def _quarantined(store: SequenceStore) -> int:
    tables = [
        store.table(f"sensors/{s.name}") for s in store.info.sensors if store.has_table(f"sensors/{s.name}")
    ]
    return sum(len(record.quarantined) for table in tables for record in table.records())


def _counts(store: SequenceStore, version: LabelVersion) -> tuple[dict[str, int], dict[str, int]]:
    """Objects and boxes by class; read in blocks, so that memory does not grow with the drive."""
    tracks: dict[str, set[int]] = {}
    boxes: dict[str, int] = {}
    untracked: dict[str, int] = {}
    for start in range(0, store.info.n_frames, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, store.info.n_frames)
        blocks: list[Boxes] = []
        if version.has_boxes3d:
            blocks.append(store.labels3d(version.name, start, stop))
        blocks += [store.labels2d(version.name, camera, start, stop) for camera in version.cameras]
        for block in blocks:
            for class_id in np.unique(block.class_id).tolist():
                name, mine = block.class_names[class_id], block.class_id == class_id
                ids: AnyArray = np.unique(block.track_id[mine])
                tracks.setdefault(name, set()).update(ids[ids >= 0].tolist())
                boxes[name] = boxes.get(name, 0) + int(mine.sum())
                untracked[name] = untracked.get(name, 0) + int((block.track_id[mine] < 0).sum())
    objects = {name: len(tracks[name]) + untracked[name] for name in sorted(boxes)}
    return objects, {name: boxes[name] for name in sorted(boxes)}


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def to_json(entry: Entry) -> str:
    """For the index."""
    return json.dumps({name: getattr(entry, name) for name in Entry.__dataclass_fields__})


def from_json(text: str) -> Entry:
    """The inverse of :func:`to_json`."""
    values: dict[str, Any] = json.loads(text)
    way = values["way"]
    values["way"] = None if way is None else tuple((lat, lon) for lat, lon in way)
    return Entry(**values | {name: tuple(values[name]) for name in ("cameras", "lidars", "deleted")})
