"""Things that stand beside a road: buildings, trees, lamps and signs."""

from __future__ import annotations

import numpy as np

from fleetlabel.engine.synth.scene import Material
from fleetlabel.engine.synth.shapes import BALL_TRIANGLES, BALL_VERTICES, Shape
from fleetlabel.geometry.arrays import F64

Rgb = tuple[int, int, int]


def building(
    shape: Shape,
    place_m: F64,
    facing_rad: float,
    size_dwh_m: tuple[float, float, float],
    facade: Rgb,
    rng: np.random.Generator,
) -> None:
    """Add a house: walls with rows of windows, a door towards the street, a flat or a pitched roof.

    Args:
        place_m: (2,) world, the middle of its ground plan.
        facing_rad: direction towards the street.
        size_dwh_m: depth, width along the street, height of the walls.
    """
    depth, width, height = size_dwh_m
    cos, sin = np.cos(facing_rad), np.sin(facing_rad)
    forward, left = np.array([cos, sin, 0.0]), np.array([-sin, cos, 0.0])
    base = np.array([place_m[0], place_m[1], 0.0])
    up = np.array([0.0, 0.0, 1.0])
    pitch, floor = float(rng.uniform(2.6, 3.4)), float(rng.uniform(2.9, 3.4))
    # Each wall: its middle, the direction along it (to the right as seen from outside), its length.
    walls = [
        (base + 0.5 * depth * forward, left, width),
        (base + 0.5 * width * left, -forward, depth),
        (base - 0.5 * width * left, forward, depth),
        (base - 0.5 * depth * forward, -left, width),
    ]
    panes = []
    for index, (middle, along, length) in enumerate(walls):
        corner = middle - 0.5 * length * along
        shape.quads(
            _rectangle(corner - 0.1 * up, along, up, length, height + 0.1)[None], Material.FACADE, facade
        )
        if index < 3:
            panes.append(_windows(corner + 0.02 * np.cross(along, up), along, length, height, pitch, floor))
    shape.quads(np.concatenate(panes), Material.WINDOW)
    door = base + (0.5 * depth + 0.03) * forward - 0.45 * left * width * float(rng.uniform(-0.6, 0.8))
    shape.quads(_rectangle(door, left, up, 1.1, 2.1)[None], Material.BARK)
    _roof(shape, base + height * up, forward, left, (depth, width), height < 9.0 or bool(rng.random() < 0.4))


def _rectangle(corner: F64, along: F64, up: F64, length: float, height: float) -> F64:
    a, b = length * along, height * up
    return np.stack([corner, corner + a, corner + a + b, corner + b])


def _windows(corner: F64, along: F64, length: float, height: float, pitch: float, floor: float) -> F64:
    """Panes (Q, 4, 3) of a wall in rows and columns."""
    columns, rows = max(int((length - 0.8) / pitch), 1), max(int((height - 0.6) / floor), 1)
    step = length / columns
    across = (np.arange(columns) + 0.5) * step - 0.26 * step
    heights = np.arange(rows) * floor + 1.0
    i, j = np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij")
    low = corner + across[i.ravel(), None] * along + heights[j.ravel(), None] * np.array([0.0, 0.0, 1.0])
    a, b = 0.52 * step * along, np.array([0.0, 0.0, 0.48 * floor])
    return np.stack([low, low + a, low + a + b, low + b], axis=1)


def _roof(shape: Shape, base: F64, forward: F64, left: F64, size: tuple[float, float], pitched: bool) -> None:
    depth, width = 0.5 * size[0] + 0.25, 0.5 * size[1] + 0.25
    corners = np.stack(
        [
            base + depth * forward - width * left,
            base + depth * forward + width * left,
            base - depth * forward + width * left,
            base - depth * forward - width * left,
        ]
    )
    if not pitched:
        shape.loft(np.stack([corners, corners + np.array([0.0, 0.0, 0.35])]), Material.ROOF)
        return
    rise = np.array([0.0, 0.0, 0.42 * size[0]])
    ridge = (
        np.stack([base - width * left, base + width * left, base + width * left, base - width * left]) + rise
    )
    shape.loft(np.stack([corners, ridge]), Material.ROOF)


def tree(shape: Shape, place_m: F64, rng: np.random.Generator, crown_m: float, clear_m: float) -> None:
    """Add a tree whose lowest leaf is ``clear_m`` above the ground and whose crown is ``2 crown_m`` wide or so."""
    x, y = float(place_m[0]), float(place_m[1])
    shape.limb((x, y, -0.1), (x, y, clear_m + 1.2 * crown_m), (0.16, 0.09), Material.BARK)
    for level in range(3):
        radius = crown_m * (1.0, 0.85, 0.6)[level]
        shift = rng.uniform(-0.25, 0.25, 2) * crown_m * (level > 0)
        center = np.array([x + shift[0], y + shift[1], clear_m + crown_m * (1.0, 1.9, 2.6)[level]])
        ragged = BALL_VERTICES * rng.uniform(0.82, 1.0, (BALL_VERTICES.shape[0], 1))
        shape.add(center + radius * ragged, BALL_TRIANGLES, Material.FOLIAGE)


def lamp(shape: Shape, place_m: F64, towards_rad: float) -> None:
    """Add a street lamp with its arm over the road."""
    x, y = float(place_m[0]), float(place_m[1])
    arm = 1.6 * np.array([np.cos(towards_rad), np.sin(towards_rad)])
    shape.limb((x, y, -0.1), (x, y, 6.4), (0.09, 0.055), Material.POLE)
    shape.limb((x, y, 6.35), (x + arm[0], y + arm[1], 6.6), (0.05, 0.04), Material.POLE, 4)
    shape.box((x + arm[0], y + arm[1], 6.58), (0.42, 0.42, 0.12), Material.POLE)


def sign(shape: Shape, place_m: F64, facing_rad: float, rng: np.random.Generator) -> None:
    """Add a traffic sign, round, square or a triangle, facing one way."""
    x, y = float(place_m[0]), float(place_m[1])
    shape.limb((x, y, -0.1), (x, y, 2.95), (0.035, 0.035), Material.POLE)
    sides = int(rng.choice([3, 4, 10]))
    normal = np.array([np.cos(facing_rad), np.sin(facing_rad), 0.0])
    across = np.array([-normal[1], normal[0], 0.0])
    angle = 2.0 * np.pi * (np.arange(sides) + (0.5 if sides == 4 else 0.0)) / sides + np.pi / 2
    outline = 0.36 * (np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * np.array([0.0, 0.0, 1.0]))
    back = np.array([x, y, 2.6]) + 0.045 * normal
    shape.loft(np.stack([back + outline, back + 0.02 * normal + outline]), Material.SIGN)
