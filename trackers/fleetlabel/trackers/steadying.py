"""Ego poses without their jitter: GPS and IMU shake by centimetres from frame to frame, cars do not.

Boxes are seen from the car. Carried into the world by shaking poses, a parked object's box shakes with them, and its
course is harder to predict than it is. Courses are therefore solved in a world carried by steadied poses, and moved
back: each frame's boxes keep their place relative to the car, so nothing is lost where the poses were right.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64

# Weight of third differences, which smooth driving does not have, against the distance to the poses: of metres, and of
# quaternions, since cars do pitch over bumps.
STIFFNESS_M, STIFFNESS_Q = 6.0, 1.0


def steady_from_world(world_from_ego: F64) -> F64:
    """(F, 4, 4) to the steadied world from the world at each frame, from the poses (F, 4, 4) of all frames in order.

    Whittaker-Henderson smoothing of positions and quaternions, order 3.
    """
    poses = np.asarray(world_from_ego, dtype=np.float64)
    if len(poses) < 4:
        return np.tile(np.eye(4), (len(poses), 1, 1))
    q_wxyz = quaternion.from_matrix(poses[:, :3, :3])
    flips = np.cumprod(np.where((q_wxyz[1:] * q_wxyz[:-1]).sum(axis=1) < 0.0, -1.0, 1.0))
    q_wxyz[1:] *= flips[:, None]
    start = poses[0, :3, 3]
    position = _whittaker(poses[:, :3, 3] - start, STIFFNESS_M)
    turn = quaternion.normalize(_whittaker(q_wxyz, STIFFNESS_Q))
    steady = np.tile(np.eye(4), (len(poses), 1, 1))
    steady[:, :3, :3] = quaternion.to_matrix(turn)
    steady[:, :3, 3] = position + start
    out: F64 = steady @ se3.invert(poses)
    return out


def _whittaker(values: F64, stiffness: float) -> F64:
    """Columns (F, C) smoothed: (I + s D'D) x = values with third differences D."""
    n = len(values)
    stencil = np.array([-1.0, 3.0, -3.0, 1.0])
    bands = np.zeros((4, n))
    bands[3] = 1.0
    for lag in range(4):
        for i in range(4 - lag):
            bands[3 - lag, i + lag : n - 3 + i + lag] += stiffness * stencil[i] * stencil[i + lag]
    return np.asarray(solveh_banded(bands, values), dtype=np.float64)
