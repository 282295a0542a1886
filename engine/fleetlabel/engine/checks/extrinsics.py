"""Extrinsic sanity: whether cameras and lidars are turned from where the calibration says they are.

See ``alignment`` for how it is measured, ``explained`` for how it is held apart from a clock that is off, and ``blame``
for whose it is. A place that is off by centimetres is not told: pictures hardly show it beyond some ten metres.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.checks.blame import Blamed, Measured, blame
from fleetlabel.engine.checks.contract import Check, Checked, Finding, Verdict, graded
from fleetlabel.engine.checks.explained import TURNED_RAD, explained, sigma_along, stands_out
from fleetlabel.engine.checks.overlay import draw_pairs
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.sensors import SensorKind

if TYPE_CHECKING:
    from fleetlabel.engine.checks.inspection import Inspection

_FAIL_RAD = np.radians(0.35)


class Extrinsics(Check):
    """Finds sensors that are turned."""

    name = "extrinsics"
    looks_at = "cameras and lidars that are turned from their calibration"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        blamed = _blamed(inspection)
        findings = []
        for camera in inspection.info.of_kind(SensorKind.CAMERA):
            axes = camera.ego_from_sensor[:3, :3]
            findings.append(self._judged(camera.name, blamed.of_camera.get(camera.name), axes))
        for lidar in inspection.info.of_kind(SensorKind.LIDAR):
            value = blamed.of_lidar.get(lidar.name)
            if value is not None:
                findings.append(self._judged(lidar.name, value, lidar.ego_from_sensor[:3, :3]))
            elif any(pair.lidar == lidar.name and pair.estimate for pair in inspection.pairs):
                findings.append(self.finding(lidar.name, Verdict.PASS, "as most cameras see it"))
            else:
                findings.append(self.finding(lidar.name, Verdict.UNKNOWN, "no camera can tell"))
        return Checked(tuple(findings), lambda figure: draw_pairs(figure, inspection))

    def _judged(self, sensor: str, measured: Measured | None, ego_from_sensor: F64) -> Finding:
        if measured is None:
            text = "cannot be told: too few edges that camera and lidar both see"
            return self.finding(sensor, Verdict.UNKNOWN, text)
        own_deg = np.degrees(ego_from_sensor.T @ measured.value)
        size = float(np.linalg.norm(measured.value))
        sigma = sigma_along(measured)
        values = {
            "turned_deg": np.degrees(size), "sigma_deg": np.degrees(sigma),
            "x_deg": float(own_deg[0]), "y_deg": float(own_deg[1]), "z_deg": float(own_deg[2]),
        }  # fmt: skip
        told = f"{np.degrees(size):.2f} +-{np.degrees(sigma):.2f} degrees"
        if size >= TURNED_RAD and not stands_out(measured, TURNED_RAD):
            text = f"cannot be told: {told} would fit, but hardly better than none"
            return self.finding(sensor, Verdict.UNKNOWN, text, values)
        if size < TURNED_RAD:
            return self.finding(sensor, Verdict.PASS, f"as calibrated, within {told}", values)
        text = (
            f"turned by {told} from its calibration (about its axes x {own_deg[0]:+.2f}, y {own_deg[1]:+.2f}, "
            f"z {own_deg[2]:+.2f})"
        )
        return self.finding(sensor, graded(size, TURNED_RAD, _FAIL_RAD), text, values, "extrinsic")


def lidar_rotations(inspection: Inspection) -> Mapping[str, F64]:
    """Lidar -> the vector (3,) in its own axes by which it is turned; only those that most cameras say so of."""
    axes = {sensor.name: sensor.ego_from_sensor[:3, :3] for sensor in inspection.info.sensors}
    return {lidar: axes[lidar].T @ one.value for lidar, one in _blamed(inspection).of_lidar.items()}


def _blamed(inspection: Inspection) -> Blamed:
    measured = {}
    for pair in inspection.pairs:
        rotation = explained(inspection, pair).rotation
        if rotation is not None:
            measured[pair.camera, pair.lidar] = rotation
    return blame(measured, TURNED_RAD)
