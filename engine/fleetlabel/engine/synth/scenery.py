"""What stands still in a block: road and markings, pavements, grass, buildings, trees, lamps and signs, as one mesh."""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.synth.road import (
    BLOCK_M,
    CYCLE_LANE_M,
    LANE_M,
    PARKING_M,
    SIDE_STREET_HALF_M,
    SIDE_STREET_M,
    Road,
)
from fleetlabel.engine.synth.scene import Material, Mesh
from fleetlabel.engine.synth.shapes import Shape
from fleetlabel.engine.synth.streams import Purpose, stream
from fleetlabel.engine.synth.street_objects import building, lamp, sign, tree
from fleetlabel.engine.synth.traffic import ZEBRA_HALF_M
from fleetlabel.geometry.arrays import F64, Bool

_VERGE_M = 12.0  # of grass beside the pavement
_PEOPLE_M = 0.15  # how far who stands at the outer edge of a pavement may reach over it
_SKIRT_M = 500.0
_SKIRT_Z_M = -0.03
_MARKING_Z_M = 0.005
_FACADE_RGB = (
    (196, 176, 150), (178, 120, 92), (210, 200, 184), (150, 146, 140), (170, 92, 74), (206, 184, 132),
    (164, 172, 178), (222, 216, 206), (132, 108, 92), (186, 158, 142), (120, 128, 134), (214, 170, 140),
)  # fmt: skip


def block_mesh(road: Road, seed: int, number: int, crossing_m: float | None) -> Mesh:
    """Mesh of one block, vertices in the world; ``crossing_m`` is where people cross the road, along it."""
    shape = Shape()
    _Ground(shape, road, number, crossing_m).add()
    _furnish(shape, road, seed, number, crossing_m)
    return shape.mesh(f"block/{seed}/{number}", shape.vertices())


class _Ground:
    """The flat parts of a block."""

    def __init__(self, shape: Shape, road: Road, number: int, crossing_m: float | None) -> None:
        self._shape, self._road, self._number, self._crossing_m = shape, road, number, crossing_m
        self._start, self._middle = number * BLOCK_M, (number + 0.5) * BLOCK_M

    def add(self) -> None:
        """Add surfaces, side streets, markings and the ground around."""
        self._surfaces()
        middle = self._road.world(np.array(self._middle), np.array(0.0))
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * _SKIRT_M + middle
        skirt = np.concatenate([corners, np.full((4, 1), _SKIRT_Z_M)], axis=1)
        self._shape.quads(skirt[None], Material.GRASS)
        for side, there in zip((-1, 1), self._road.side_streets[self._number], strict=True):
            if there:
                self._side_street(side)
        self._markings()

    def _cells(self, s: F64, d: F64, material: Material, z: float = 0.0) -> None:
        """Quads over rectangles of road coordinates (Q, 2): from, to."""
        s_corners = s[:, [0, 1, 1, 0]]
        d_corners = d[:, [0, 0, 1, 1]]
        xy = self._road.world(s_corners, d_corners)
        self._shape.quads(np.concatenate([xy, np.full((*xy.shape[:2], 1), z)], axis=-1), material)

    def _surfaces(self) -> None:
        """A grid of cells from verge to verge; a cell's place says what it is made of."""
        along = self._start + np.linspace(0.0, BLOCK_M, 21)
        if self._road.junction[self._number]:
            along = np.union1d(along, self._middle + np.array([-1, 1]) * SIDE_STREET_HALF_M)
        section = self._road.cross_section
        across = [0.0]
        for side in (-1, 1):
            kerb, wall = section.kerb_m(side), section.wall_m(side)
            across += [side * at for at in (kerb - PARKING_M, kerb, wall, wall + _VERGE_M)]
        d = np.sort(np.array(across))
        i, j = np.meshgrid(np.arange(along.size - 1), np.arange(d.size - 1), indexing="ij")
        s_cells = np.stack([along[i], along[i + 1]], axis=-1).reshape(-1, 2)
        d_cells = np.stack([d[j], d[j + 1]], axis=-1).reshape(-1, 2)
        kind = self._surface(s_cells.mean(axis=1), d_cells.mean(axis=1))
        for material in (Material.ASPHALT, Material.PAVEMENT, Material.GRASS):
            chosen = kind == material
            self._cells(s_cells[chosen], d_cells[chosen], material)

    def _surface(self, s: F64, d: F64) -> F64:
        section, kind = self._road.cross_section, np.full(s.shape, float(Material.ASPHALT))
        for column, side in enumerate((-1, 1)):
            out = side * d
            kerb, wall = section.kerb_m(side), section.wall_m(side)
            kind[out > kerb - PARKING_M] = (
                Material.ASPHALT if self._road.parking[self._number, column] else Material.GRASS
            )
            kind[out > kerb] = Material.PAVEMENT
            kind[out > wall] = Material.GRASS
            if self._road.side_streets[self._number, column]:
                kind[(out > 0) & (np.abs(s - self._middle) < SIDE_STREET_HALF_M)] = Material.ASPHALT
        if self._crossing_m is not None:
            section_kerb = np.where(d < 0, section.kerb_m(-1), section.kerb_m(1))
            path = (
                (np.abs(s - self._crossing_m) < 4.0) & (np.abs(d) < section_kerb) & (kind == Material.GRASS)
            )
            kind[path] = Material.PAVEMENT
        return kind

    def _side_street(self, side: int) -> None:
        """Asphalt with a broken centre line and pavements, from the verge outwards."""
        wall = self._road.cross_section.wall_m(side)
        ends = side * np.array([[wall + _VERGE_M, SIDE_STREET_M]])
        ends = np.sort(ends, axis=1)
        width = np.array([[-1.0, 1.0]]) * SIDE_STREET_HALF_M
        self._cells(self._middle + width, ends, Material.ASPHALT)
        strip = np.sort(side * np.array([[wall, SIDE_STREET_M]]), axis=1)
        for along in (-1.0, 1.0):
            pavement = np.sort(along * np.array([[SIDE_STREET_HALF_M, SIDE_STREET_HALF_M + 2.2]]), axis=1)
            self._cells(self._middle + pavement, strip, Material.PAVEMENT, 0.003)
        dash = np.arange(wall + 1.0, SIDE_STREET_M - 3.0, 6.0)
        dashes = np.sort(side * np.stack([dash, dash + 3.0], axis=-1), axis=1)
        line = np.tile(self._middle + np.array([[-0.06, 0.06]]), (dash.size, 1))
        self._cells(line, dashes, Material.MARKING, _MARKING_Z_M)

    def _markings(self) -> None:
        """Lane lines, edge lines, the zebra crossing and stop lines."""
        section = self._road.cross_section
        junction = bool(self._road.junction[self._number])
        s_lines: list[F64] = []
        d_lines: list[F64] = []

        def line(d_m: float, length: float, gap: float, width: float, open_m: float) -> None:
            start = self._start + np.arange(0.0, BLOCK_M - 1e-6, length + gap)
            cells = np.stack([start, np.minimum(start + length, self._start + BLOCK_M)], axis=-1)
            keep = np.ones(start.size, dtype=np.bool_)
            if junction:
                keep &= np.abs(cells.mean(axis=1) - self._middle) > open_m
            if self._crossing_m is not None:
                keep &= np.abs(cells.mean(axis=1) - self._crossing_m) > ZEBRA_HALF_M + 0.5 * length
            s_lines.append(cells[keep])
            d_lines.append(np.tile([[d_m - width / 2, d_m + width / 2]], (int(keep.sum()), 1)))

        line(0.0, 2.0, 0.0, 0.14, 12.0)
        for side in (-1, 1):
            lanes = section.forward_lanes if side < 0 else section.backward_lanes
            for lane in range(1, lanes):
                line(side * lane * LANE_M, 4.0, 4.0, 0.12, 10.0)
            line(side * section.edge_m(side), 2.0, 0.0, 0.12, 9.0)
            line(side * (section.edge_m(side) + CYCLE_LANE_M), 1.0, 1.0, 0.12, 9.0)
        self._zebra(s_lines, d_lines)
        if junction:
            for side in (-1, 1):
                at = self._middle + side * 11.7
                inner, outer = sorted((side * 0.2, side * section.edge_m(side)))
                s_lines.append(np.array([[at - 0.2, at + 0.2]]))
                d_lines.append(np.array([[inner, outer]]))
        self._cells(np.concatenate(s_lines), np.concatenate(d_lines), Material.MARKING, _MARKING_Z_M)

    def _zebra(self, s_lines: list[F64], d_lines: list[F64]) -> None:
        if self._crossing_m is None:
            return
        section = self._road.cross_section
        low = -section.edge_m(-1) - CYCLE_LANE_M + 0.3
        bars = np.arange(low, section.edge_m(1) + CYCLE_LANE_M - 0.5, 1.0)
        s_lines.append(np.tile(self._crossing_m + np.array([[-1.0, 1.0]]) * ZEBRA_HALF_M, (bars.size, 1)))
        d_lines.append(np.stack([bars, bars + 0.5], axis=-1))


def _free(road: Road, number: int, s: F64, side: int, crossing_m: float | None, clear_m: float) -> Bool:
    """Which places beside the road are clear of side streets and crossings."""
    free = np.ones(s.shape, dtype=np.bool_)
    if road.side_streets[number, 0 if side < 0 else 1]:
        free &= np.abs(s - (number + 0.5) * BLOCK_M) > SIDE_STREET_HALF_M + clear_m
    if crossing_m is not None:
        free &= np.abs(s - crossing_m) > ZEBRA_HALF_M + clear_m
    return free


def _furnish(shape: Shape, road: Road, seed: int, number: int, crossing_m: float | None) -> None:
    """Add what stands beside the road."""
    rng = stream(seed, Purpose.SCENERY, number)
    near = np.linspace((number - 3) * BLOCK_M, (number + 4) * BLOCK_M, 200)
    centre_line = road.at(near).xy_m
    for side in (-1, 1):
        town = rng.random() < 0.75
        _buildings(shape, road, rng, number, side, town, centre_line)
        kerb = road.cross_section.kerb_m(side)
        s = number * BLOCK_M + np.array([10.0, 26.0, 42.0, 58.0, 74.0]) + rng.uniform(-2.0, 2.0, 5)
        kind = rng.random(5)
        for place, draw, free in zip(s, kind, _free(road, number, s, side, crossing_m, 4.0), strict=True):
            if not free:
                continue
            frames = road.at(np.array(place))
            spot = road.world(np.array(place), np.array(side * (kerb + 0.5)))
            heading = float(frames.heading_rad)
            if draw < 0.45:
                tree(shape, spot, rng, crown_m=1.25, clear_m=4.0)
            elif draw < 0.75:
                lamp(shape, spot, heading - side * np.pi / 2)
            elif draw < 0.92:
                sign(shape, spot, heading + (np.pi if side < 0 else 0.0), rng)
        if crossing_m is not None and road.junction[number]:
            place = road.world(np.array(crossing_m - 2.8), np.array(side * (kerb + 0.4)))
            sign(
                shape,
                place,
                float(road.at(np.array(crossing_m)).heading_rad) + (np.pi if side < 0 else 0.0),
                rng,
            )


def _buildings(
    shape: Shape,
    road: Road,
    rng: np.random.Generator,
    number: int,
    side: int,
    town: bool,
    centre_line: F64,
) -> None:
    """A row of houses behind the pavement, or of trees; never on a side street, never near another part of the road."""
    wall = road.cross_section.wall_m(side)
    at, end = number * BLOCK_M, (number + 1) * BLOCK_M
    middle = at + BLOCK_M / 2
    street = bool(road.side_streets[number, 0 if side < 0 else 1])
    while at < end - 8.0:
        width, depth = float(rng.uniform(9.0, 20.0)), float(rng.uniform(9.0, 14.0))
        width = min(width, end - at)
        built, setback, choice = (
            rng.random() < (0.88 if town else 0.3),
            float(rng.uniform(0.6, 2.5)),
            int(rng.integers(12)),
        )
        height = float(rng.uniform(6.0, 20.0) if town else rng.uniform(5.0, 8.0))
        s_m = at + width / 2
        at += width + float(rng.choice([0.4, 3.0, 6.0]))
        across_street = street and abs(s_m - middle) < SIDE_STREET_HALF_M + 2.5 + width / 2
        frames = road.at(np.array(s_m))
        d_m = side * (wall + setback + depth / 2)
        place = road.world(np.array(s_m), np.array(d_m))
        crowded = np.linalg.norm(centre_line - place, axis=1).min() < wall + setback + depth / 2 - 0.2
        # On the inside of a bend a straight front comes nearest to the road with its corners.
        along = np.array([np.cos(frames.heading_rad), np.sin(frames.heading_rad)])
        front = road.world(np.array(s_m), np.array(side * (wall + setback)))
        corners = front + 0.5 * width * np.array([[-1.0], [1.0]]) * along
        crowded |= np.linalg.norm(centre_line - corners[:, None], axis=-1).min() < wall + _PEOPLE_M
        if across_street:
            continue
        if built and not crowded:
            facing = float(frames.heading_rad) - side * np.pi / 2
            building(shape, place, facing, (depth, width, height), _FACADE_RGB[choice], rng)
        else:
            spot = road.world(np.array(s_m), np.array(side * (wall + 3.0 + 5.0 * rng.random())))
            if np.linalg.norm(centre_line - spot, axis=1).min() > wall + 2.0:
                tree(
                    shape,
                    spot,
                    rng,
                    crown_m=float(rng.uniform(1.4, 2.2)),
                    clear_m=float(rng.uniform(1.8, 2.8)),
                )
