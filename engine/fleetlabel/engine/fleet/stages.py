"""A sequence's way through a fleet: tasks that plan the others, so that planning is done by workers, too.

    open   source and store are opened, and ingest is planned
    plan   once everything is ingested: detection, lifting, tracking and labels are planned
    close  once there are labels: what the store holds now

Each can be done again at any time: it plans what the store still lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.pipeline.checking import plan_check
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector
from fleetlabel.engine.pipeline.ingesting import plan_ingest
from fleetlabel.engine.pipeline.planning import finish_ingest, open_store, plan_labels
from fleetlabel.engine.pipeline.tasks import Task, TaskResult, keys
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceInfo, SequenceStore, describe

OPEN, PLAN, CLOSE = "open", "plan", "close"
IN_ORDER = (
    OPEN, "ingest", PLAN, "check", "detect", "lift", "track2d", "track3d", "smooth2d", "smooth3d", "labels", CLOSE,
)  # fmt: skip

_JPEG_BYTES_PER_PX = 0.5
_PICTURES_AT_ONCE = 8
_SWEEP_BYTES = 6_000_000
_CHECK_BYTES = 400_000_000  # pictures of one camera, blurred in steps
_ROW_BYTES = 50_000  # of boxes in a frame, with what tracking makes of them


def opening(source: Path, config: RunConfig, settled: SettledDetector | None) -> Task:
    """The task that a sequence begins with.

    Args:
        config: with the store as ``out`` and the sequence's name.
        settled: the configured weights; None with another detector's boxes.
    """
    return Task(OPEN, "all", 0, 1, partial(_open, source, config, settled))


def _open(source: Path, config: RunConfig, settled: SettledDetector | None) -> TaskResult:
    store, drive = open_store(source, config)
    with store.writer_lock():  # complains if somebody drives this store alone
        store.clean()
    info = store.info
    tasks = _with_bytes(plan_ingest(store, source, info.name, config.frames_per_task()), info)
    plan = Task(PLAN, "all", 0, info.n_frames, partial(_plan, source, config, settled), keys(tasks))
    facts = {"frames": info.n_frames, "work": _whole_work(info), "warnings": list(drive.warnings)}
    return TaskResult(more=(*tasks, plan), facts=facts)


def _plan(source: Path, config: RunConfig, settled: SettledDetector | None) -> TaskResult:
    assert config.out is not None
    store = SequenceStore.open(config.out)
    warnings: list[str] = []
    set_aside = finish_ingest(store, open_sequence(source, config.sequence), warnings)
    labels, planned = plan_labels(store, config, warnings, settled)
    tasks = _with_bytes([*plan_check(store, config), *planned], store.info)
    close = Task(
        CLOSE, "all", 0, store.info.n_frames, partial(_close, config.out, labels, len(set_aside)), keys(tasks)
    )
    facts = {"warnings": warnings, "work_left": _work(tasks)}
    return TaskResult(more=(*tasks, close), facts=facts)


def _close(root: Path, labels: str, set_aside: int) -> TaskResult:
    store = SequenceStore.open(root)
    with store.writer_lock():
        store.clean()  # workers may have died since it was opened
    described = describe(store)
    facts = {
        "content_hash": described.content_hash,
        "quarantined": set_aside + sum(table.quarantined for table in described.tables),
        "labels": labels,
    }
    return TaskResult(facts=facts)


def _work(tasks: Iterable[Task]) -> int:
    """Frames times stages and sensors: what progress is measured by."""
    return sum(task.stop - task.start for task in tasks)


def _whole_work(info: SequenceInfo) -> int:
    """Work of a sequence of which nothing is done yet."""
    cameras = len(info.of_kind(SensorKind.CAMERA))
    return info.n_frames * (len(info.sensors) + 3 * cameras + 5)


def _with_bytes(tasks: Sequence[Task], info: SequenceInfo) -> list[Task]:
    """The tasks with about how much memory each holds at most."""
    return [replace(task, n_bytes=_n_bytes(task, info)) for task in tasks]


def _n_bytes(task: Task, info: SequenceInfo) -> int:
    frames = task.stop - task.start
    sensors = {sensor.name: sensor for sensor in info.sensors}
    if task.stage == "lift":
        return _SWEEP_BYTES * len(info.of_kind(SensorKind.LIDAR)) * 4 + frames * _ROW_BYTES
    if task.stage == "check":
        return _CHECK_BYTES
    if task.stage not in ("ingest", "detect"):
        return frames * _ROW_BYTES
    camera = sensors[task.sensor].camera
    if camera is None:
        return frames * _SWEEP_BYTES
    pixels = camera.width_px * camera.height_px
    if task.stage == "ingest":
        return int(frames * pixels * _JPEG_BYTES_PER_PX)
    return _PICTURES_AT_ONCE * pixels * 3 * 2 + frames * _ROW_BYTES
