"""Pose jumps: steps of the vehicle's path that no vehicle makes.

Each step between two poses is compared with what its neighbours on both sides foretell, times the time it takes. What
remains is the jump, a vector, whatever the speed: braking and turning change steps little from one to the next.
Thresholds grow with what the poses usually leave, so that a receiver's noise is no jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleetlabel.engine.checks.contract import EGO, Check, Checked, Finding, Verdict
from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.geometry.trajectory import Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fleetlabel.engine.checks.inspection import Inspection

_LEAST_POSES = 6
_WARN_M, _FAIL_M = 0.15, 0.3
_WARN_RAD, _FAIL_RAD = np.radians(1.0), np.radians(2.0)
_TIMES_USUAL = 10.0
_HARDEST_MPS2, _HARDEST_RADPS2 = 10.0, 3.0  # no vehicle brakes, or turns in, harder
_LONGEST_STEP_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Jumps:
    """What steps leave unexplained.

    Attributes:
        time_ns: (S,) when each step ends.
        left_m: (S,) by how much a step's length and direction are off.
        left_rad: (S,) likewise of its rotation.
        jumped: (S,) whether it is a jump.
    """

    time_ns: I64
    left_m: F64
    left_rad: F64
    jumped: Bool


class PoseJumps(Check):
    """Finds jumps of the vehicle's poses."""

    name = "poses"
    looks_at = "jumps of the vehicle's poses"

    def run(self, inspection: Inspection) -> Checked:
        """See the base class."""
        trajectory = inspection.info.trajectory
        if len(trajectory.timestamp_ns) < _LEAST_POSES:
            text = f"{len(trajectory.timestamp_ns)} poses are too few"
            return Checked((self.finding(EGO, Verdict.UNKNOWN, text),))
        jumps = find_jumps(trajectory)
        return Checked((self._judged(inspection, jumps),), lambda figure: _draw(figure, inspection, jumps))

    def _judged(self, inspection: Inspection, jumps: Jumps) -> Finding:
        values = {"usual_m": float(np.median(jumps.left_m)), "jumps": float(jumps.jumped.sum())}
        if not jumps.jumped.any():
            text = f"no jump: steps are as foretold within {jumps.left_m.max():.3f} m"
            return self.finding(EGO, Verdict.PASS, text, values | {"largest_m": float(jumps.left_m.max())})
        score = np.where(jumps.jumped, np.maximum(jumps.left_m / _FAIL_M, jumps.left_rad / _FAIL_RAD), -1.0)
        worst = int(np.argmax(score))
        at_s = inspection.time_s(int(jumps.time_ns[worst]))
        size_m, size_rad = float(jumps.left_m[worst]), float(jumps.left_rad[worst])
        verdict = Verdict.FAIL if score[worst] >= 1.0 else Verdict.WARN
        text = f"jumps by {size_m:.2f} m and {np.degrees(size_rad):.2f} degrees at {at_s:.2f} s"
        if jumps.jumped.sum() > 1:
            text += f", the largest of {int(jumps.jumped.sum())} jumps"
        found = {"jump_m": size_m, "jump_deg": float(np.degrees(size_rad)), "at_s": at_s}
        return self.finding(EGO, verdict, text, values | found, "pose-jump")


def find_jumps(trajectory: Trajectory) -> Jumps:
    """Every step of a trajectory of at least six poses, and whether it is a jump."""
    step_s = np.diff(trajectory.timestamp_ns) / 1e9
    position = trajectory.world_from_ego[:, :3]
    q = quaternion.normalize(trajectory.world_from_ego[:, 3:])
    turned = quaternion.multiply(quaternion.conjugate(q[:-1]), q[1:])
    turned *= np.where(turned[:, :1] < 0, -1.0, 1.0)
    turn = 2.0 * turned[:, 1:]  # small angles
    left_m = _unexplained(np.diff(position, axis=0), step_s)
    left_rad = _unexplained(turn, step_s)
    jumped = (step_s < _LONGEST_STEP_S) & (
        _too_far(left_m, _WARN_M, _HARDEST_MPS2 * step_s**2)
        | _too_far(left_rad, _WARN_RAD, _HARDEST_RADPS2 * step_s**2)
    )
    return Jumps(trajectory.timestamp_ns[1:], left_m, left_rad, jumped)


def _unexplained(step: F64, step_s: F64) -> F64:
    """Length (S,) of what is left of steps (S, 3) without the median rate of their neighbours, two on each side."""
    rate = step / step_s[:, None]
    rows, last = np.arange(len(step)), len(step) - 1
    # Mirrored at the ends; a neighbour that jumps itself is outvoted.
    neighbours = [rate[last - np.abs(last - np.abs(rows + off))] for off in (-2, -1, 1, 2)]
    left: F64 = np.linalg.norm(step - np.median(neighbours, axis=0) * step_s[:, None], axis=1)
    return left


def _too_far(left: F64, warn: float, hardest: F64) -> Bool:
    """Whether (S,) that is more than a threshold, what is usual here, and what a vehicle could do."""
    usual = _TIMES_USUAL * float(np.median(left))
    far: Bool = left > np.maximum(np.maximum(warn, usual), hardest)
    return far


def _draw(figure: Figure, inspection: Inspection, jumps: Jumps) -> None:
    path, left = figure.subplots(1, 2)
    position = inspection.info.trajectory.world_from_ego[:, :2]
    path.plot(position[:, 0], position[:, 1], color="tab:blue")
    where = position[1:][jumps.jumped]
    path.plot(where[:, 0], where[:, 1], "x", color="tab:red", markersize=10)
    path.set_aspect("equal", adjustable="datalim")
    path.set_title("path, m", fontsize=8, loc="left")
    seconds = (jumps.time_ns - inspection.info.frame_timestamp_ns[0]) / 1e9
    left.plot(seconds, jumps.left_m, color="tab:blue")
    left.axhline(_WARN_M, color="tab:orange", linewidth=0.8)
    left.axhline(_FAIL_M, color="tab:red", linewidth=0.8)
    left.set_title("what steps leave unexplained, m", fontsize=8, loc="left")
    left.set_xlabel("seconds into the drive")
