"""Label versions of people's edits: written, read again, and told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.labels.codec import object_from_json, object_to_json
from fleetlabel.labels.labels import Labels
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.snapshot import Snapshot
from fleetlabel.labels.state import LabelState
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.errors import UsageError
from fleetlabel.store import LabelChanges, LabelVersion, SequenceStore
from fleetlabel.store.groups import canonical_json


def save_version(labels: Labels, name: str | None = None, *, sequence: int | None = None) -> LabelVersion:
    """Writes the labels after a record (the last, by default) as an immutable version.

    Only objects that people touched are written, and solved if they were not before. The same labels are the same
    version, byte for byte, whoever saves them and when.

    Args:
        name: of the version; named after its content by default.

    Raises:
        StoreExistsError: another version has this name.
    """
    at = labels.sequence if sequence is None else sequence
    snapshot = labels.at(at)
    changes = changes_of(snapshot)
    return labels.store.write_label_changes(
        snapshot.base.name,
        changes,
        class_names=_class_names(snapshot, changes),
        provenance={
            "base": snapshot.base.name,
            "journal_sequence": at,
            "journal_sha256": labels.history.records[at - 1].sha256 if at else None,
            "solver": snapshot.solver.version,
        },
        name=name,
    )


def changes_of(snapshot: Snapshot) -> LabelChanges:
    """What people made of the base version."""
    items = snapshot.state.objects
    ids = sorted(items)
    solved = [snapshot.boxes(object_id) for object_id in ids if items[object_id] is not None]
    cameras = sorted({camera for boxes in solved for camera in boxes.pictures})
    names = snapshot.base.class_names
    return LabelChanges(
        object_id=np.array(ids, dtype=np.int64),
        documents=tuple(_document(items[object_id]) for object_id in ids),
        boxes3d=Boxes3D.concatenate([Boxes3D.empty(names), *(boxes.cuboids for boxes in solved)]),
        boxes2d={
            camera: Boxes2D.concatenate([b.pictures[camera] for b in solved if camera in b.pictures])
            for camera in cameras
        },
    )


def objects_of(store: SequenceStore, version: str) -> dict[int, LabelObject | None]:
    """What people had said when a version was saved, by object; None for those that they had deleted."""
    documents = store.label_documents(version)
    return {
        object_id: object_from_json(json.loads(text)) if text else None
        for object_id, text in documents.items()
    }


def snapshot_of(labels: Labels, which: str) -> Snapshot:
    """Labels by the name of a version or by the sequence number of a record, ``0`` and ``now`` among them.

    Raises:
        UsageError: there is no such record.
        StoreNotFoundError: there is no such version.
    """
    if which == "now":
        return labels.now
    if which not in labels.store.label_versions() and which.isdecimal():
        return labels.at(int(which))
    version = labels.store.labels(which)
    base = labels.base_named(version.base or version.name)
    said = objects_of(labels.store, which) if version.base is not None else {}
    return Snapshot(base, LabelState(base, said), labels.solver)


@dataclass(frozen=True, slots=True)
class Difference:
    """How one object differs between two sets of labels.

    Attributes:
        object_id: of the object.
        change: ``added``, ``removed`` or ``changed``.
        boxes: camera ("" cuboids) -> how many boxes were added, removed, and changed.
        said: names of what people say differently of it (keyframes, size, flags, ...).
    """

    object_id: int
    change: str
    boxes: Mapping[str, tuple[int, int, int]]
    said: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        keys = ("added", "removed", "changed")
        boxes = {camera or "cuboids": dict(zip(keys, n, strict=True)) for camera, n in self.boxes.items()}
        return {"object_id": self.object_id, "change": self.change, "boxes": boxes, "said": list(self.said)}


def diff(before: Snapshot, after: Snapshot) -> list[Difference]:
    """How labels on one base version differ, by object; see :func:`differences`."""
    return list(differences(before, after))


def differences(before: Snapshot, after: Snapshot) -> Iterator[Difference]:
    """How labels on one base version differ, one object after the other: just those that people touched are looked at.

    Raises:
        UsageError: they are on different base versions, whose ids have nothing to do with one another.
    """
    if before.base.name != after.base.name:
        raise UsageError(
            f"labels on {before.base.name!r} and on {after.base.name!r} number their objects differently; compare "
            "labels on one base version"
        )
    touched = sorted({*before.state.objects, *after.state.objects})
    return _differences(before, after, touched)


def _differences(before: Snapshot, after: Snapshot, ids: list[int]) -> Iterator[Difference]:
    for object_id in ids:
        one, two = before.state.get(object_id), after.state.get(object_id)
        if one == two:
            continue
        change = "added" if one is None else "removed" if two is None else "changed"
        said = () if one is None or two is None else _said_differently(one, two)
        left, right = _all_boxes(before, one), _all_boxes(after, two)
        counts = {camera: _counts(left.get(camera), right.get(camera)) for camera in sorted({*left, *right})}
        yield Difference(object_id, change, {c: n for c, n in counts.items() if any(n)}, said)


def _said_differently(one: LabelObject, two: LabelObject) -> tuple[str, ...]:
    return tuple(f.name for f in fields(LabelObject) if getattr(one, f.name) != getattr(two, f.name))


def _all_boxes(snapshot: Snapshot, item: LabelObject | None) -> dict[str, Boxes]:
    if item is None:
        return {}
    boxes = snapshot.boxes(item.object_id)
    return {"": boxes.cuboids, **boxes.pictures}


def _counts(one: Boxes | None, two: Boxes | None) -> tuple[int, int, int]:
    """How many boxes of an object (one per frame at most) were added, removed, and changed."""
    if one is None or two is None:
        return (0 if two is None else len(two), 0 if one is None else len(one), 0)
    both, left, right = np.intersect1d(one.frame, two.frame, assume_unique=True, return_indices=True)
    changed = np.zeros(len(both), dtype=np.bool_)
    for name in one.column_names():
        a: AnyArray = getattr(one, name)[left]
        b: AnyArray = getattr(two, name)[right]
        differs = (a != b) & ~((a != a) & (b != b))
        changed |= differs.reshape(len(both), -1).any(axis=1)
    return len(two) - len(both), len(one) - len(both), int(changed.sum())


def _document(item: LabelObject | None) -> bytes:
    return b"" if item is None else canonical_json(object_to_json(item)).encode()


def _class_names(snapshot: Snapshot, changes: LabelChanges) -> tuple[str, ...]:
    """Classes of the base version, and further ones that people gave."""
    blocks: list[Boxes] = [changes.boxes3d, *changes.boxes2d.values()]
    given = {name for boxes in blocks for name in np.unique(boxes.class_labels()).tolist()}
    names = snapshot.base.version.class_names
    return (*names, *(name for name in snapshot.base.class_names if name in given and name not in names))
