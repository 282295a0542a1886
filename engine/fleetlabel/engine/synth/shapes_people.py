"""Pedestrians and cyclists: a fixed cast of low-poly bodies, each with the phases of its movement; front is +x.

A person's limbs swing, so that no single phase fills the cuboid: it is the hull of all phases. Height is exact in every
phase (the lowest sole is on the ground, the crown at the top); length and width are reached by the widest phase. A
bicycle's cuboid is filled by its tyres, its handlebar and the rider's head in every phase.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fleetlabel.engine.synth.scene import Material, Mesh
from fleetlabel.engine.synth.shapes import Shape
from fleetlabel.engine.synth.shapes_vehicles import Model
from fleetlabel.geometry.arrays import F64

PHASES = 8
STANDING = PHASES  # the pedestrian's phase after the steps
Point = tuple[float, float, float]


@lru_cache(maxsize=1)
def pedestrians() -> tuple[Model, ...]:
    """Every pedestrian model: builds, coats, skirts, rucksacks and bags."""
    cast = (
        ("man", 1.80, 1.05, "trousers", ""),
        ("man_coat", 1.76, 1.10, "coat", ""),
        ("man_rucksack", 1.83, 1.0, "trousers", "rucksack"),
        ("woman", 1.66, 0.92, "trousers", "bag"),
        ("woman_skirt", 1.69, 0.92, "skirt", ""),
        ("woman_coat", 1.64, 1.0, "coat", "bag"),
        ("teenager", 1.55, 0.85, "trousers", "rucksack"),
        ("child", 1.22, 0.85, "trousers", ""),
    )
    return tuple(_pedestrian(*person) for person in cast)


@lru_cache(maxsize=1)
def cyclists() -> tuple[Model, ...]:
    """Every cyclist model: upright and sporty riders."""
    return tuple(
        _cyclist(name, tall, lean, rucksack)
        for name, tall, lean, rucksack in (
            ("upright", 1.0, 0.15, False),
            ("tourer", 1.03, 0.35, True),
            ("sporty", 1.0, 0.62, False),
            ("small", 0.92, 0.25, True),
        )
    )


def _pedestrian(name: str, height: float, girth: float, dress: str, carried: str) -> Model:
    shapes = [_walker(height, girth, dress, carried, phase) for phase in range(PHASES + 1)]
    phases = []
    for shape in shapes:
        vertices = shape.vertices()
        low, high = vertices[:, 2].min(), vertices[:, 2].max()
        vertices[:, 2] = (vertices[:, 2] - low) * (height / (high - low)) - height / 2
        phases.append(vertices)
    return Model(*_hull(f"pedestrian/{name}", shapes, phases), phase_m=0.86 * height)


def _hull(key: str, shapes: list[Shape], phases: list[F64]) -> tuple[F64, tuple[Mesh, ...]]:
    """Size of the hull of all phases, and their meshes moved to its middle, within it to the last bit of float32."""
    every = np.concatenate(phases)
    low, high = every.min(axis=0), every.max(axis=0)
    half: F64 = (0.5 * (high - low)).astype(np.float32).astype(np.float64)
    meshes = tuple(
        shape.mesh(f"{key}/{phase}", np.clip(vertices - 0.5 * (low + high), -half, half))
        for phase, (shape, vertices) in enumerate(zip(shapes, phases, strict=True))
    )
    return 2.0 * half, meshes


def _walker(height: float, girth: float, dress: str, carried: str, phase: int) -> Shape:
    """One phase of a step, or standing; lengths are those of a person of 1.8 m, scaled."""
    k, shape = height / 1.8, Shape()
    g = k * girth
    hip_z, shoulder_z = 0.93 * k, 1.47 * k
    angle = 2.0 * np.pi * phase / PHASES
    for side, ahead in ((1.0, angle), (-1.0, angle + np.pi)):
        swing = 0.0 if phase == STANDING else 0.46 * np.sin(ahead)
        lift = (
            0.0 if phase == STANDING else 0.55 * max(np.cos(ahead), 0.0)
        )  # the leg that comes forward bends
        _leg(shape, side * 0.095 * g, hip_z, swing, lift, k, dress)
        _arm(shape, side * 0.225 * g, shoulder_z, -0.75 * swing, k, g)
    _torso(shape, dress, k, g)
    _head(shape, (0.02 * k, 0.0, 1.67 * k), k)
    if carried == "rucksack":
        shape.box((-0.19 * g, 0.0, 1.25 * k), (0.16 * k, 0.28 * k, 0.42 * k), Material.BARK)
    elif carried == "bag":
        shape.box((0.02 * k, -0.29 * g, 0.78 * k), (0.30 * k, 0.09 * k, 0.24 * k), Material.RUBBER)
    return shape


def _leg(shape: Shape, y: float, hip_z: float, swing: float, lift: float, k: float, dress: str) -> None:
    """Thigh, shank and shoe; ``swing`` is the thigh's angle forward, ``lift`` the knee's bend."""
    knee = (0.46 * k * np.sin(swing), y, hip_z - 0.46 * k * np.cos(swing))
    ankle = (
        knee[0] + 0.40 * k * np.sin(swing - lift),
        y,
        knee[2] - 0.40 * k * np.cos(swing - lift),
    )
    lower = Material.SKIN if dress == "skirt" else Material.LOWER_CLOTHES
    shape.limb((0.0, y, hip_z), knee, (0.095 * k, 0.07 * k), Material.LOWER_CLOTHES)
    shape.limb(knee, ankle, (0.068 * k, 0.048 * k), lower)
    shape.box((ankle[0] + 0.05 * k, y, ankle[2] - 0.03 * k), (0.27 * k, 0.095 * k, 0.09 * k), Material.RUBBER)


def _arm(shape: Shape, y: float, shoulder_z: float, swing: float, k: float, g: float) -> None:
    elbow = (0.28 * k * np.sin(swing), y * 1.08, shoulder_z - 0.04 * k - 0.28 * k * np.cos(swing))
    bend = swing + 0.35
    hand = (elbow[0] + 0.25 * k * np.sin(bend), y * 1.08, elbow[2] - 0.25 * k * np.cos(bend))
    shape.limb((0.0, y, shoulder_z - 0.04 * k), elbow, (0.062 * g, 0.05 * g), Material.UPPER_CLOTHES)
    shape.limb(elbow, hand, (0.05 * g, 0.038 * g), Material.UPPER_CLOTHES)
    shape.ball((hand[0], hand[1], hand[2] - 0.03 * k), (0.045 * k, 0.035 * k, 0.06 * k), Material.SKIN)


def _oval(z: float, half_x: float, half_y: float, x: float = 0.0) -> F64:
    angle = 2.0 * np.pi * np.arange(10) / 10
    return np.stack([x + half_x * np.cos(angle), half_y * np.sin(angle), 0 * angle + z], axis=-1)


def _torso(shape: Shape, dress: str, k: float, g: float) -> None:
    """Trunk, and below it what hides the hips: a skirt or a coat's tails."""
    ovals = [
        (0.90, 0.115, 0.165),
        (1.10, 0.11, 0.15),
        (1.32, 0.13, 0.19),
        (1.46, 0.10, 0.20),
        (1.52, 0.05, 0.08),
    ]
    shape.loft(np.stack([_oval(z * k, x * g, y * g) for z, x, y in ovals]), Material.UPPER_CLOTHES)
    if dress == "skirt":
        shape.loft(np.stack([_oval(0.55 * k, 0.20 * g, 0.24 * g), _oval(0.98 * k, 0.12 * g, 0.17 * g)]),
                   Material.LOWER_CLOTHES)  # fmt: skip
    elif dress == "coat":
        shape.loft(np.stack([_oval(0.58 * k, 0.19 * g, 0.22 * g), _oval(0.98 * k, 0.13 * g, 0.18 * g)]),
                   Material.UPPER_CLOTHES)  # fmt: skip


def _head(shape: Shape, center: Point, k: float) -> None:
    """Neck, head, and hair over its back and top."""
    x, y, z = center
    shape.limb((x - 0.02 * k, y, z - 0.18 * k), (x, y, z - 0.05 * k), (0.055 * k, 0.05 * k), Material.SKIN)
    shape.ball((x, y, z), (0.10 * k, 0.08 * k, 0.122 * k), Material.SKIN)
    shape.ball((x - 0.025 * k, y, z + 0.028 * k), (0.098 * k, 0.088 * k, 0.108 * k), Material.HAIR)


def _cyclist(name: str, tall: float, lean: float, rucksack: bool) -> Model:
    shapes = [_rider(tall, lean, rucksack, phase) for phase in range(PHASES)]
    phases = []
    for shape in shapes:
        vertices = shape.vertices()
        vertices[:, 2] -= vertices[:, 2].min()
        phases.append(vertices)
    return Model(*_hull(f"bicycle/{name}", shapes, phases), phase_m=5.0)


def _rider(tall: float, lean: float, rucksack: bool, phase: int) -> Shape:
    """A bicycle and its rider with the pedals at one of their phases."""
    shape, wheel, tube = Shape(), 0.345, Material.PAINT
    rear, front, crank = (-0.53, 0.0, wheel), (0.54, 0.0, wheel), (-0.08, 0.0, 0.29)
    saddle, head = (-0.24, 0.0, 0.92 * tall), (0.38, 0.0, 0.92)
    for hub in (rear, front):
        shape.tyre(hub, wheel, 0.045, 0.022)
        for angle in np.pi * np.arange(3) / 3:
            dx, dz = 0.31 * float(np.cos(angle)), 0.31 * float(np.sin(angle))
            shape.limb((hub[0] - dx, 0.0, hub[2] - dz), (hub[0] + dx, 0.0, hub[2] + dz), (0.006, 0.006),
                       Material.RIM, 3)  # fmt: skip
    for a, b in ((crank, saddle), (crank, head), ((-0.22, 0.0, 0.80), head), (rear, crank), (rear, saddle)):
        shape.limb(a, b, (0.022, 0.022), tube, 4)
    shape.limb(front, (0.37, 0.0, 1.0), (0.02, 0.02), tube, 4)
    shape.limb((0.37, -0.30, 1.02), (0.37, 0.30, 1.02), (0.018, 0.018), Material.POLE, 4)
    shape.box((saddle[0] - 0.02, 0.0, saddle[2] + 0.02), (0.26, 0.15, 0.06), Material.RUBBER)
    shape.box((rear[0] - 0.30, 0.0, 0.72), (0.04, 0.08, 0.08), Material.TAILLIGHT)
    shape.box((0.44, 0.0, 0.92), (0.07, 0.09, 0.09), Material.HEADLIGHT)
    _body(shape, tall, lean, rucksack, (saddle[0], saddle[2] + 0.10), crank, phase)
    return shape


def _body(
    shape: Shape,
    tall: float,
    lean: float,
    rucksack: bool,
    hip: tuple[float, float],
    crank: Point,
    phase: int,
) -> None:
    trunk = 0.52 * tall
    shoulder = (hip[0] + trunk * float(np.sin(lean)), hip[1] + trunk * float(np.cos(lean)))
    middle = ((hip[0] + shoulder[0]) / 2, (hip[1] + shoulder[1]) / 2)
    shape.loft(
        np.stack(
            [
                _oval(hip[1] - 0.06, 0.13, 0.17, hip[0]),
                _oval(middle[1], 0.125, 0.165, middle[0]),
                _oval(shoulder[1], 0.11, 0.20, shoulder[0]),
                _oval(shoulder[1] + 0.06, 0.05, 0.08, shoulder[0] + 0.02),
            ]
        ),
        Material.UPPER_CLOTHES,
    )
    _head(shape, (shoulder[0] + 0.09 + 0.08 * lean, 0.0, shoulder[1] + 0.20), 1.0)
    if rucksack:
        shape.box((middle[0] - 0.20, 0.0, middle[1] + 0.06), (0.16, 0.28, 0.36), Material.BARK)
    for side, turn in ((1.0, 0.0), (-1.0, np.pi)):
        angle = 2.0 * np.pi * phase / PHASES + turn
        pedal = (crank[0] + 0.17 * float(np.cos(angle)), side * 0.12, crank[2] - 0.17 * float(np.sin(angle)))
        start = (hip[0], side * 0.10, hip[1])
        knee = _knee(start, pedal, 0.45 * tall)
        shape.limb(start, knee, (0.095, 0.07), Material.LOWER_CLOTHES)
        shape.limb(knee, (pedal[0] - 0.05, pedal[1], pedal[2] + 0.08), (0.068, 0.045), Material.LOWER_CLOTHES)
        shape.box((pedal[0] + 0.03, pedal[1], pedal[2] + 0.03), (0.26, 0.09, 0.09), Material.RUBBER)
        hand = (0.35, side * 0.26, 1.04)
        top = (shoulder[0], side * 0.21, shoulder[1])
        elbow = ((top[0] + hand[0]) / 2 - 0.03, side * 0.29, (top[2] + hand[2]) / 2 - 0.05)
        shape.limb(top, elbow, (0.06, 0.05), Material.UPPER_CLOTHES)
        shape.limb(elbow, hand, (0.048, 0.035), Material.SKIN)


def _knee(hip: Point, foot: Point, length: float) -> Point:
    """Knee of two bones of equal length between hip and foot, bent forward."""
    a, b = np.array(hip), np.array(foot)
    half = 0.5 * float(np.linalg.norm(b - a))
    out = np.cross((b - a) / (2.0 * half), [0.0, -1.0, 0.0])
    out /= np.linalg.norm(out)
    bend = max(length**2 - half**2, 0.0004) ** 0.5
    x, y, z = 0.5 * (a + b) + bend * (out if out[0] > 0 else -out)
    return (float(x), float(y), float(z))
