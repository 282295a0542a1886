"""A straight street of boxes that implements ``Scene``: houses, cars that stand or drive, people who walk."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fleetlabel.engine.synth.scene import TINTED, Actors, Light, Material, Mesh
from fleetlabel.geometry import quaternion, se3

BLOCK_M = 50.0
_CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_FACES = np.array(
    [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
)


def box(center, size, material, tint=(0, 0, 0)):
    """Vertices, triangles, materials and tints of a box."""
    vertices = np.asarray(center) + _CORNERS * size
    return vertices, _FACES, np.full(12, material), np.tile(tint, (12, 1))


def merged(key, parts):
    """One mesh of several."""
    first = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
    return Mesh(
        key=key,
        vertices_m=np.concatenate([part[0] for part in parts]).astype(np.float32),
        triangles=np.concatenate([part[1] + n for part, n in zip(parts, first, strict=True)]).astype(
            np.int32
        ),
        material=np.concatenate([part[2] for part in parts]).astype(np.uint8),
        tint_rgb=np.concatenate([part[3] for part in parts]).astype(np.uint8),
    )


@lru_cache
def car_mesh():
    return merged(
        "car",
        [
            box((0, 0, -0.2), (4.4, 1.8, 0.8), Material.PAINT),
            box((-0.3, 0, 0.45), (2.2, 1.5, 0.5), Material.GLASS),
            box((-0.3, 0, 0.725), (1.9, 1.4, 0.05), Material.PAINT),
            *(box((x, y, -0.45), (0.6, 0.2, 0.6), Material.RUBBER) for x in (-1.4, 1.4) for y in (-0.8, 0.8)),
        ],
    )


@lru_cache
def walker_mesh(step):
    swing = (0.0, 0.15, 0.0, -0.15)[step]
    return merged(
        f"walker-{step}",
        [
            box((swing, 0.1, -0.475), (0.15, 0.15, 0.85), Material.LOWER_CLOTHES),
            box((-swing, -0.1, -0.475), (0.15, 0.15, 0.85), Material.LOWER_CLOTHES),
            box((0, 0, 0.25), (0.3, 0.5, 0.6), Material.UPPER_CLOTHES),
            box((0, 0, 0.725), (0.2, 0.2, 0.35), Material.SKIN),
            box((0, 0, -0.89), (0.6, 0.3, 0.02), Material.RUBBER),
        ],
    )


class SmallScene:
    """The street; equal seeds give equal streets."""

    def __init__(self, seed=0, n_cars=10, n_walkers=6, sun=1.0):
        random = np.random.default_rng([seed, 1])
        n = n_cars + n_walkers
        self._walks = np.arange(n) >= n_cars
        side = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
        self._x = random.uniform(5, 80, n)
        self._x[:n_cars] = 6 + 9.0 * np.arange(n_cars) + random.uniform(-1, 1, n_cars)
        self._y = side * np.where(self._walks, random.uniform(6.5, 9.0, n), random.uniform(3.2, 5.0, n))
        self._speed = np.where(self._walks, 1.4, np.where(np.arange(n) % 3 == 0, 6.0, 0.0))
        self._yaw = np.where(side > 0, np.pi, 0.0) + random.uniform(-0.1, 0.1, n)
        self._tints = random.integers(20, 230, (n, len(TINTED), 3)).astype(np.uint8)
        self.light = Light(
            sun_direction=np.array([0.4, -0.5, np.sqrt(1 - 0.41)]),
            sun_rgb=sun * np.array([1.0, 0.96, 0.88]),
            sky_rgb=np.array([0.42, 0.52, 0.68]),
            haze_per_m=0.001,
            exposure=1.0,
        )

    def world_from_ego(self, timestamp_ns):
        t = np.asarray(timestamp_ns, dtype=np.float64) / 1e9
        yaw = 0.1 * np.sin(0.8 * t)
        place = np.stack([8.0 * t, -1.6 + 0.5 * np.sin(0.5 * t), np.zeros_like(t)], axis=1)
        return se3.transform(quaternion.to_matrix(quaternion.from_yaw(yaw)), place)

    def actors(self, timestamp_ns):
        n = len(self._x)
        step = int(timestamp_ns / 2e8) % 4
        poses = np.stack([self.poses(number, np.array([timestamp_ns]))[0] for number in range(n)])
        heading = np.stack([np.cos(self._yaw), np.sin(self._yaw), np.zeros(n)], axis=1)
        return Actors(
            object_id=np.arange(n, dtype=np.int64),
            class_id=np.where(self._walks, 2, 0).astype(np.int16),
            mesh=tuple(walker_mesh(step) if walks else car_mesh() for walks in self._walks),
            center_m=poses[:, :3, 3],
            q_wxyz=quaternion.from_matrix(poses[:, :3, :3]),
            size_lwh_m=np.where(self._walks[:, None], (0.6, 0.5, 1.8), (4.4, 1.8, 1.5)),
            velocity_mps=self._speed[:, None] * heading,
            tints_rgb=self._tints,
        )

    def actors_between(self, start_ns, stop_ns):
        return np.arange(len(self._x), dtype=np.int64)

    def poses(self, object_id, timestamp_ns):
        way = self._speed[object_id] * np.asarray(timestamp_ns, dtype=np.float64) / 1e9
        yaw = self._yaw[object_id]
        place = np.stack(
            [
                self._x[object_id] + way * np.cos(yaw),
                self._y[object_id] + way * np.sin(yaw),
                np.full(len(way), 0.9 if self._walks[object_id] else 0.75),
            ],
            axis=1,
        )
        return se3.transform(quaternion.to_matrix(quaternion.from_yaw(np.full(len(way), yaw))), place)

    def blocks_near(self, place_m):
        own = int(np.floor(place_m[0] / BLOCK_M))
        return tuple(range(own - 2, own + 3))

    def block(self, number):
        x = (number + 0.5) * BLOCK_M
        random = np.random.default_rng([7, number + 1000])
        parts = [
            box((x, 0, -0.5), (BLOCK_M, 12, 1.0), Material.ASPHALT),
            *(
                box((number * BLOCK_M + k, 0, 0.0), (2.0, 0.15, 0.01), Material.MARKING)
                for k in range(2, 50, 6)
            ),
        ]
        for side in (-1, 1):
            parts.append(box((x, side * 8.5, -0.4), (BLOCK_M, 5, 1.1), Material.PAVEMENT))
            parts.append(box((x, side * 60, -0.5), (BLOCK_M, 98, 1.0), Material.GRASS))
            for k in range(3):
                height, width = random.uniform(6, 15), random.uniform(9, 15)
                place = (number * BLOCK_M + 8 + 16 * k, side * 17.0)
                tint = random.integers(90, 220, 3)
                parts.append(box((*place, height / 2), (width, 10, height), Material.FACADE, tint))
                parts += [
                    box((place[0] + u, place[1] - side * 5, z), (1.1, 0.04, 1.4), Material.WINDOW)
                    for u in np.arange(-width / 2 + 1.5, width / 2 - 1, 2.2)
                    for z in np.arange(1.8, height - 1, 2.8)
                ]
        return merged(f"block-{number}", parts)
