"""All checks of a drive, one report of what they found, and its pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.checks.clocks import ClockOffsets
from fleetlabel.engine.checks.contract import EGO, Check, Checked, Finding, Verdict, worst
from fleetlabel.engine.checks.drift import PoseDrift
from fleetlabel.engine.checks.exposure import PictureHealth
from fleetlabel.engine.checks.extrinsics import Extrinsics
from fleetlabel.engine.checks.inspection import Inspection
from fleetlabel.engine.checks.poses import PoseJumps
from fleetlabel.engine.checks.rates import FrameRates
from fleetlabel.engine.checks.recording import Recording
from fleetlabel.engine.checks.sectors import LidarSectors
from fleetlabel.engine.checks.trends import CalibrationTrend
from fleetlabel.geometry.trajectory import OutOfRangeError
from fleetlabel.model.errors import FleetLabelError, UsageError

ALGORITHM_VERSION = 1
CHECKS: tuple[Check, ...] = (
    FrameRates(),
    PictureHealth(),
    LidarSectors(),
    PoseJumps(),
    ClockOffsets(),
    Extrinsics(),
    CalibrationTrend(),
    PoseDrift(),
)


@dataclass(frozen=True, slots=True)
class IntakeReport:
    """What all checks say of a drive.

    Attributes:
        sequence: its name.
        findings: of every check and sensor, good ones included.
    """

    sequence: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        return worst([finding.verdict for finding in self.findings])

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What is not as it should be, fails first."""
        bad = [one for one in self.findings if one.verdict in (Verdict.FAIL, Verdict.WARN)]
        return tuple(sorted(bad, key=lambda one: one.verdict is not Verdict.FAIL))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the same for the same data."""
        return {
            "sequence": self.sequence,
            "algorithm_version": ALGORITHM_VERSION,
            "verdict": self.verdict.value,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> IntakeReport:
        """The inverse of :meth:`to_dict`."""
        return cls(values["sequence"], tuple(Finding.from_dict(one) for one in values["findings"]))


def run_checks(
    recording: Recording, on_check: Callable[[str], None] | None = None, pictures: Path | None = None
) -> IntakeReport:
    """Looks at a drive.

    Args:
        on_check: is told the name of each check that is done.
        pictures: a folder for one PNG per check, and the report.
    """
    inspection = Inspection(recording)
    findings: list[Finding] = []
    for check in CHECKS:
        checked = _looked(check, inspection)
        findings += checked.findings
        if pictures is not None:
            _draw(check, checked, pictures)
        if on_check is not None:
            on_check(check.name)
    report = IntakeReport(recording.info.name, tuple(findings))
    if pictures is not None:
        (pictures / "report.json").write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    return report


def _looked(check: Check, inspection: Inspection) -> Checked:
    """What a check finds; a drive that it cannot cope with is not told to be good, and ingest goes on."""
    try:
        return check.run(inspection)
    except (FleetLabelError, OutOfRangeError, np.linalg.LinAlgError) as error:
        text = f"{check.looks_at} cannot be told: {error}"
        return Checked((check.finding(EGO, Verdict.UNKNOWN, text),))


def _draw(check: Check, checked: Checked, folder: Path) -> None:
    if checked.draw is None:
        return
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            f"pictures of checks need matplotlib, which is not installed ({error}); `pip install 'fleetlabel[plots]'`"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(14, 8), layout="constrained")
    FigureCanvasAgg(figure)
    checked.draw(figure)
    figure.savefig(folder / f"{check.name}.png", dpi=90)
