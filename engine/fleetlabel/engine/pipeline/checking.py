"""Stage ``check``: whether a drive that was ingested is fit to be labelled; see :mod:`fleetlabel.engine.checks`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.tasks import Task, TaskResult
from fleetlabel.store import SequenceStore

STAGE = "check"


def plan_check(store: SequenceStore, config: RunConfig) -> list[Task]:
    """One task, unless nobody wants it or it is done; everything is ingested when it begins."""
    if not config.checks or store.intake() is not None:
        return []
    return [Task(STAGE, "all", 0, store.info.n_frames, partial(_check, store.root))]


def what_checks_say(store: SequenceStore) -> list[str]:
    """What is not as it should be, in words; nothing where nobody looked."""
    from fleetlabel.engine.checks import report_of

    report = report_of(store)
    return [] if report is None else [f"check {one.verdict}: {one}" for one in report.faults]


def _check(root: Path) -> TaskResult:
    from fleetlabel.engine.checks import check_store

    store = SequenceStore.open(root)
    if store.intake() is None:
        check_store(store)
    return TaskResult(frames=store.info.n_frames)
