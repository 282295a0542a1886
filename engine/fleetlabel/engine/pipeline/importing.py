"""Boxes of another detector, written as the output of the stage that they stand in for."""

from __future__ import annotations

from typing import Any

from fleetlabel.engine.pipeline.provenance import Making
from fleetlabel.engine.pipeline.ranges import is_done
from fleetlabel.engine.pipeline.tasks import TaskResult
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceStore, input_hash
from fleetlabel.store.boxes import part_of


def deletions(store: SequenceStore) -> dict[str, Any]:
    """What a run of imported boxes is named by besides them: where data was deleted since, it is another run."""
    return {"input": input_hash(store)} if store.tombstones() else {}


def write_boxes(
    store: SequenceStore, path: str, boxes: Boxes2D | Boxes3D, start: int, stop: int
) -> TaskResult:
    """Commits those of ``boxes`` that are of the frames ``start:stop`` as a part of a table."""
    if is_done(store.table(path), start, stop):
        return TaskResult()
    making = Making.begin(store, path, start, stop, [])
    mine = boxes.take((boxes.frame >= start) & (boxes.frame < stop))
    making.commit(part_of(mine, start, stop, store.info.frame_timestamp_ns[start:stop]))
    return TaskResult(frames=stop - start, boxes=len(mine))
