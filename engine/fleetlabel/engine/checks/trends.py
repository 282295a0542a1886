"""Calibration residual trend: whether a camera turns, or its clock runs away, in the course of the drive.

The estimates of ``alignment`` from consecutive stretches of the drive get a straight line each, weighted by how sure
they are; what is told is the change from the beginning of the drive to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.checks.alignment import TIME
from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict, graded
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.sensors import SensorKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection, Pair

_LEAST_WINDOWS = 3
_CERTAIN = 5.0
_WARN_DEG, _FAIL_DEG = 0.4, 0.8
_WARN_MS, _FAIL_MS = 40.0, 80.0
_BLIND_DEG, _BLIND_MS = 0.2, 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """Straight lines through estimates.

    Attributes:
        change: (4,) from the drive's begin to its end, degrees and milliseconds; NaN where it cannot be told.
        sigma: (4,) how sure that is.
    """

    change: F64
    sigma: F64


class CalibrationTrend(Check):
    """Finds calibrations that change in the course of a drive."""

    name = "trend"
    looks_at = "cameras that turn, and clocks that run away, in the course of the drive"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        lidars = inspection.info.of_kind(SensorKind.LIDAR)
        pairs = [pair for pair in inspection.pairs if lidars and pair.lidar == lidars[0].name]
        length_s = inspection.time_s(int(inspection.info.frame_timestamp_ns[-1]))
        findings = tuple(self._judged(pair.camera, _trend(pair, length_s)) for pair in pairs)
        return Checked(findings, lambda figure: _draw(figure, pairs))

    def _judged(self, camera: str, trend: Trend | None) -> Finding:
        if trend is None:
            return self.finding(
                camera, Verdict.UNKNOWN, "cannot be told: too few edges in some stretch of the drive"
            )
        turn, turn_sigma = _length(trend.change[:TIME], trend.sigma[:TIME])
        late, late_sigma = float(trend.change[TIME]), float(trend.sigma[TIME])
        values = {"turn_deg": turn, "turn_sigma_deg": turn_sigma}
        text = f"turns by {turn:.2f} +-{turn_sigma:.2f} degrees from begin to end"
        verdict, fault = Verdict.PASS, ""
        if turn_sigma > _BLIND_DEG:
            verdict = Verdict.UNKNOWN
        elif turn > _CERTAIN * turn_sigma:
            verdict = graded(turn, _WARN_DEG, _FAIL_DEG)
            fault = "turning" if verdict is not Verdict.PASS else ""
        if not np.isnan(late):
            values |= {"clock_ms": late, "clock_sigma_ms": late_sigma}
            text += f"; its clock changes by {late:+.0f} +-{late_sigma:.0f} ms"
            if late_sigma <= _BLIND_MS and abs(late) > _CERTAIN * late_sigma and abs(late) >= _WARN_MS:
                verdict, fault = graded(abs(late), _WARN_MS, _FAIL_MS), "clock-drift"
        return self.finding(camera, verdict, text, values, fault)


def _trend(pair: Pair, length_s: float) -> Trend | None:
    if len(pair.windows) < _LEAST_WINDOWS:
        return None
    units = np.append(np.full(3, np.degrees(1.0)), 1e3)
    time = np.array([when for when, _ in pair.windows]) / max(length_s, 1e-9)
    value = np.stack([one.unknowns for _, one in pair.windows]) * units
    sigma = np.stack([np.sqrt(np.diag(one.covariance)) for _, one in pair.windows]) * units
    change, spread = np.full(4, np.nan), np.full(4, np.nan)
    for one in range(4):
        known = np.isfinite(value[:, one]) & np.isfinite(sigma[:, one])
        if known.sum() < _LEAST_WINDOWS:
            continue
        weight = 1.0 / np.maximum(sigma[known, one], 1e-6) ** 2
        centred = time[known] - np.average(time[known], weights=weight)
        power = float(np.sum(weight * centred**2))
        change[one] = float(np.sum(weight * centred * value[known, one])) / power
        # What the windows scatter by around their line, where that is more than they claim.
        rest = value[known, one] - np.average(value[known, one], weights=weight) - change[one] * centred
        claimed = float(np.sum(weight * rest**2)) / max(int(known.sum()) - 2, 1)
        spread[one] = np.sqrt(max(claimed, 1.0) / power)
    return Trend(change, spread)


def _length(change: F64, sigma: F64) -> tuple[float, float]:
    size = float(np.linalg.norm(change))
    return size, float(np.linalg.norm(change * sigma) / size) if size > 0 else float(np.linalg.norm(sigma))


def _draw(figure: Figure, pairs: list[Pair]) -> None:
    turn, late = figure.subplots(1, 2)
    for pair in pairs:
        if not pair.windows:
            continue
        time = [when for when, _ in pair.windows]
        sigma = np.sqrt([np.diag(one.covariance) for _, one in pair.windows])
        size = np.degrees([np.linalg.norm(one.rotation_rad) for _, one in pair.windows])
        bars = np.degrees(np.linalg.norm(sigma[:, :TIME], axis=1))
        turn.errorbar(time, size, bars, fmt="o-", capsize=2, label=pair.camera)
        milliseconds = 1e3 * np.array([one.late_s for _, one in pair.windows])
        late.errorbar(time, milliseconds, 1e3 * sigma[:, TIME], fmt="o-", capsize=2)
    turn.set_title("turned from the calibration, degrees", fontsize=8, loc="left")
    late.set_title("pictures later than they say, ms", fontsize=8, loc="left")
    for axis in (turn, late):
        axis.set_xlabel("seconds into the drive")
    turn.set_ylim(0, 2 * _FAIL_DEG)
    late.set_ylim(-1.5 * _FAIL_MS, 1.5 * _FAIL_MS)
    if any(pair.windows for pair in pairs):
        turn.legend(fontsize=6)
