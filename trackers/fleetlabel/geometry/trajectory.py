"""The ego vehicle's path through the world, at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64, I64


class OutOfRangeError(ValueError):
    """A pose was asked for at a time that the trajectory does not reach."""


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Ego poses over time; between samples translation is linear and rotation is slerp.

    Attributes:
        timestamp_ns: (T,) int64, strictly increasing.
        world_from_ego: (T, 7) float64: x y z in metres, q_wxyz.
        max_extrapolation_ns: how far beyond either end the motion of the nearest segment is continued. Sensors
            out of phase with the poses stick out by up to one sweep; further than that a pose would be a guess.
    """

    timestamp_ns: I64
    world_from_ego: F64
    max_extrapolation_ns: int = 250_000_000

    def __post_init__(self) -> None:
        shape = (len(self.timestamp_ns), 7)
        if self.world_from_ego.shape != shape or not len(self.timestamp_ns):
            raise ValueError(
                f"ego poses have shape {self.world_from_ego.shape}, expected {shape}, at least one"
            )
        if self.timestamp_ns.dtype != np.int64:
            raise ValueError(
                f"ego poses have {self.timestamp_ns.dtype} timestamps, expected int64 nanoseconds"
            )
        usable = np.isfinite(self.world_from_ego).all(axis=1) & (
            np.linalg.norm(self.world_from_ego[:, 3:], axis=1) > 1e-6
        )
        if not bool(usable.all()):
            row = int(np.argmin(usable))
            raise ValueError(
                f"ego pose {row} ({self.timestamp_ns[row]} ns) is {self.world_from_ego[row].tolist()}; expected "
                "finite x y z and a quaternion w x y z that is not zero; drop or repair it"
            )
        late = self.timestamp_ns[1:] <= self.timestamp_ns[:-1]
        if bool(late.any()):
            row = int(late.argmax()) + 1
            raise ValueError(
                f"ego pose {row} has timestamp {self.timestamp_ns[row]} ns, not later than pose {row - 1} "
                f"({self.timestamp_ns[row - 1]} ns); sort the poses and drop duplicates"
            )

    def poses_at(self, timestamp_ns: I64) -> F64:
        """Poses (N, 7) of the ego vehicle in the world at times (N,).

        Raises:
            OutOfRangeError: a time lies further than ``max_extrapolation_ns`` outside the trajectory.
        """
        times = np.atleast_1d(np.asarray(timestamp_ns, dtype=np.int64))
        first, last = int(self.timestamp_ns[0]), int(self.timestamp_ns[-1])
        reach = self.max_extrapolation_ns
        outside = (times < first - reach) | (times > last + reach)
        if bool(outside.any()):
            raise OutOfRangeError(
                f"no ego pose at {times[int(outside.argmax())]} ns: the trajectory covers {first}..{last} ns and is "
                f"continued by at most {reach / 1e9:g} s beyond its ends; check the clocks or add poses"
            )
        if len(self.timestamp_ns) == 1:
            t_m, q_wxyz = self.world_from_ego[:, :3], quaternion.normalize(self.world_from_ego[:, 3:])
            return np.repeat(np.concatenate([t_m, q_wxyz], axis=-1), len(times), axis=0)
        left = np.clip(
            np.searchsorted(self.timestamp_ns, times, side="right") - 1, 0, len(self.timestamp_ns) - 2
        )
        span = (self.timestamp_ns[left + 1] - self.timestamp_ns[left]).astype(np.float64)
        alpha = (times - self.timestamp_ns[left]) / span
        before, after = self.world_from_ego[left], self.world_from_ego[left + 1]
        translation = before[:, :3] + alpha[:, None] * (after[:, :3] - before[:, :3])
        rotation = quaternion.slerp(
            quaternion.normalize(before[:, 3:]), quaternion.normalize(after[:, 3:]), alpha
        )
        return np.concatenate([translation, rotation], axis=-1)

    def at(self, timestamp_ns: I64) -> F64:
        """``world_from_ego`` matrices (N, 4, 4) at times (N,); see :meth:`poses_at`."""
        return se3.from_pose(self.poses_at(timestamp_ns))
