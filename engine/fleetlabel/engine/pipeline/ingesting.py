"""Stage ``ingest``: a source's pictures and sweeps into the store, as they came."""

from __future__ import annotations

import time
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
    store = SequenceStore.open(root)
    table = store.sensor_table(sensor)
    if is_done(table, start, stop):
        return TaskResult()
    started_s = time.perf_counter()
    part, quarantined = open_sequence(source, sequence).read_sensor(sensor, start, stop)
    # No hash of the input: the data is kept as it came, so the record's own is that.
    provenance = {
        "stage": STAGE,
        "algorithm_version": ALGORITHM_VERSION,
        "parameters": {"sequence": sequence, "sensor": sensor},
        "source": dict(store.info.source),
    }
    table.write(start, part, provenance=provenance, quarantined=quarantined, started_s=started_s)
    return TaskResult(frames=stop - start, quarantined=tuple(quarantined))
