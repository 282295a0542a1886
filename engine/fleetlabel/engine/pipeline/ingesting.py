"""Stage ``ingest``: a source's pictures and sweeps into the store, as they came."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.pipeline.ranges import chunks, is_done
from fleetlabel.engine.pipeline.tasks import Task, TaskResult
from fleetlabel.store import SequenceStore

STAGE = "ingest"
ALGORITHM_VERSION = 1


def plan_ingest(store: SequenceStore, source: Path, sequence: str, chunk_frames: int) -> list[Task]:
    """One task per sensor and range of frames that is not committed yet."""
    return [
        Task(
            STAGE,
            sensor.name,
            start,
            stop,
            partial(_ingest, store.root, source, sequence, sensor.name, start, stop),
        )
        for sensor in store.info.sensors
        for start, stop in chunks(store.sensor_table(sensor.name), chunk_frames)
    ]


def _ingest(root: Path, source: Path, sequence: str, sensor: str, start: int, stop: int) -> TaskResult:
    table = SequenceStore.open(root).sensor_table(sensor)
    if is_done(table, start, stop):
        return TaskResult()
    part, quarantined = open_sequence(source, sequence).read_sensor(sensor, start, stop)
    table.write(start, part, provenance={"algorithm_version": ALGORITHM_VERSION}, quarantined=quarantined)
    return TaskResult(frames=stop - start, quarantined=tuple(quarantined))
