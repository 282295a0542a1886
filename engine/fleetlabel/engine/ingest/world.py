"""A world frame near the drive: coordinates stay small enough for every consumer."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64

# Beyond this float32 (viewers, graphics cards) no longer resolves a millimetre.
_FAR_M = 10_000.0


def offset_of(world_from_ego: F64) -> F64:
    """What to subtract from a source's world coordinates (3,), metres; zeros for a source that is local
    already.

    Whole metres near the drive's start, so that subtracting and adding again is exact.

    Args:
        world_from_ego: (T, 7) ego poses in the source's own world.
    """
    if float(np.abs(world_from_ego[:, :3]).max()) <= _FAR_M:
        return np.zeros(3)
    whole: F64 = np.round(world_from_ego[0, :3])
    return whole
