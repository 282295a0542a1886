"""Boxes of another detector, written as the output of the stage that they stand in for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fleetlabel.engine.pipeline.driver import TaskResult
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import SourceError
from fleetlabel.store import SequenceStore
from fleetlabel.store.sequence import part_of


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their relative names.

    Raises:
        SourceError: there is nothing at ``path``.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if not path.is_dir():
        raise SourceError(f"{path} does not exist; check the path")
    digest = hashlib.sha256()
    for file_path in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file_path.relative_to(path).as_posix()} {file_hash(file_path)}\n".encode())
    return digest.hexdigest()


def write_boxes(root: Path, path: str, boxes: Boxes2D | Boxes3D, start: int, stop: int) -> TaskResult:
    """Commits those of ``boxes`` that are of the frames ``start:stop`` as a part of a table."""
    store = SequenceStore.open(root)
    mine = boxes.take((boxes.frame >= start) & (boxes.frame < stop))
    store.table(path).write(start, part_of(mine, start, stop, store.info.frame_timestamp_ns[start:stop]))
    return TaskResult(frames=stop - start, boxes=len(mine))
