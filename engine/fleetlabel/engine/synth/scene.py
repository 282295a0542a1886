"""What the world hands to the sensors: meshes, what stands still, what moves, and the light.

Frames: ``world`` is metric, z up; an object's own frame is x forward, y left, z up with the origin in the middle of
its cuboid. Times are int64 nanoseconds from the start of the drive.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from fleetlabel.geometry.arrays import F32, F64, I16, I32, I64, U8

OBJECT_CLASSES: tuple[str, ...] = ("car", "truck", "pedestrian", "bicycle")  # a bicycle has its rider on it


class Material(IntEnum):
    """What a triangle is made of; says how it is shaded, textured, and how much of a lidar's pulse comes back."""

    ASPHALT = 0
    MARKING = 1
    PAVEMENT = 2
    GRASS = 3
    FACADE = 4
    WINDOW = 5
    ROOF = 6
    BARK = 7
    FOLIAGE = 8
    POLE = 9
    PAINT = 10
    GLASS = 11
    RUBBER = 12
    RIM = 13
    HEADLIGHT = 14
    TAILLIGHT = 15
    PLATE = 16
    SKIN = 17
    HAIR = 18
    UPPER_CLOTHES = 19
    LOWER_CLOTHES = 20
    SIGN = 21
    UNDERBODY = 22


# Materials whose colour is the instance's own (car paint, clothes, a facade): rows of ``tints_rgb``.
TINTED: tuple[Material, ...] = (
    Material.PAINT,
    Material.UPPER_CLOTHES,
    Material.LOWER_CLOTHES,
    Material.FACADE,
)


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A triangle mesh in its object's own frame.

    Attributes:
        key: unique name; meshes with the same key are the same mesh.
        vertices_m: (V, 3) float32. A moving object's vertices fill its cuboid exactly: their extent along each axis is
            the cuboid's size, centred.
        triangles: (T, 3) int32 vertex rows, counter-clockwise seen from outside.
        material: (T,) uint8 :class:`Material`.
        tint_rgb: (T, 3) uint8 colour of each triangle where its material has the instance's own; zeros elsewhere.
            Scenery of many instances is merged into one mesh, so that the colour goes with the triangle; for moving
            objects it is zero and the :class:`Actors` row has the colours.
    """

    key: str
    vertices_m: F32
    triangles: I32
    material: U8
    tint_rgb: U8


@dataclass(frozen=True, slots=True, eq=False)
class Actors:
    """Moving and parked objects near the ego vehicle at one time or, row by row, at several.

    Attributes:
        object_id: (K,) int64 unique in the drive.
        class_id: (K,) int16 row of :data:`OBJECT_CLASSES`.
        mesh: (K,) each object's mesh at that time (a pedestrian's changes with the step).
        center_m, q_wxyz, size_lwh_m: (K, 3), (K, 4), (K, 3) float64 cuboid in the world; size never changes.
        velocity_mps: (K, 3) float64 in the world.
        tints_rgb: (K, len(TINTED), 3) uint8.
    """

    object_id: I64
    class_id: I16
    mesh: tuple[Mesh, ...]
    center_m: F64
    q_wxyz: F64
    size_lwh_m: F64
    velocity_mps: F64
    tints_rgb: U8


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Sun and sky of a drive.

    Attributes:
        sun_direction: (3,) unit vector towards the sun, world.
        sun_rgb, sky_rgb: (3,) linear intensities; an overcast day has hardly any sun.
        haze_per_m: extinction towards ``sky_rgb`` with distance.
        exposure: of the cameras.
    """

    sun_direction: F64
    sun_rgb: F64
    sky_rgb: F64
    haze_per_m: float
    exposure: float


class Scene(Protocol):
    """A synthetic world along a drive. Everything is a function of the seed and of time or place, in any order.

    Nothing needs what came before it, so that any frame of a drive of any length can be made alone, and memory grows
    with what is near the vehicle only.
    """

    light: Light

    def world_from_ego(self, timestamp_ns: I64) -> F64:
        """True ego poses (N, 4, 4); the ego origin is on the ground below the middle of the rear axle."""

    def actors(self, timestamp_ns: int) -> Actors:
        """Objects within range of the ego vehicle at a time, sorted by id."""

    def actors_between(self, start_ns: int, stop_ns: int) -> I64:
        """Ids (K,) of objects within range at any time of an interval, sorted."""

    def poses(self, object_id: int, timestamp_ns: I64) -> F64:
        """World-from-object transforms (N, 4, 4) of one object at times around which it exists."""

    def blocks_near(self, place_m: F64) -> tuple[int, ...]:
        """Blocks of scenery within range of a place (2 or 3,), sorted."""

    def block(self, number: int) -> Mesh:
        """Ground, buildings, poles and trees of one block, vertices in the world; cached for a few blocks."""
