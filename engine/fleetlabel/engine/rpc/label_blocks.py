"""Labels in blocks of a few thousand boxes, with where each comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fleetlabel.geometry.arrays import I16
from fleetlabel.labels import Snapshot
from fleetlabel.labels.base import BaseLabels
from fleetlabel.labels.solving import needs_solving
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.wire.boxes import Block, Provenance

ROWS = 4_000  # of a block, as frames allow
_FIRST_FRAMES, _MOST_FRAMES = 64, 4_096
_LONG_FRAMES = 512  # more than somebody reads who goes back and forth in one place
_ROWS_AT_ONCE = 65_536  # read from the store


def blocks(snapshot: Snapshot, camera: str, frames: range) -> Iterator[list[Block[Any]]]:
    """Blocks of a range of frames, as many at a time as are read together; each step blocks.

    Args:
        camera: whose 2D boxes; "" for cuboids.
    """
    start, step, once = frames.start, _FIRST_FRAMES, len(frames) > _LONG_FRAMES
    while True:
        stop = min(start + step, frames.stop)
        boxes = (
            snapshot.boxes2d(camera, start, stop, once=once)
            if camera
            else snapshot.boxes3d(start, stop, once=once)
        )
        yield _cut(snapshot, camera, boxes, start, stop)
        if stop >= frames.stop:
            return
        per_frame = max(len(boxes) / (stop - start), _ROWS_AT_ONCE / _MOST_FRAMES)
        start, step = stop, max(1, int(_ROWS_AT_ONCE / per_frame))


def provenances(snapshot: Snapshot, camera: str) -> tuple[Provenance, Provenance, Provenance]:
    """Where boxes come from that nobody touched, of objects that people touched, and of those solved anew."""
    base = snapshot.base
    stage, run_id, model = _run_of(base, camera)
    version = Provenance(base.name, stage, run_id, model)
    edited = Provenance("", stage, run_id, model)
    return version, edited, Provenance("", stage, run_id, model, snapshot.solver.version)


def provenance_of(snapshot: Snapshot, object_id: int, camera: str) -> Provenance:
    """Where an object's boxes come from."""
    item = snapshot.state.objects.get(object_id)
    place = 0 if item is None else 2 if needs_solving(item, camera) else 1
    return provenances(snapshot, camera)[place]


def _run_of(base: BaseLabels, camera: str) -> tuple[str, str, str]:
    made = base.version.provenance
    stage = "detect" if camera else "lift"
    run_id = made.get("runs", {}).get(stage)
    if run_id is None:
        return "", "", ""
    return stage, run_id, str(made.get("detector", {}).get("model_sha256") or "")


def _cut(snapshot: Snapshot, camera: str, boxes: Any, start: int, stop: int) -> list[Block[Any]]:
    """Boxes in blocks of about ``ROWS``, whole frames each."""
    known = provenances(snapshot, camera)
    origin = _origin(snapshot, camera, boxes)
    ends = np.searchsorted(boxes.frame, np.arange(start, stop + 1))
    found = []
    first = start
    while True:
        low = int(ends[first - start])
        last = max(first + 1, start + int(np.searchsorted(ends, low + ROWS, side="right")) - 1)
        last = min(last, stop)
        rows = slice(low, int(ends[last - start]))
        part = boxes if rows == slice(0, len(boxes)) else boxes.take(rows)
        found.append(Block(part, first, last, camera, known, origin[rows]))
        if last >= stop:
            return found
        first = last


def _origin(snapshot: Snapshot, camera: str, boxes: Boxes2D | Boxes3D) -> I16:
    """(N,) which of the three provenances each box has."""
    touched = list(snapshot.state)
    origin = np.zeros(len(boxes), dtype=np.int16)
    if touched:
        ids = np.array([item.object_id for item in touched], dtype=np.int64)
        solved = np.array([item.object_id for item in touched if needs_solving(item, camera)], dtype=np.int64)
        origin += np.isin(boxes.track_id, ids)
        origin += np.isin(boxes.track_id, solved)
    return origin
