"""Clock offset between cameras and lidars, estimated from what they see while the vehicle moves.

See ``alignment`` for how it is measured, ``explained`` for how it is held apart from a turned camera, and ``blame`` for
whose it is. A vehicle that drives straight on at one speed cannot tell a late picture from a camera that is mounted
further ahead: what is told is the time, and the metres that it stands for at the speed driven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleetlabel.engine.checks.blame import Measured, blame
from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict, graded
from fleetlabel.engine.checks.explained import LATE_S, explained, sigma_along, stands_out
from fleetlabel.engine.checks.overlay import draw_pairs
from fleetlabel.model.sensors import SensorKind

if TYPE_CHECKING:
    from fleetlabel.engine.checks.inspection import Inspection

_FAIL_S = 0.035
_STANDS_MPS = 0.5


class ClockOffsets(Check):
    """Finds cameras and lidars whose clocks are off."""

    name = "clocks"
    looks_at = "clock offset between cameras and lidars"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        measured = {}
        for pair in inspection.pairs:
            late = explained(inspection, pair).late
            if late is not None:
                measured[pair.camera, pair.lidar] = late
        blamed = blame(measured, LATE_S)
        findings = []
        for camera in inspection.info.of_kind(SensorKind.CAMERA):
            one = blamed.of_camera.get(camera.name)
            findings.append(self._judged(inspection, camera.name, one, "pictures are taken"))
        for lidar in inspection.info.of_kind(SensorKind.LIDAR):
            value = blamed.of_lidar.get(lidar.name)
            if value is not None:
                findings.append(self._judged(inspection, lidar.name, value, "sweeps are taken"))
            elif any(other == lidar.name for _, other in measured):
                findings.append(self.finding(lidar.name, Verdict.PASS, "as most cameras see it"))
            else:
                findings.append(self.finding(lidar.name, Verdict.UNKNOWN, "no camera can tell"))
        return Checked(tuple(findings), lambda figure: draw_pairs(figure, inspection))

    def _judged(self, inspection: Inspection, sensor: str, late: Measured | None, what: str) -> Finding:
        speed = max(
            (pair.speed_mps for pair in inspection.pairs if sensor in (pair.camera, pair.lidar)), default=0.0
        )
        if late is None:
            why = (
                "the vehicle hardly moves" if 0.0 < speed < _STANDS_MPS
                else "too few near edges that camera and lidar both see while it moves"
            )  # fmt: skip
            return self.finding(sensor, Verdict.UNKNOWN, f"cannot be told: {why}", {"speed_mps": speed})
        size, sigma = float(late.value[0]), sigma_along(late)
        values = {"offset_ms": 1e3 * size, "sigma_ms": 1e3 * sigma, "speed_mps": speed}
        told = f"{1e3 * abs(size):.0f} +-{1e3 * sigma:.0f} ms"
        if abs(size) >= LATE_S and not stands_out(late, LATE_S):
            text = f"cannot be told: {told} would fit, but hardly better than none"
            return self.finding(sensor, Verdict.UNKNOWN, text, values)
        if abs(size) < LATE_S:
            return self.finding(sensor, Verdict.PASS, f"in time, within {told}", values)
        when = "later" if size > 0 else "earlier"
        text = (
            f"{what} {told} {when} than their timestamps say, {speed * abs(size):.2f} m at the speed driven"
        )
        return self.finding(sensor, graded(abs(size), LATE_S, _FAIL_S), text, values, "clock-offset")
