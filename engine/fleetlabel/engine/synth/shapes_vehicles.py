"""Cars and trucks: a fixed fleet of low-poly bodies with windows, wheels, lights and plates; front is +x."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fleetlabel.engine.synth.scene import Material, Mesh
from fleetlabel.engine.synth.shapes import Shape, filling
from fleetlabel.geometry.arrays import F64


@dataclass(frozen=True, slots=True)
class Model:
    """A shape at its size: one mesh, or one per phase of a step.

    Attributes:
        size_lwh_m: (3,) of the cuboid.
        meshes: the phases of a movement in order; a vehicle has one.
        phase_m: distance covered in one round of the phases.
    """

    size_lwh_m: F64
    meshes: tuple[Mesh, ...]
    phase_m: float = 1.0


@dataclass(frozen=True, slots=True)
class _CarBody:
    """Proportions of a car: shares of length from the rear, and of height from the ground.

    Attributes:
        size_lwh_m: of the car.
        deck, bonnet: height of the boot and of the bonnet's base.
        nose: height of the bonnet's front edge.
        base: (rear, front) of the cabin at its base.
        roof: (rear, front) of the roof.
        load: whether there are no side windows behind the front seats.
        pillar: where along the cabin's base the pillar between the side windows stands.
    """

    size_lwh_m: tuple[float, float, float]
    deck: float
    bonnet: float
    nose: float
    base: tuple[float, float]
    roof: tuple[float, float]
    load: bool = False
    pillar: float = 0.5


_CARS: dict[str, _CarBody] = {
    "sedan": _CarBody((4.72, 1.84, 1.45), 0.66, 0.64, 0.52, (0.15, 0.74), (0.30, 0.56)),
    "limousine": _CarBody((5.02, 1.90, 1.48), 0.66, 0.64, 0.54, (0.15, 0.73), (0.30, 0.57)),
    "hatchback": _CarBody((4.05, 1.76, 1.47), 0.63, 0.62, 0.50, (0.02, 0.76), (0.12, 0.57)),
    "city_car": _CarBody((3.60, 1.64, 1.50), 0.60, 0.60, 0.50, (0.01, 0.83), (0.07, 0.62)),
    "estate": _CarBody((4.75, 1.83, 1.50), 0.62, 0.61, 0.51, (0.01, 0.73), (0.07, 0.55)),
    "suv": _CarBody((4.62, 1.89, 1.70), 0.62, 0.62, 0.55, (0.01, 0.75), (0.07, 0.59)),
    "offroader": _CarBody((4.85, 1.95, 1.88), 0.62, 0.60, 0.57, (0.01, 0.72), (0.03, 0.63)),
    "coupe": _CarBody((4.42, 1.85, 1.30), 0.68, 0.66, 0.48, (0.10, 0.72), (0.30, 0.48)),
    "minivan": _CarBody((4.80, 1.90, 1.80), 0.55, 0.55, 0.47, (0.01, 0.86), (0.05, 0.64)),
    "van": _CarBody((5.10, 1.97, 1.97), 0.54, 0.53, 0.46, (0.01, 0.87), (0.02, 0.70), True, 0.60),
}


@lru_cache(maxsize=1)
def cars() -> tuple[Model, ...]:
    """Every car model, in three sizes each."""
    return tuple(_car(name, body, scale) for name, body in _CARS.items() for scale in (0.96, 1.0, 1.03))


@lru_cache(maxsize=1)
def trucks() -> tuple[Model, ...]:
    """Every truck model: box trucks, flatbeds, tippers and tankers of 6 to 10.5 m."""
    return tuple(
        _truck(kind, length, width, height)
        for kind, length, width, height in (
            ("box", 6.2, 2.2, 2.9),
            ("box", 7.4, 2.35, 3.3),
            ("box", 9.2, 2.45, 3.5),
            ("flatbed", 6.8, 2.25, 2.55),
            ("flatbed", 8.8, 2.4, 2.8),
            ("tipper", 7.6, 2.4, 2.9),
            ("tipper", 8.4, 2.45, 3.1),
            ("tanker", 8.2, 2.4, 3.0),
            ("tanker", 10.4, 2.45, 3.3),
            ("box", 10.4, 2.45, 3.5),
        )
    )


def _model(name: str, shape: Shape, size_lwh_m: tuple[float, float, float]) -> Model:
    """One mesh stretched by a hair to its exact size."""
    vertices, size = filling(shape.vertices())
    vertices, size = filling(vertices * (np.array(size_lwh_m) / size))
    return Model(size, (shape.mesh(name, vertices),))


def _ring(x: float, half_width: float, low: float, high: float, narrow: float) -> F64:
    """Cross-section (8, 3) of a body at x: widest at half its height; counter-clockwise seen from the front."""
    w, h = half_width, high - low
    right = [(-0.90 * w, low), (-w, low + 0.22 * h), (-w, low + 0.68 * h), (-narrow * w, high)]
    left = [(-y, z) for y, z in reversed(right)]
    outline = [*left, *right]
    return np.array([(x, y, z) for y, z in outline])[::-1]


def _car(name: str, body: _CarBody, scale: float) -> Model:
    length, width, height = (scale * value for value in body.size_lwh_m)
    half, side = length / 2, width / 2 - 0.012
    wheel = 0.215 * body.size_lwh_m[2] if height < 1.6 else 0.35
    rear_axle, front_axle = -half + 0.185 * length, half - 0.185 * length
    shape = Shape()

    def x(share: float) -> float:
        return -half + share * length

    low, deck, bonnet, nose = 0.13 * height, body.deck * height, body.bonnet * height, body.nose * height
    stations = [
        (0.0, 0.90, low + 0.05, 0.92 * deck),
        (0.03, 0.97, low, deck),
        (body.base[0] + 0.05, 1.0, low, deck),
        (body.base[1], 1.0, low, bonnet),
        (0.90, 0.97, low, nose + 0.05 * height),
        (0.975, 0.90, low, nose),
        (1.0, 0.80, low + 0.06, 0.90 * nose),
    ]
    rings = [_ring(x(at), wide * side, bottom, top, 0.90) for at, wide, bottom, top in stations]
    shape.loft(np.stack(rings), Material.PAINT)
    _cabin(shape, body, (x(body.base[0]), x(body.base[1])), (x(body.roof[0]), x(body.roof[1])), side, height)
    shape.box((0.0, 0.0, low), (0.86 * length, 1.5 * side, 0.10), Material.UNDERBODY)
    for axle in (rear_axle, front_axle):
        for sign in (-1.0, 1.0):
            _wheel(shape, (axle, sign * (width / 2 - 0.11), wheel), wheel, 0.11, sign, side)
    _lamps(shape, half, side, (0.62 * nose, 0.20), (0.70 * deck, 0.26), height)
    return _model(f"car/{name}/{scale}", shape, (length, width, height))


def _wheel(
    shape: Shape,
    center: tuple[float, float, float],
    radius: float,
    half_width: float,
    sign: float,
    side: float,
) -> None:
    """A wheel in a dark arch; its rim faces outwards."""
    x, y, z = center
    shape.disc((x, sign * (side - 0.10), z + 0.02), 1.17 * radius, 0.105, Material.UNDERBODY, 12)
    shape.disc(center, radius, half_width, Material.RUBBER, 12)
    shape.disc((x, y + sign * 0.05, z), 0.62 * radius, half_width - 0.045, Material.RIM, 8)


def _cabin(
    shape: Shape,
    body: _CarBody,
    base: tuple[float, float],
    roof: tuple[float, float],
    side: float,
    height: float,
) -> None:
    """The cabin: a painted frustum with panes laid on its four sides."""
    rear_z, front_z = body.deck * height - 0.03, body.bonnet * height - 0.03
    low, high = 0.90 * side, (0.80 if not body.load else 0.86) * side
    corners = np.array(
        [
            [
                [base[0], low, rear_z],
                [base[0], -low, rear_z],
                [base[1], -low, front_z],
                [base[1], low, front_z],
            ],
            [
                [roof[0], high, height],
                [roof[0], -high, height],
                [roof[1], -high, height],
                [roof[1], high, height],
            ],
        ]
    )
    shape.loft(corners, Material.PAINT)
    (rl, rr, fr, fl), (trl, trr, tfr, tfl) = corners
    shape.quads(_pane(fr, fl, tfl, tfr, 0.06, 0.94), Material.GLASS)
    if not body.load:
        shape.quads(_pane(rl, rr, trr, trl, 0.08, 0.92), Material.GLASS)
        shape.quads(_pane(fl, rl, trl, tfl, body.pillar + 0.03, 0.95), Material.GLASS)
        shape.quads(_pane(rr, fr, tfr, trr, 0.05, 1.0 - body.pillar - 0.03), Material.GLASS)
    shape.quads(
        _pane(fl, rl, trl, tfl, 0.05, (body.pillar - 0.03) if not body.load else 0.30), Material.GLASS
    )
    start = 1.0 - body.pillar + 0.03 if not body.load else 0.70
    shape.quads(_pane(rr, fr, tfr, trr, start, 0.95), Material.GLASS)


def _pane(a: F64, b: F64, c: F64, d: F64, start: float, stop: float) -> F64:
    """A pane (1, 4, 3) on the face a, b (base), c, d (top), between two shares along it, a centimetre outside."""

    def at(along: float, up: float) -> F64:
        bottom: F64 = a + along * (b - a)
        top: F64 = d + along * (c - d)
        return bottom + up * (top - bottom)

    corners = np.stack([at(start, 0.14), at(stop, 0.14), at(stop, 0.90), at(start, 0.90)])
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    return (corners + 0.01 * normal / np.linalg.norm(normal))[None]


def _lamps(
    shape: Shape,
    half: float,
    side: float,
    front: tuple[float, float],
    rear: tuple[float, float],
    height: float,
) -> None:
    """Headlights, tail lights, a grille and plates; (height, width) of the lamps."""
    for sign in (-1.0, 1.0):
        shape.box(
            (half - 0.06, sign * 0.64 * side, front[0] + 0.06), (0.11, 0.34 * side, 0.13), Material.HEADLIGHT
        )
        shape.box(
            (-half + 0.06, sign * 0.74 * side, rear[0]), (0.12, rear[1] * side, 0.16), Material.TAILLIGHT
        )
    shape.box((half - 0.04, 0.0, front[0] + 0.02), (0.07, 0.80 * side, 0.14), Material.UNDERBODY)
    shape.box((half - 0.02, 0.0, 0.22 * height), (0.04, 0.50, 0.11), Material.PLATE)
    shape.box((-half + 0.02, 0.0, 0.33 * height), (0.04, 0.50, 0.11), Material.PLATE)


def _truck(kind: str, length: float, width: float, height: float) -> Model:
    half, side = length / 2, width / 2 - 0.012
    cab_high = min(height, 2.75) if kind == "box" else 0.96 * min(height, 2.7)
    cab_rear = half - (1.75 if length < 7.0 else 2.05)
    shape = Shape()
    _cab(shape, cab_rear, half, side, cab_high)
    floor, rear = 1.0, -half + 0.05
    shape.box(((cab_rear + rear) / 2, 0.0, 0.72), (cab_rear - rear, 0.9 * side, 0.30), Material.UNDERBODY)
    _load(shape, kind, (rear, cab_rear - 0.10), side, floor, height)
    wheel = 0.44 if length < 7.0 else 0.50
    axles = [half - 0.95, -half + 0.23 * length] + ([-half + 0.23 * length + 1.15] if length > 8.0 else [])
    for axle in axles:
        for sign in (-1.0, 1.0):
            _wheel(shape, (axle, sign * (width / 2 - 0.15), wheel), wheel, 0.15, sign, side - 0.02)
    for sign in (-1.0, 1.0):
        shape.box((half - 0.06, sign * 0.76 * side, 0.78), (0.13, 0.30, 0.20), Material.HEADLIGHT)
        shape.box((-half + 0.05, sign * 0.80 * side, 0.86), (0.10, 0.28, 0.16), Material.TAILLIGHT)
        shape.box((cab_rear - 0.9, sign * 0.7 * side, 0.62), (1.0, 0.5 * side, 0.45), Material.UNDERBODY)
    shape.box((half - 0.03, 0.0, 0.60), (0.07, 1.7 * side, 0.34), Material.UNDERBODY)
    shape.box((half - 0.005, 0.0, 0.55), (0.04, 0.52, 0.12), Material.PLATE)
    shape.box((-half + 0.03, 0.0, 0.72), (0.06, 0.52, 0.12), Material.PLATE)
    return _model(f"truck/{kind}/{length}", shape, (length, width, height))


def _cab(shape: Shape, rear: float, front: float, side: float, high: float) -> None:
    """A forward-control cab: steep, with a large windscreen over a painted front."""
    waist = 0.42 * high + 0.35
    shape.loft(
        np.array(
            [
                [
                    [rear, side, 0.45],
                    [rear, -side, 0.45],
                    [front - 0.04, -side, 0.45],
                    [front - 0.04, side, 0.45],
                ],
                [[rear, side, waist], [rear, -side, waist], [front, -side, waist], [front, side, waist]],
            ]
        ),
        Material.PAINT,
    )
    top = 0.93 * side
    low = np.array([[rear, side, waist], [rear, -side, waist], [front, -side, waist], [front, side, waist]])
    roof_front = front - 0.30
    roof = np.array(
        [[rear, top, high], [rear, -top, high], [roof_front, -top, high], [roof_front, top, high]]
    )
    shape.loft(np.stack([low, roof]), Material.PAINT)
    (rl, rr, fr, fl), (trl, trr, tfr, tfl) = low, roof
    shape.quads(_pane(fr, fl, tfl, tfr, 0.05, 0.95), Material.GLASS)
    shape.quads(_pane(fl, rl, trl, tfl, 0.10, 0.62), Material.GLASS)
    shape.quads(_pane(rr, fr, tfr, trr, 0.38, 0.90), Material.GLASS)


def _load(
    shape: Shape, kind: str, span: tuple[float, float], side: float, floor: float, height: float
) -> None:
    """What is behind the cab."""
    rear, front = span
    middle, long = (rear + front) / 2, front - rear
    if kind == "box":
        shape.box(
            (middle, 0.0, (floor + height) / 2),
            (long, 2 * side + 0.02, height - floor),
            Material.UPPER_CLOTHES,
        )
        shape.box((rear, 0.0, (floor + height) / 2), (0.06, 0.06, 0.9 * (height - floor)), Material.POLE)
        return
    shape.box((middle, 0.0, floor + 0.05), (long, 2 * side, 0.16), Material.UNDERBODY)
    if kind == "tanker":
        z = (floor + height) / 2
        angle = 2.0 * np.pi * np.arange(12) / 12
        ring = np.stack(
            [0 * angle, 0.94 * side * np.cos(angle), (height - floor) / 2 * np.sin(angle)], axis=-1
        )
        places = [(rear, 0.8), (rear + 0.2, 1.0), (front - 0.2, 1.0), (front, 0.8)]
        shape.loft(
            np.stack([ring * [1, wide, wide] + [x, 0.0, z] for x, wide in places]), Material.UPPER_CLOTHES
        )
        return
    wall = 0.55 if kind == "flatbed" else 0.62 * (height - floor)
    for y in (-side + 0.04, side - 0.04):
        shape.box((middle, y, floor + wall / 2), (long, 0.08, wall), Material.UPPER_CLOTHES)
    for x in (rear + 0.04, front - 0.04):
        shape.box((x, 0.0, floor + wall / 2), (0.08, 2 * side, wall), Material.UPPER_CLOTHES)
    if kind == "flatbed":
        shape.box((front, 0.0, (floor + height) / 2), (0.08, 1.9 * side, height - floor), Material.POLE)
        shape.box((middle, 0.0, floor + 0.45), (0.6 * long, 1.3 * side, 0.75), Material.BARK)
    else:
        shape.box((middle, 0.0, floor + 0.4 * wall), (0.94 * long, 1.9 * side, 0.8 * wall), Material.BARK)
        shape.box(
            (front, 0.0, (floor + height) / 2), (0.10, 1.9 * side, height - floor), Material.UPPER_CLOTHES
        )
