"""Taking what a tombstone names out of a store's tables, runs and label versions.

Each step can be taken again: parts that were rewritten for a tombstone say so, and what is gone is gone.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.labels.forgetting import Forgotten
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import CommitRecord, Part, SampleStatus, SequenceStore, Table, durable
from fleetlabel.store.groups import read_group, subgroups, write_group
from fleetlabel.store.integrity import tables_of
from fleetlabel.store.rewriting import finish_rewriting, rewrite_part
from fleetlabel.store.runs import find_runs
from fleetlabel.store.sequence import GROUND_TRUTH
from fleetlabel.store.tombstones import Tombstone, as_it_is_now, blanked, is_by_frame
from fleetlabel.store.versions import OBJECTS, documents_of

_OF_CUBOIDS = ("lift", "track3d", "smooth3d")


def paths_of_sensor(store: SequenceStore, sensor: str, kind: SensorKind) -> list[str]:
    """Tables of a sensor, and of boxes that were made of its data."""
    return [table.path for table in tables_of(store.root) if _is_of_sensor(table.path, sensor, kind)]


def paths_by_frame(store: SequenceStore) -> list[str]:
    """Tables of which a range of frames can be deleted."""
    return [table.path for table in tables_of(store.root) if is_by_frame(table.path) or table.path == "ego"]


def erase(store: SequenceStore, tombstone: Tombstone, forgotten: Forgotten) -> None:
    """Takes out what a tombstone names, and everything that was made of it.

    Args:
        store: driven by nobody else.
        forgotten: what people said of it, which goes as well.
    """
    _drop_unfinished(store)
    store.forget_intake()
    if tombstone.frames is not None:
        _blank_frames(store, tombstone)
    elif tombstone.kind is not None and tombstone.sensor is not None:
        _drop_sensor(store, tombstone, tombstone.sensor, SensorKind(tombstone.kind))
    _forget_in_versions(store, tombstone, forgotten)
    finish_rewriting(store.root)


def _drop_unfinished(store: SequenceStore) -> None:
    """Takes runs and label versions away that are not whole: what they were made of is not there any more."""
    for name in subgroups(store.root / "labels"):
        if name not in store.label_versions():
            durable.take_away(store.root / "labels" / name)
    for stage in subgroups(store.root / "runs"):
        for run in find_runs(store, stage) if stage != "choices" else ():
            paths = [f"{run.path}/{sensor}" for sensor in subgroups(store.root / run.path)]
            if not all(store.has_table(path) and store.table(path).is_complete() for path in paths):
                durable.take_away(store.root / run.path)


def _blank_frames(store: SequenceStore, tombstone: Tombstone) -> None:
    assert tombstone.frames is not None
    start, stop = tombstone.frames
    for table in tables_of(store.root):
        if not is_by_frame(table.path):
            continue
        for record in table.records():
            # Later checkpoints know of what went on before; nothing is tracked on from them any more.
            if record.stop > start and (record.start < stop or record.state_sha256 is not None):
                part = blanked(table.read_part(record), record.start, [(start, stop)], SampleStatus.MISSING)
                _rewrite(store, table, record, part, tombstone)
    ego = store.table("ego")
    poses = as_it_is_now(store.info, [tombstone]).trajectory.world_from_ego
    for record in ego.records():
        part = ego.read_part(record)
        samples = {**part.samples, "world_from_ego": poses[record.start : record.stop]}
        _rewrite(store, ego, record, Part(samples, part.counts), tombstone)


def _drop_sensor(store: SequenceStore, tombstone: Tombstone, sensor: str, kind: SensorKind) -> None:
    store.describe_anew(as_it_is_now(store.info, [tombstone]))
    for path in [table.path for table in tables_of(store.root)]:
        if kind is SensorKind.CAMERA and _is_of_sensor(path, sensor, kind) and path.startswith("runs/"):
            durable.take_away(store.root / path)
        elif kind is SensorKind.LIDAR and _is_of_cuboids(store, path):
            table = store.table(path)
            for record in table.records():
                everything = blanked(
                    table.read_part(record), record.start, [(record.start, record.stop)], SampleStatus.MISSING
                )
                _rewrite(store, table, record, everything, tombstone)
    if store.has_table(f"sensors/{sensor}"):
        durable.take_away(store.root / "sensors" / sensor)


def _forget_in_versions(store: SequenceStore, tombstone: Tombstone, forgotten: Forgotten) -> None:
    camera = forgotten.camera
    for name in store.label_versions():
        folder = store.root / "labels" / name
        head = read_group(folder) or {}
        if head.get("base") is not None:
            for path in store.labels(name).table_paths:
                if store.has_table(path):
                    _forget_in_changes(store, store.table(path), tombstone, forgotten)
        for key in ("cameras", "changed_cameras") if camera else ():
            if key in head:
                head[key] = [one for one in head[key] if one != camera]
        marked = sorted({*head.get("tombstones", ()), tombstone.number})
        write_group(folder, head | {"tombstones": marked})
        for kind in ("boxes2d", "objects2d") if camera else ():
            if (folder / kind / str(camera)).exists():
                durable.take_away(folder / kind / str(camera))


def _forget_in_changes(
    store: SequenceStore, table: Table, tombstone: Tombstone, forgotten: Forgotten
) -> None:
    """What a version of people's edits says of each object."""
    for record in table.records():
        part = table.read_part(record)
        if table.path.endswith(f"/{OBJECTS}"):
            documents = documents_of(part)
            left = [forgotten.of_document(documents[key]) for key in part.samples["object_id"].tolist()]
            text = np.frombuffer(b"".join(left), dtype=np.uint8)
            counts = np.array([len(document) for document in left], dtype=np.int64)
            _rewrite(store, table, record, Part(part.samples, counts, {"json": text}), tombstone)
            continue
        rows = np.zeros(int(part.counts.sum()), dtype=np.bool_)
        if forgotten.frames is not None:
            frame = part.flat["frame"]
            rows = (frame >= forgotten.frames[0]) & (frame < forgotten.frames[1])
        elif forgotten.camera == "" and "center_m" in part.flat:
            rows[:] = True
        if rows.any():
            owner = np.repeat(np.arange(len(part)), part.counts)
            counts = np.bincount(owner[~rows], minlength=len(part)).astype(np.int64)
            flat = {name: column[~rows] for name, column in part.flat.items()}
            _rewrite(store, table, record, Part(part.samples, counts, flat), tombstone)


def _rewrite(
    store: SequenceStore, table: Table, record: CommitRecord, part: Part, tombstone: Tombstone
) -> None:
    done = record.provenance.get("tombstones", [])
    if tombstone.number in done:
        return
    frames = range(*tombstone.frames) if tombstone.frames is not None else range(0)
    rewrite_part(
        store.root,
        table,
        record,
        part,
        provenance={**record.provenance, "tombstones": [*done, tombstone.number]},
        quarantined=[entry for entry in record.quarantined if entry.sample not in frames],
    )


def _is_of_sensor(path: str, sensor: str, kind: SensorKind) -> bool:
    """Whether a table is a sensor's, or of boxes that were made of its data."""
    if path.startswith(("sensors/", "runs/", "labels/")) and path.rpartition("/")[2] == sensor:
        return True
    return kind is SensorKind.LIDAR and _holds_cuboids(path)


def _holds_cuboids(path: str) -> bool:
    """Whether a table holds cuboids that were made of points; a source's own are not known to be."""
    if path.startswith("labels/"):
        return path.endswith(("/boxes3d", "/objects3d")) and not path.startswith(f"labels/{GROUND_TRUTH}/")
    return path.startswith(tuple(f"runs/{stage}/" for stage in _OF_CUBOIDS))


def _is_of_cuboids(store: SequenceStore, path: str) -> bool:
    return _holds_cuboids(path) and is_by_frame(path) and store.has_table(path)
