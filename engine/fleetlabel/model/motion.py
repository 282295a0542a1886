"""Cuboids at other times than their own: along their tracks."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.model.boxes import Boxes3D

# Beyond this nobody knows how an object moved; below, errors of place would look like speed.
LONGEST_STEP_NS, _SHORTEST_STEP_NS = 1_000_000_000, 10_000_000


def moved_to(boxes: Boxes3D, timestamp_ns: I64) -> tuple[F64, F64]:
    """Centres (N, 3) and rotations (N, 4) of cuboids at other times (N,), in the world.

    Each moves on the line to its track's next cuboid in that direction of time, or, at a track's end, on
    from the one before. A cuboid without a neighbour within a second moves by its velocity, and stays
    where that is unknown.
    """
    center, q_wxyz = boxes.center_m.copy(), boxes.q_wxyz.copy()
    shift_ns = (timestamp_ns - boxes.timestamp_ns).astype(np.float64)
    neighbour = _neighbour(boxes, shift_ns > 0)
    moving = (shift_ns != 0) & (neighbour >= 0)
    row, other = np.flatnonzero(moving), neighbour[moving]
    alpha = shift_ns[row] / (boxes.timestamp_ns[other] - boxes.timestamp_ns[row])
    center[row] += alpha[:, None] * (boxes.center_m[other] - boxes.center_m[row])
    # Between two cuboids that face opposite ways somebody was mistaken: no turn.
    same_way = np.abs(np.sum(boxes.q_wxyz[row] * boxes.q_wxyz[other], axis=1)) > np.cos(np.pi / 4)
    turned = quaternion.slerp(boxes.q_wxyz[row], boxes.q_wxyz[other], alpha)
    q_wxyz[row[same_way]] = turned[same_way]
    alone = (shift_ns != 0) & (neighbour < 0) & np.isfinite(boxes.velocity_mps).all(axis=1)
    center[alone] += boxes.velocity_mps[alone] * (shift_ns[alone, None] / 1e9)
    return center, q_wxyz


def _neighbour(boxes: Boxes3D, forward: Bool) -> I64:
    """Row (N,) of the track's next cuboid where ``forward``, else of the one before; of the other at an
    end; or -1.
    """
    n = len(boxes)
    order = np.lexsort((boxes.timestamp_ns, boxes.track_id))
    track, time = boxes.track_id[order], boxes.timestamp_ns[order]
    step_ns = np.diff(time)
    joined = (np.diff(track) == 0) & (track[1:] >= 0)
    joined &= (step_ns >= _SHORTEST_STEP_NS) & (step_ns <= LONGEST_STEP_NS)
    later, earlier = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    later[order[:-1][joined]] = order[1:][joined]
    earlier[order[1:][joined]] = order[:-1][joined]
    wanted, other = np.where(forward, later, earlier), np.where(forward, earlier, later)
    return np.where(wanted >= 0, wanted, other)
