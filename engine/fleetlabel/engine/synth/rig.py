"""What the synthetic vehicle carries: cameras around it and lidars on its roof, each with its own calibration.

The first six cameras stand as on nuScenes' vehicles; the next two look sideways, the last four are narrow and wide
ones. A camera is triggered when the lidar, which turns clockwise and looks ahead at the frame's time, passes its axis,
give or take a few milliseconds of its own clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind

# Name, heading in degrees (left is positive), place on the vehicle in metres, and horizontal field in degrees.
_CAMERAS: tuple[tuple[str, float, tuple[float, float, float], float], ...] = (
    ("front", 0.0, (1.70, 0.00, 1.52), 70.0),
    ("back", 180.0, (0.03, 0.00, 1.56), 90.0),
    ("front_left", 55.0, (1.52, 0.50, 1.51), 70.0),
    ("front_right", -55.0, (1.55, -0.50, 1.51), 70.0),
    ("back_left", 110.0, (1.04, 0.48, 1.57), 70.0),
    ("back_right", -110.0, (1.01, -0.48, 1.56), 70.0),
    ("left", 85.0, (1.30, 0.52, 1.55), 90.0),
    ("right", -85.0, (1.30, -0.52, 1.55), 90.0),
    ("front_narrow", 0.0, (1.72, 0.12, 1.50), 30.0),
    ("back_narrow", 180.0, (0.02, 0.12, 1.58), 30.0),
    ("front_wide", 0.0, (1.74, -0.12, 1.48), 110.0),
    ("back_wide", 180.0, (0.00, -0.12, 1.54), 110.0),
)
# Name, place, and the heading that it passes half a turn before and after the frame's time.
_LIDARS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("lidar", (0.95, 0.00, 1.90)),
    ("lidar_left", (1.20, 0.85, 1.45)),
    ("lidar_right", (1.20, -0.85, 1.45)),
    ("lidar_back", (-0.40, 0.00, 1.75)),
)
MAX_CAMERAS, MAX_LIDARS = len(_CAMERAS), len(_LIDARS)
# Camera axes (x right, y down, z forward) of a camera that looks along the ego's x axis.
_FORWARD: F64 = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


@dataclass(frozen=True, slots=True, eq=False)
class Mounted:
    """A sensor and its clock.

    Attributes:
        sensor: as the vehicle's calibration says.
        phase_ns: when it measures, from the frame's time.
    """

    sensor: Sensor
    phase_ns: int


def cameras(seed: int, count: int, size_px: tuple[int, int], turn_ns: int) -> tuple[Mounted, ...]:
    """The first ``count`` cameras, each a little different from all others.

    Args:
        seed: of the differences.
        size_px: width and height of their pictures.
        turn_ns: what a turn of the lidar takes.
    """
    mounted = []
    for number, (name, heading_deg, place_m, field_deg) in enumerate(_CAMERAS[:count]):
        random = np.random.default_rng([seed, 101, number])
        tilt_rad = np.radians(random.normal(0.0, 0.4, 3))
        turn = quaternion.to_matrix(quaternion.from_yaw(np.radians(heading_deg)))
        rotation = turn @ rotation_of(tilt_rad) @ _FORWARD
        place = np.array(place_m) + random.normal(0.0, 0.01, 3)
        phase = -heading_deg / 360.0 * turn_ns
        # Within the turn even with its own clock's error.
        phase = float(np.clip(phase, -0.44 * turn_ns, 0.44 * turn_ns)) + random.uniform(-4e6, 4e6)
        sensor = Sensor(
            name, SensorKind.CAMERA, se3.transform(rotation, place), _camera(random, size_px, field_deg)
        )
        mounted.append(Mounted(sensor, round(phase)))
    return tuple(mounted)


def lidars(seed: int, count: int, turn_ns: int) -> tuple[Mounted, ...]:
    """The first ``count`` lidars; those after the first turn out of phase with it."""
    mounted = []
    for number, (name, place_m) in enumerate(_LIDARS[:count]):
        random = np.random.default_rng([seed, 102, number])
        rotation = rotation_of(np.radians(random.normal(0.0, 0.3, 3)))
        sensor = Sensor(
            name, SensorKind.LIDAR, se3.transform(rotation, np.array(place_m)), motion_compensated=False
        )
        mounted.append(Mounted(sensor, round(random.uniform(-0.2, 0.2) * turn_ns) if number else 0))
    return tuple(mounted)


def beam_elevations(n_beams: int) -> F64:
    """Elevations (B,) in radians, upwards: -25 to 15 degrees, closer together around the horizon."""
    even = np.linspace(-1.0, 1.0, n_beams)
    curved = 0.45 * even + 0.55 * even**3
    return np.radians(np.where(curved < 0, 25.0 * curved, 15.0 * curved) - 1.0)


def rotation_of(vector_rad: F64) -> F64:
    """The rotation (3, 3) about a vector (3,) by its length."""
    angle = float(np.linalg.norm(vector_rad))
    if angle < 1e-12:
        return np.eye(3)
    half = 0.5 * angle
    return quaternion.to_matrix(np.concatenate([[np.cos(half)], np.sin(half) * vector_rad / angle]))


def _camera(random: np.random.Generator, size_px: tuple[int, int], field_deg: float) -> PinholeCamera:
    """A camera with the given horizontal field, its lens' distortion included."""
    width, height = size_px
    k1, k2 = random.uniform(-0.13, -0.08), random.uniform(0.008, 0.016)
    p1, p2 = random.uniform(-5e-4, 5e-4, 2)
    edge = np.tan(np.radians(field_deg / 2))
    focal = 0.5 * width / (edge * (1 + k1 * edge**2 + k2 * edge**4)) * random.uniform(0.995, 1.005)
    return PinholeCamera(
        width_px=width,
        height_px=height,
        fx_px=float(focal),
        fy_px=float(focal * random.uniform(0.998, 1.002)),
        cx_px=float(width * (0.5 + random.uniform(-0.008, 0.008))),
        cy_px=float(height * (0.5 + random.uniform(-0.008, 0.008))),
        k1=float(k1),
        k2=float(k2),
        p1=float(p1),
        p2=float(p2),
    )
