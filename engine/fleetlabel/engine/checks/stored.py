"""Checks of a store, and what they said, kept with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fleetlabel.engine.checks.recording import StoredRecording
from fleetlabel.engine.checks.running import ALGORITHM_VERSION, IntakeReport, run_checks
from fleetlabel.store import SequenceStore


def check_store(
    store: SequenceStore, on_check: Callable[[str], None] | None = None, pictures: Path | None = None
) -> IntakeReport:
    """Looks at the drive that a store holds, and keeps the report with it; see :func:`run_checks`.

    Raises:
        StoreNotFoundError: it is not ingested completely.
    """
    report = run_checks(StoredRecording(store), on_check, pictures)
    store.write_intake(report.to_dict())
    return report


def report_of(store: SequenceStore) -> IntakeReport | None:
    """What checks last said of the drive that a store holds; None if nobody, or another version, has looked."""
    kept = store.intake()
    if kept is None or kept.get("algorithm_version") != ALGORITHM_VERSION:
        return None
    return IntakeReport.from_dict(kept)
