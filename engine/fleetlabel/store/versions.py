"""Label versions: whole ones, and those that hold just what people changed of another one.

A machine's version holds every box. A version of people's edits names the version that they began with and holds one
sample per object that they touched: its boxes, and what they said about it. So saving one costs what was changed, not
what there is; the base version never changes, so such a version is read for ever, without any edit done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import I64, AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.store.boxes import B
from fleetlabel.store.part import Part

OBJECTS, CUBOIDS, PICTURES = "objects", "objects3d", "objects2d"


@dataclass(frozen=True, slots=True)
class LabelVersion:
    """A finished set of labels.

    Attributes:
        name: of the version.
        class_names: what its boxes' ``class_id`` counts.
        cameras: cameras that have 2D boxes in it.
        has_boxes3d: whether it has cuboids.
        provenance: what made it: run, model, parameters.
        created_ns: when it was finished; no part of what it is.
        base: the version of which it changes some objects; None if it holds every box itself.
        changed_cameras: cameras in which it has boxes of its own, if it has a base.
    """

    name: str
    class_names: tuple[str, ...]
    cameras: tuple[str, ...]
    has_boxes3d: bool
    provenance: Mapping[str, Any]
    created_ns: int = field(default=0, compare=False)
    base: str | None = None
    changed_cameras: tuple[str, ...] = ()

    @property
    def table_paths(self) -> tuple[str, ...]:
        """Paths of its tables."""
        if self.base is not None:
            pictures = tuple(f"{PICTURES}/{camera}" for camera in self.changed_cameras)
            return tuple(f"labels/{self.name}/{path}" for path in (OBJECTS, CUBOIDS, *pictures))
        boxes2d = tuple(f"labels/{self.name}/boxes2d/{camera}" for camera in self.cameras)
        return (*boxes2d, f"labels/{self.name}/boxes3d") if self.has_boxes3d else boxes2d


@dataclass(frozen=True, slots=True, eq=False)
class LabelChanges:
    """Objects of a label version that people touched, as they are now.

    Attributes:
        object_id: (K,) ascending; they take the place of the base version's objects of these ids.
        documents: (K,) what people said about each, as text; empty for those that they deleted.
        boxes3d: cuboids of all of them, sorted by frame.
        boxes2d: by camera, likewise.
    """

    object_id: I64
    documents: tuple[bytes, ...]
    boxes3d: Boxes3D
    boxes2d: Mapping[str, Boxes2D]

    def parts(self, class_names: tuple[str, ...]) -> dict[str, Part]:
        """Tables by path below the version's group, one sample per object; classes counted by ``class_names``."""
        sizes = np.array([len(document) for document in self.documents], dtype=np.int64)
        text = np.frombuffer(b"".join(self.documents), dtype=np.uint8)
        pictures = {f"{PICTURES}/{camera}": boxes for camera, boxes in sorted(self.boxes2d.items())}
        return {
            OBJECTS: Part({"object_id": self.object_id}, sizes, {"json": text}),
            **{
                path: self._by_object(boxes.with_class_names(class_names))
                for path, boxes in ({CUBOIDS: self.boxes3d} | pictures).items()
            },
        }

    def _by_object(self, boxes: Boxes) -> Part:
        order = np.lexsort((boxes.frame, boxes.track_id))
        columns = {name: column[order] for name, column in boxes.columns().items()}
        ends = np.searchsorted(columns["track_id"], self.object_id, side="right")
        counts = ends - np.searchsorted(columns["track_id"], self.object_id)
        return Part({"object_id": self.object_id}, counts.astype(np.int64), columns)


def content_sha256(base: str, class_names: tuple[str, ...], parts: Mapping[str, Part]) -> str:
    """What names a version of people's edits: the same for the same base version and the same objects."""
    digest = hashlib.sha256(repr((base, class_names)).encode())
    for path in sorted(parts):
        digest.update(path.encode() + (parts[path].digests().tobytes() if len(parts[path]) else b""))
    return digest.hexdigest()


def documents_of(part: Part) -> dict[int, bytes]:
    """What people said, by object, of the table ``objects``."""
    text, offsets = part.flat["json"].tobytes(), part.offsets.tolist()
    ids = part.samples["object_id"].tolist()
    return {object_id: text[offsets[row] : offsets[row + 1]] for row, object_id in enumerate(ids)}


def exchanged(base: B, kind: type[B], class_names: tuple[str, ...], changed: Part, frames: range) -> B:
    """Boxes of the base version's frames, with those of changed objects in the place of what they were."""
    object_id: AnyArray = changed.samples["object_id"]
    kept = base.take(~np.isin(base.track_id, object_id)).with_class_names(class_names)
    columns = {name: changed.flat[name] for name in kind.column_names()}
    order = np.lexsort((columns["track_id"], columns["frame"]))
    inside = order[(columns["frame"][order] >= frames.start) & (columns["frame"][order] < frames.stop)]
    new = kind.from_columns(class_names, {name: column[inside] for name, column in columns.items()})
    return kind.concatenate([kept, new])
