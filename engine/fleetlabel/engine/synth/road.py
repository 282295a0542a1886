"""The road: a centre line of continuous curvature in blocks of equal length, its cross-section, and its junctions.

Road coordinates are (s, d): metres along the centre line, metres to its left. Traffic keeps to the right, so that the
ego vehicle drives at negative d. The road's heading stays within half a right angle or so of the world's x axis: it
winds, but never comes back to where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.streams import Purpose, stream
from fleetlabel.geometry.arrays import F64, I64, Bool

BLOCK_M = 80.0
LANE_M = 3.5
CYCLE_LANE_M = 1.5
PARKING_M = 2.5
PAVEMENT_M = 4.6
SIDE_STREET_HALF_M = 3.5
SIDE_STREET_M = 85.0  # from the centre line
MAX_HEADING_RAD = 0.85
MAX_TURN_RAD = 0.95  # in a block: no radius is below BLOCK_M / (2 * MAX_TURN_RAD) = 42 m
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True, slots=True)
class CrossSection:
    """Lanes of a road, the same all along it.

    Attributes:
        forward_lanes, backward_lanes: lanes in and against the ego vehicle's direction.
    """

    forward_lanes: int
    backward_lanes: int

    def edge_m(self, side: int) -> float:
        """Distance from the centre line to the outer edge of the lanes on the right (-1) or left (+1)."""
        return LANE_M * (self.forward_lanes if side < 0 else self.backward_lanes)

    def kerb_m(self, side: int) -> float:
        """Distance from the centre line to the kerb."""
        return self.edge_m(side) + CYCLE_LANE_M + PARKING_M

    def wall_m(self, side: int) -> float:
        """Distance from the centre line to the outer edge of the pavement."""
        return self.kerb_m(side) + PAVEMENT_M


@dataclass(frozen=True, slots=True, eq=False)
class RoadFrames:
    """Places along the centre line.

    Attributes:
        xy_m: (..., 2) world.
        heading_rad: (...) of the centre line, world.
        curvature_per_m: (...) positive to the left.
    """

    xy_m: F64
    heading_rad: F64
    curvature_per_m: F64


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """Centre line and layout of a road of B blocks.

    Within a block curvature is a raised cosine, zero at both ends, so that blocks join with continuous curvature.

    Attributes:
        cross_section: lanes.
        start_xy_m: (B + 1, 2) places of the blocks' borders.
        start_heading_rad: (B + 1,) headings there.
        turn_rad: (B,) how far each block turns.
        junction: (B,) whether side streets leave at the middle of the block, which is straight.
        side_streets: (B, 2) whether there is one on the right, on the left.
        parking: (B, 2) whether there is a parking lane on the right, on the left.
    """

    cross_section: CrossSection
    start_xy_m: F64
    start_heading_rad: F64
    turn_rad: F64
    junction: Bool
    side_streets: Bool
    parking: Bool

    @property
    def length_m(self) -> float:
        """Of the centre line."""
        return BLOCK_M * self.turn_rad.size

    def at(self, s_m: F64) -> RoadFrames:
        """Frames at distances (...) along the centre line; straight on beyond the road's ends."""
        s = np.asarray(s_m, dtype=np.float64)
        inside = np.clip(s, 0.0, self.length_m)
        block = np.minimum((inside / BLOCK_M).astype(np.int64), self.turn_rad.size - 1)
        u = inside / BLOCK_M - block
        turn, start = self.turn_rad[block], self.start_heading_rad[block]
        xy = self.start_xy_m[block] + _displacement(u, start, turn)
        heading = start + _turned(u, turn)
        beyond = (s - inside)[..., None]
        return RoadFrames(
            xy + beyond * np.stack([np.cos(heading), np.sin(heading)], axis=-1),
            heading,
            turn / BLOCK_M * (1.0 - np.cos(2.0 * np.pi * u)),
        )

    def world(self, s_m: F64, d_m: F64) -> F64:
        """World places (..., 2) of road coordinates."""
        frames = self.at(s_m)
        left = np.stack([-np.sin(frames.heading_rad), np.cos(frames.heading_rad)], axis=-1)
        place: F64 = frames.xy_m + np.asarray(d_m)[..., None] * left
        return place

    def junctions(self) -> I64:
        """Numbers of the blocks with junctions."""
        return np.flatnonzero(self.junction)


def build_road(seed: int, blocks: int) -> Road:
    """Road of a seed; a longer road of the same seed begins the same."""
    rng = stream(seed, Purpose.ROAD)
    section = CrossSection(*((1, 1), (2, 1), (2, 2))[int(rng.choice(3, p=[0.4, 0.3, 0.3]))])
    draws = rng.random((blocks, 8))
    junction = _junctions(draws[:, 0])
    turn = _turns(draws[:, 1], draws[:, 2], junction)
    heading = np.concatenate([[0.0], np.cumsum(turn)])
    steps = _displacement(np.ones(blocks), heading[:-1], turn)
    xy = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    both = draws[:, 3] < 0.6
    right = both | (draws[:, 4] < 0.5)
    side_streets = junction[:, None] & np.stack([right, both | ~right], axis=-1)
    return Road(section, xy, heading, turn, junction, side_streets, draws[:, 5:7] < 0.75)


def _junctions(draw: F64) -> Bool:
    """A junction every two to four blocks."""
    junction = np.zeros(draw.size, dtype=np.bool_)
    at = 1
    while at < draw.size:
        junction[at] = True
        at += 2 + int(3 * draw[at])
    return junction


def _turns(draw: F64, size: F64, junction: Bool) -> F64:
    """Turns of the blocks: about half of those without a junction, back towards the main direction if too far off."""
    proposed = np.where(draw < 0.5, -1.0, 1.0) * (0.2 + (MAX_TURN_RAD - 0.2) * size)
    proposed[(np.abs(draw - 0.5) < 0.22) | junction] = 0.0
    turn = np.zeros(draw.size)
    heading = 0.0
    for block in range(draw.size):
        if abs(heading + proposed[block]) > MAX_HEADING_RAD:
            proposed[block] *= -1.0
        wanted = min(max(heading + proposed[block], -MAX_HEADING_RAD), MAX_HEADING_RAD)
        turn[block] = wanted - heading
        heading = wanted
    return turn


def _turned(u: F64, turn_rad: F64) -> F64:
    """Heading gained up to a share ``u`` of a block."""
    gained: F64 = turn_rad * (u - np.sin(2.0 * np.pi * u) / (2.0 * np.pi))
    return gained


def _displacement(u: F64, start_heading_rad: F64, turn_rad: F64) -> F64:
    """Way (..., 2) from a block's start to a share ``u`` of it: Gauss-Legendre quadrature of the heading."""
    share = u[..., None] * (0.5 * (_NODES + 1.0))
    heading = start_heading_rad[..., None] + _turned(share, turn_rad[..., None])
    # Not a matrix product: its last bits would depend on how many places are asked for at once.
    along = [(component * _WEIGHTS).sum(axis=-1) for component in (np.cos(heading), np.sin(heading))]
    mean = 0.5 * np.stack(along, axis=-1)
    way: F64 = (BLOCK_M * u)[..., None] * mean
    return way
