"""Label files onto an existing store: a label version of their own, which says where it came from."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleetlabel.engine.exchange.certificate import match
from fleetlabel.engine.exchange.contract import LabelFormat, Reading
from fleetlabel.engine.exchange.labels import Drive
from fleetlabel.engine.exchange.rows import refuse_classes
from fleetlabel.engine.exchange.writing import REPORT
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.model.errors import SourceError
from fleetlabel.store import LabelVersion, SequenceStore

_CHUNK_BYTES = 1 << 20
_SAME_PLACE_M = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Imported:
    """Labels as files say them.

    Attributes:
        class_names: what every ``class_id`` counts, as the files call them.
        pictures: camera -> boxes.
        cuboids: None if the files have none.
        skipped: what could not be taken over, in words.
    """

    class_names: tuple[str, ...]
    pictures: dict[str, Boxes2D]
    cuboids: Boxes3D | None
    skipped: tuple[str, ...]


def read_labels(format: LabelFormat, path: Path, drive: Drive, camera: str | None = None) -> Imported:
    """All labels in a file or folder, as columns.

    Args:
        camera: whose pictures the boxes are in, where files do not say.

    Raises:
        SourceError: a file is missing, malformed, or of another drive, or there is no box in any.
        UsageError: it is not known which camera boxes are of.
    """
    reading = Reading(drive, camera)
    parts: dict[str | None, list[Boxes]] = defaultdict(list)
    views: dict[str, list[Boxes3D]] = defaultdict(list)
    for block in format.read(path, reading):
        if block.view is not None and isinstance(block.boxes, Boxes3D):
            views[block.view].append(block.boxes)
        else:
            parts[block.camera].append(block.boxes)
    if views:
        parts[None] += _once(list(views.values()))
    if not any(len(boxes) for boxes_of in parts.values() for boxes in boxes_of):
        raise SourceError(f"{path} has no boxes for {drive.info.name}; it should hold {format.looks_for}")
    names = tuple(
        dict.fromkeys(name for blocks in parts.values() for boxes in blocks for name in boxes.class_names)
    )
    refuse_classes(path, len(names))
    joined = {
        camera: type(blocks[0]).concatenate([boxes.with_class_names(names) for boxes in blocks])
        for camera, blocks in parts.items()
    }
    cuboids = joined.pop(None, None)
    skipped = tuple(f"{count} {what}" for what, count in sorted(reading.skipped.items()))
    return Imported(names, joined, cuboids, skipped)  # type: ignore[arg-type]


def import_labels(
    store: SequenceStore,
    format: LabelFormat,
    path: Path,
    *,
    camera: str | None = None,
    name: str | None = None,
) -> tuple[LabelVersion, Imported]:
    """Writes the labels of a file or folder as a label version, named after what the files hold by default.

    Importing the same files again does nothing.

    Raises:
        StoreExistsError: a version of this name exists that something else made.
        SourceError, UsageError: see :func:`read_labels`.
    """
    sha256 = _sha256(path)
    found = read_labels(format, path, Drive.of(store), camera)
    version = store.write_labels(
        name or f"{format.name}-{sha256[:12]}",
        found.pictures,
        found.cuboids,
        class_names=found.class_names,
        provenance={"made_by": "import", "format": format.name, "file": path.name, "sha256": sha256},
    )
    return version, found


def _once(views: list[list[Boxes3D]]) -> list[Boxes3D]:
    """Cuboids that several cameras' files have, as the first of them has them.

    Without identity, cuboids are the same if they are in the same place.
    """
    once = views[0]
    for view in views[1:]:
        names = tuple(dict.fromkeys(name for boxes in [*once, *view] for name in boxes.class_names))
        known, mine = (
            Boxes3D.concatenate([b.with_class_names(names) for b in blocks]) for blocks in (once, view)
        )
        partner = match(mine, known, by_identity=True)
        apart_m = np.linalg.norm(mine.center_m - known.center_m[partner], axis=1)
        same = (partner >= 0) & ((mine.track_id >= 0) | (apart_m < _SAME_PLACE_M))
        once = [known, mine.take(~same)]
    return once


def _sha256(path: Path) -> str:
    files: Sequence[Path] = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    files = [file for file in files if file.name != REPORT]  # tells of the labels, is none of them
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() if path.is_dir() else b"")
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
