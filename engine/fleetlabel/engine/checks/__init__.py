"""Intake checks: whether a drive is fit to be labelled, before anybody labels it."""

from __future__ import annotations

from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict
from fleetlabel.engine.checks.recording import Recording, StoredRecording
from fleetlabel.engine.checks.running import CHECKS, IntakeReport, run_checks
from fleetlabel.engine.checks.stored import check_store, report_of

__all__ = [
    "CHECKS",
    "Check",
    "Checked",
    "Finding",
    "IntakeReport",
    "Recording",
    "StoredRecording",
    "Verdict",
    "check_store",
    "report_of",
    "run_checks",
]
