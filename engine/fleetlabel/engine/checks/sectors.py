"""Lidar sector loss: directions that a lidar sees at other times, or should see, and does not.

Returns are counted in sectors of 5 degrees. What a lidar covers is learnt from the drive itself, so that one that looks
ahead only is as right as one that turns: its covered arc is the circle without the largest empty gap, if that is wide.
A hole inside of the arc that is never filled is blocked; a sector that has returns in most sweeps and none in some is
lost there. Both are told in degrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict, graded
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.model.sensors import SensorKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection

_SECTORS = 72
_DEGREES = 360 / _SECTORS
_LEAST_SWEEPS = 5
_LEAST_RETURNS = 10  # in a usual sector: fewer say nothing of an empty one
_EMPTY_SHARE = 0.02  # of the median over sectors: fewer returns are none
_OUTSIDE_DEG = 90.0  # a gap this wide is where the lidar does not look
_WARN_DEG, _FAIL_DEG = 10.0, 20.0
_LOST_SWEEPS = 0.05  # share of the sweeps in which sectors must be lost


class LidarSectors(Check):
    """Finds directions in which a lidar sees nothing."""

    name = "sectors"
    looks_at = "directions in which a lidar sees nothing, always or at times"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        counts = {
            lidar.name: _counted(inspection, lidar.name)
            for lidar in inspection.info.of_kind(SensorKind.LIDAR)
        }
        findings = tuple(self._judged(name, rows) for name, (_, rows) in counts.items())
        return Checked(findings, lambda figure: _draw(figure, counts))

    def _judged(self, lidar: str, counts: F64) -> Finding:
        if len(counts) < _LEAST_SWEEPS:
            return self.finding(
                lidar, Verdict.UNKNOWN, f"{len(counts)} sweeps are too few to learn what it covers"
            )
        if not counts.any() or float(np.median(counts[counts > 0])) < _LEAST_RETURNS:
            return self.finding(lidar, Verdict.UNKNOWN, "sweeps have too few points to learn what it covers")
        empty = _empty(counts)
        usual = ~(np.mean(empty, axis=0) > 0.5)
        outside = _outside(~usual)
        blocked = ~usual & ~outside
        lost = empty & usual
        blocked_deg = float(blocked.sum() * _DEGREES)
        lost_deg = lost.sum(axis=1) * _DEGREES
        often = float(np.mean(lost_deg >= _WARN_DEG))
        typical = float(np.median(lost_deg[lost_deg >= _WARN_DEG])) if often else 0.0
        values = {
            "covered_deg": float(usual.sum() * _DEGREES),
            "blocked_deg": blocked_deg,
            "lost_deg": typical,
            "lost_sweeps_percent": 100 * often,
        }
        if blocked_deg >= _WARN_DEG:
            middle = _middle_deg(blocked)
            text = (
                f"sees nothing in {blocked_deg:.0f} degrees around {middle:+.0f} degrees (left of its x axis)"
            )
            verdict = graded(blocked_deg, _WARN_DEG, _FAIL_DEG)
            return self.finding(lidar, verdict, text, values | {"middle_deg": middle}, "sector-blocked")
        if often >= _LOST_SWEEPS:
            text = f"{typical:.0f} degrees are empty in {100 * often:.0f} % of the sweeps"
            return self.finding(lidar, graded(typical, _WARN_DEG, _FAIL_DEG), text, values, "sector-lost")
        return self.finding(lidar, Verdict.PASS, f"covers {values['covered_deg']:.0f} degrees", values)


def _counted(inspection: Inspection, lidar: str) -> tuple[I64, F64]:
    """Frames (N,), and returns (N, sectors) in each direction around the lidar."""
    frames, rows = [], []
    for frame in inspection.spread(inspection.frames_there(lidar)).tolist():
        sweep = inspection.sweep(lidar, frame)
        if sweep is None:
            continue
        azimuth = np.degrees(np.arctan2(sweep.points[:, 1], sweep.points[:, 0]))
        sector = np.floor((azimuth + 180.0) / _DEGREES).astype(np.int64) % _SECTORS
        frames.append(frame)
        rows.append(np.bincount(sector, minlength=_SECTORS).astype(np.float64))
    return np.array(frames, dtype=np.int64), np.array(rows).reshape(-1, _SECTORS)


def _empty(counts: F64) -> Bool:
    """(N, sectors) whether there is as good as nothing."""
    empty: Bool = counts <= _EMPTY_SHARE * np.median(counts[counts > 0])
    return empty


def _outside(empty: Bool) -> Bool:
    """Where the lidar does not look at all: the widest run of empty sectors, if it is wide."""
    outside = np.zeros(_SECTORS, dtype=np.bool_)
    if empty.all():
        return outside
    start = int(np.argmin(empty))  # a sector that is not empty
    turned = np.roll(empty, -start)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], turned, [False]]).astype(np.int8)))
    runs = edges.reshape(-1, 2)
    if len(runs):
        first, stop = runs[np.argmax(runs[:, 1] - runs[:, 0])]
        if (stop - first) * _DEGREES >= _OUTSIDE_DEG:
            outside[(np.arange(first, stop) + start) % _SECTORS] = True
    return outside


def _middle_deg(sectors: Bool) -> float:
    """The mean direction of some sectors."""
    angle = np.radians(-180.0 + (np.flatnonzero(sectors) + 0.5) * _DEGREES)
    return float(np.degrees(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean())))


def _draw(figure: Figure, counts: dict[str, tuple[I64, F64]]) -> None:
    axes = figure.subplots(max(len(counts), 1), 1, squeeze=False)[:, 0]
    for axis, (name, (frames, rows)) in zip(axes, counts.items(), strict=False):
        if len(rows):
            seen = np.log10(1.0 + rows.T)
            extent = (float(frames[0]), float(frames[-1]) + 1.0, -180.0, 180.0)
            axis.imshow(seen, aspect="auto", origin="lower", extent=extent, cmap="viridis")
        axis.set_title(f"{name}: returns by direction, logarithmic; dark is nothing", fontsize=8, loc="left")
        axis.set_ylabel("degrees, left is +")
    axes[-1].set_xlabel("frame")
