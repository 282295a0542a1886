"""Drift: whether the vehicle moves as its poses say, measured by laying sweeps onto each other.

Two sweeps some metres apart are put into the world by the poses; what stands still must coincide. The small motion that
makes it do so (point to plane, Chen & Medioni, 1992, with the farthest residuals left out, because traffic moves) is
the drift over that way. Its mean over many pairs, per metre driven, is told where it stands out of their scatter, and a
pair that a pose jump lies in is left out. A lidar that is turned about its vertical axis drives sideways in the same
manner: where the cameras say that it is (``extrinsics``), that is taken out first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from fleetlabel.engine.checks.contract import EGO, Check, Checked, Finding, Verdict, graded
from fleetlabel.engine.checks.extrinsics import lidar_rotations
from fleetlabel.engine.checks.poses import find_jumps
from fleetlabel.engine.checks.rotations import rotation_of
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection

_PAIRS, _LEAST_PAIRS = 12, 4
_WAY_M = 6.0  # between the sweeps of a pair
_LONGEST_S = 3.0
_CELL_M, _MOST_POINTS = 0.4, 6000
_NEAREST_M, _FARTHEST_M = 3.0, 45.0
_ROUNDS = ((1.0, 3), (0.4, 3), (0.2, 3))  # how far points may be apart, and how often that is tried
_PLANE_POINTS = 8
_FLAT = 0.05  # thickness of a plane by its width
_LEAST_MATCHES = 300
_WARN_SHARE, _FAIL_SHARE = 0.005, 0.008
_CERTAIN = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Slips:
    """What pairs of sweeps need to coincide.

    Attributes:
        time_ns: (N,) of the later sweep.
        way_m: (N,) driven in between.
        moved_m: (N, 2) by which the later pose is off, in the earlier sweep's ego axes: forward, left.
    """

    time_ns: I64
    way_m: F64
    moved_m: F64


class PoseDrift(Check):
    """Finds poses that drift."""

    name = "drift"
    looks_at = "drift of the vehicle's poses against the lidar"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        lidars = inspection.info.of_kind(SensorKind.LIDAR)
        if not lidars:
            return Checked((self.finding(EGO, Verdict.UNKNOWN, "there is no lidar to measure it with"),))
        slips = _measured(inspection, lidars[0])
        finding = self._judged(slips)
        return Checked((finding,), lambda figure: _draw(figure, inspection, slips))

    def _judged(self, slips: Slips) -> Finding:
        n = len(slips.way_m)
        if n < _LEAST_PAIRS:
            text = f"cannot be told: only {n} pairs of sweeps are {_WAY_M:.0f} m apart and look alike"
            return self.finding(EGO, Verdict.UNKNOWN, text, {"pairs": n})
        rate = slips.moved_m / slips.way_m[:, None]
        mean = np.median(rate, axis=0)
        spread = 1.4826 * np.median(np.abs(rate - mean), axis=0) * 1.2533 / np.sqrt(n)  # of a median
        size = float(np.linalg.norm(mean))
        sigma = float(np.sqrt(np.sum((mean * spread) ** 2)) / size) if size > 0 else 0.0
        values = {
            "drift_percent": 100 * size, "forward_percent": 100 * float(mean[0]),
            "left_percent": 100 * float(mean[1]), "sigma_percent": 100 * sigma, "pairs": n,
        }  # fmt: skip
        told = f"{100 * size:.2f} % of the way driven, +-{100 * sigma:.2f}"
        if size < _WARN_SHARE or size < _CERTAIN * sigma:
            return self.finding(EGO, Verdict.PASS, told, values)
        side = "left" if mean[1] > 0 else "right"
        way = "ahead of" if mean[0] > 0 else "behind"
        which = side if abs(mean[1]) >= abs(mean[0]) else way
        text = f"poses drift to the {which}" if which == side else f"poses run {way} the vehicle"
        text += f" by {told}; or the lidar is turned about its vertical axis"
        return self.finding(EGO, graded(size, _WARN_SHARE, _FAIL_SHARE), text, values, "pose-drift")


def _measured(inspection: Inspection, lidar: Sensor) -> Slips:
    """What pairs of a lidar's sweeps need to coincide."""
    trajectory = inspection.info.trajectory
    turned = lidar_rotations(inspection).get(lidar.name)
    extrinsics = lidar.ego_from_sensor.copy()
    if turned is not None:
        extrinsics[:3, :3] @= rotation_of(turned)
    sensor = Sensor(lidar.name, lidar.kind, extrinsics, None, lidar.motion_compensated)
    rows: list[tuple[int, float, F64]] = []
    for first, second in _pairs(inspection, lidar.name):
        sweeps = [inspection.sweep(lidar.name, frame) for frame in (first, second)]
        if sweeps[0] is None or sweeps[1] is None:
            continue
        poses = trajectory.at(np.array([sweeps[0].timestamp_ns, sweeps[1].timestamp_ns]))
        clouds = [_cloud(sweep, sensor, inspection, poses[0]) for sweep in sweeps if sweep is not None]
        motion = _fit(clouds[0], clouds[1])
        if motion is None:
            continue
        place = se3.apply(se3.invert(poses[0]) @ poses[1], np.zeros((1, 3)))
        # The sweep has to be moved by this: where it stands is as far off, the other way.
        moved = place - se3.apply(motion, place)
        rows.append((sweeps[1].timestamp_ns, float(np.linalg.norm(place)), moved[0, :2]))
    return Slips(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]).reshape(-1, 2),
    )


def _pairs(inspection: Inspection, lidar: str) -> list[tuple[int, int]]:
    """Frames of sweeps that lie a few metres apart, without a pose jump in between, evenly over the drive."""
    frames = inspection.frames_there(lidar)
    times = inspection.recording.timestamp_ns(lidar)
    frames = frames[inspection.reachable(times[frames])] if len(frames) else frames
    if len(frames) < 2:
        return []
    trajectory = inspection.info.trajectory
    steps = np.linalg.norm(np.diff(trajectory.poses_at(times[frames])[:, :3], axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    jumped_ns = np.empty(0, np.int64)
    if len(trajectory.timestamp_ns) >= 6:
        jumps = find_jumps(trajectory)
        jumped_ns = jumps.time_ns[jumps.jumped]
    far_m = min(_WAY_M, 0.6 * float(way[-1]))
    later = np.searchsorted(way, way + far_m)
    pairs = []
    for row in np.flatnonzero(later < len(way)).tolist():
        first, second = int(frames[row]), int(frames[later[row]])
        if times[second] - times[first] > _LONGEST_S * 1e9 or far_m < 0.4 * _WAY_M:
            continue
        # A sweep is stretched over a turn: a jump within it spoils it as well.
        if not np.any((jumped_ns > times[first] - 1.5e8) & (jumped_ns < times[second] + 1.5e8)):
            pairs.append((first, second))
    if not pairs:
        return []
    return [
        pairs[row] for row in np.unique(np.linspace(0, len(pairs) - 1, _PAIRS).round().astype(int)).tolist()
    ]


def _cloud(sweep: Sweep, sensor: Sensor, inspection: Inspection, world_from_here: F64) -> F64:
    """Some of a sweep's points (P, 3), one per small cell, in the ego axes of a pose."""
    points = se3.apply(se3.invert(world_from_here), sweep.points_world(sensor, inspection.info.trajectory))
    away = np.linalg.norm(sweep.points[:, :3], axis=1)
    points = points[(away > _NEAREST_M) & (away < _FARTHEST_M)]
    _, first = np.unique(np.floor(points / _CELL_M).astype(np.int64), axis=0, return_index=True)
    points = points[np.sort(first)]
    cloud: F64 = points[:: max(len(points) // _MOST_POINTS, 1)]
    return cloud


def _fit(still: F64, moving: F64) -> F64 | None:
    """The small motion (4, 4) that lays one cloud onto the planes of another; None: too little in common."""
    if min(len(still), len(moving)) < _LEAST_MATCHES:
        return None
    tree = cKDTree(still)
    normal, flat = _planes(still, tree)
    motion = np.eye(4)
    for reach_m, rounds in _ROUNDS:
        for _ in range(rounds):
            moved = se3.apply(motion, moving)
            distance, row = tree.query(moved, distance_upper_bound=2.0 * reach_m)
            near, row = np.isfinite(distance), np.asarray(row)
            near[near] = flat[row[near]]
            here, n = moved[near], normal[row[near]]
            residual = np.einsum("ni,ni->n", still[row[near]] - here, n)
            good = np.abs(residual) < reach_m
            if good.sum() < _LEAST_MATCHES:
                return None
            design = np.concatenate([np.cross(here, n), n], axis=1)[good]
            step = np.linalg.lstsq(design, residual[good], rcond=1e-6)[0]
            motion = se3.transform(rotation_of(step[:3]), step[3:]) @ motion
    return motion


def _planes(points: F64, tree: cKDTree) -> tuple[F64, Bool]:
    """Normals (P, 3), and whether there is a plane at all."""
    _, rows = tree.query(points, k=_PLANE_POINTS)
    around = points[rows] - points[rows].mean(axis=1, keepdims=True)
    value, vector = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))
    return vector[:, :, 0], value[:, 0] < _FLAT * value[:, 1]


def _draw(figure: Figure, inspection: Inspection, slips: Slips) -> None:
    axis = figure.subplots()
    seconds = (slips.time_ns - inspection.info.frame_timestamp_ns[0]) / 1e9
    for column, name in enumerate(("forward", "left")):
        axis.plot(seconds, 100 * slips.moved_m[:, column] / np.maximum(slips.way_m, 1e-9), "o-", label=name)
    for limit, colour in ((_WARN_SHARE, "tab:orange"), (_FAIL_SHARE, "tab:red")):
        axis.axhline(100 * limit, color=colour, linewidth=0.8)
        axis.axhline(-100 * limit, color=colour, linewidth=0.8)
    axis.set_xlabel("seconds into the drive")
    axis.set_ylabel("drift, % of the way driven")
    axis.legend(fontsize=7)
