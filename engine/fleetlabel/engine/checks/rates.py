"""Frame drops and jitter: whether each sensor's samples come as regularly as its own clock says they should.

A sensor's period is the median step between its samples, so that sensors at rates of their own are each measured by
themselves; the frame timeline, which may be finer, plays no part. A step of about n periods lacks n - 1 samples; what
is left of the steps after that is jitter. Samples that lack at either end of the drive are counted against the drive's
own first and last frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict, graded, worst
from fleetlabel.geometry.arrays import F64
from fleetlabel.store import SampleStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection

_LEAST_SAMPLES = 5
_WARN_SHARE, _FAIL_SHARE = 0.005, 0.03
_FEW = 2  # so many may be gone from any drive without a fail
_WARN_JITTER, _FAIL_JITTER = 0.1, 0.3  # of a period


@dataclass(frozen=True, slots=True, eq=False)
class Rate:
    """How a sensor's samples come.

    Attributes:
        period_s: median step.
        time_s: (N,) of its samples, from the drive's first frame.
        step_s: (N - 1,) between them.
        lost: samples that lack.
        longest_gap_s: without any.
        jitter_s: 95th percentile of how far a step is from a whole number of periods.
        unusable: samples that are there and cannot be used.
    """

    period_s: float
    time_s: F64
    step_s: F64
    lost: int
    longest_gap_s: float
    jitter_s: float
    unusable: int

    @property
    def lost_share(self) -> float:
        """Of the samples that there should be."""
        return self.lost / (self.lost + len(self.time_s))


class FrameRates(Check):
    """Finds samples that lack, and irregular ones."""

    name = "rates"
    looks_at = "frame drops and jitter of every sensor"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        rates: dict[str, Rate] = {}
        findings = []
        for sensor in inspection.info.sensors:
            rate = _rate(inspection, sensor.name)
            if rate is None:
                findings.append(self._too_few(inspection, sensor.name))
            else:
                rates[sensor.name] = rate
                findings.append(self._judged(sensor.name, rate))
        return Checked(tuple(findings), lambda figure: _draw(figure, rates))

    def _too_few(self, inspection: Inspection, sensor: str) -> Finding:
        there = int(np.sum(inspection.recording.status(sensor) != SampleStatus.MISSING))
        if there or inspection.info.n_frames < _LEAST_SAMPLES:
            return self.finding(sensor, Verdict.UNKNOWN, f"{there} samples are too few to tell a rate")
        text = f"no data in any of the {inspection.info.n_frames} frames"
        return self.finding(sensor, Verdict.FAIL, text, {"lost_percent": 100.0}, "dropped")

    def _judged(self, sensor: str, rate: Rate) -> Finding:
        share = rate.lost_share
        drops = graded(share, _WARN_SHARE, _FAIL_SHARE)
        if rate.lost <= _FEW:
            drops = Verdict.WARN if rate.lost else Verdict.PASS
        jitter = graded(rate.jitter_s / rate.period_s, _WARN_JITTER, _FAIL_JITTER)
        broken = Verdict.WARN if rate.unusable else Verdict.PASS
        verdict = worst([drops, jitter, broken])
        told = f"{1 / rate.period_s:.2f} Hz, jitter {1e3 * rate.jitter_s:.1f} ms"
        expected = rate.lost + len(rate.time_s)
        if rate.lost:
            told += (
                f"; {rate.lost} of {expected} samples are missing ({100 * share:.1f} %), the longest gap is "
                f"{rate.longest_gap_s:.2f} s"
            )
        if rate.unusable:
            told += f"; {rate.unusable} samples cannot be used"
        faults = (("dropped", drops), ("jitter", jitter), ("unusable", broken))
        fault = next((name for name, graded_ in faults if graded_ is verdict is not Verdict.PASS), "")
        values = {
            "rate_hz": 1 / rate.period_s, "lost": rate.lost, "lost_percent": 100 * share,
            "longest_gap_s": rate.longest_gap_s, "jitter_ms": 1e3 * rate.jitter_s, "unusable": rate.unusable,
        }  # fmt: skip
        return self.finding(sensor, verdict, told, values, fault)


def _rate(inspection: Inspection, sensor: str) -> Rate | None:
    status = inspection.recording.status(sensor)
    there = status != SampleStatus.MISSING
    frames_ns = inspection.info.frame_timestamp_ns
    time_s = (inspection.recording.timestamp_ns(sensor)[there] - frames_ns[0]) / 1e9
    if len(time_s) < _LEAST_SAMPLES:
        return None
    step = np.diff(time_s)
    period = float(np.median(step))
    if period <= 0:
        return None
    periods = np.maximum(np.rint(step / period), 1.0)
    inner = int(np.sum(periods - 1))
    # At either end: a sample may be a part of a period in without anything lacking.
    phase = float(np.median(time_s - (frames_ns[there] - frames_ns[0]) / 1e9))
    length = (frames_ns[-1] - frames_ns[0]) / 1e9
    gaps = (time_s[0] - phase, length + phase - time_s[-1])
    ends = [max(int(np.floor(gap / period + 0.25)), 0) for gap in gaps]
    jitter = float(np.percentile(np.abs(step - periods * period), 95))
    return Rate(
        period, time_s, step, inner + sum(ends), float(step.max()), jitter,
        int(np.sum(status == SampleStatus.QUARANTINED)),
    )  # fmt: skip


def _draw(figure: Figure, rates: Mapping[str, Rate]) -> None:
    axes = figure.subplots(max(len(rates), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, rate) in zip(axes, rates.items(), strict=False):
        late = rate.step_s > 1.5 * rate.period_s
        axis.plot(rate.time_s[1:], 1e3 * rate.step_s, ".", markersize=3, color="tab:blue")
        axis.plot(rate.time_s[1:][late], 1e3 * rate.step_s[late], "x", color="tab:red")
        axis.axhline(1e3 * rate.period_s, color="0.6", linewidth=0.8)
        axis.set_ylim(0, 1e3 * max(2.5 * rate.period_s, 1.1 * float(rate.step_s.max())))
        axis.set_ylabel("ms", fontsize=7)
        axis.set_title(f"{name}: {rate.lost} lost", fontsize=8, loc="left", pad=2)
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("seconds into the drive; step from the sample before")
