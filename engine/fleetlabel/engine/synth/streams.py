"""Random numbers by place: each purpose and each block has a stream of its own, so that order does not matter."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers is for."""

    LIGHT = 0
    ROAD = 1
    SPEED = 2
    LANE = 3
    STOPS = 4
    PARKED = 5
    PEOPLE = 6
    JOINING = 7
    SCENERY = 8


def stream(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """Generator of one purpose at one place."""
    return np.random.default_rng([seed, int(purpose), *numbers])
