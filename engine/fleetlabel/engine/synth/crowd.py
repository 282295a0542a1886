"""What the objects of a place have in common: constant properties in columns, and where they are at given times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.engine.synth.scene import TINTED
from fleetlabel.engine.synth.shapes_people import cyclists, pedestrians
from fleetlabel.engine.synth.shapes_vehicles import Model, cars, trucks
from fleetlabel.geometry.arrays import F64, I16, I64, U8, Bool

CAR, TRUCK, PEDESTRIAN, BICYCLE = range(4)
_CAR_PAINTS = np.array(
    [
        (232, 232, 230),
        (24, 25, 28),
        (92, 96, 101),
        (168, 172, 176),
        (140, 22, 26),
        (28, 52, 104),
        (70, 92, 130),
        (46, 70, 54),
        (196, 176, 140),
        (214, 120, 30),
        (228, 200, 40),
        (98, 60, 44),
        (120, 140, 160),
    ]
)
_TRUCK_PAINTS = np.array(
    [
        (235, 235, 232),
        (190, 36, 32),
        (34, 70, 140),
        (230, 180, 40),
        (48, 110, 70),
        (60, 62, 66),
        (222, 110, 34),
    ]
)
_LOAD_PAINTS = np.array(
    [
        (240, 240, 238),
        (225, 225, 220),
        (200, 60, 50),
        (60, 96, 160),
        (150, 152, 150),
        (70, 130, 90),
        (236, 206, 90),
    ]
)
_UPPERS = np.array(
    [
        (30, 32, 40),
        (150, 30, 34),
        (40, 70, 130),
        (230, 228, 220),
        (110, 112, 116),
        (60, 96, 66),
        (214, 160, 50),
        (120, 70, 130),
        (200, 110, 120),
        (90, 64, 48),
        (30, 110, 120),
        (232, 96, 30),
    ]
)
_LOWERS = np.array([(28, 30, 36), (44, 58, 92), (70, 72, 76), (120, 104, 82), (96, 112, 140), (60, 48, 44)])


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Objects' constant properties, K rows.

    Attributes:
        object_id, class_id: (K,).
        models: (K,).
        size_lwh_m: (K, 3).
        tints_rgb: (K, len(TINTED), 3).
    """

    object_id: I64
    class_id: I16
    models: tuple[Model, ...]
    size_lwh_m: F64
    tints_rgb: U8


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where objects are in road coordinates, arrays of any one shape.

    Attributes:
        s_m, d_m, yaw_rad: place, and heading relative to the road's.
        s_mps, d_mps: rates of change of ``s_m`` and ``d_m``.
        walked_m: distance covered; says which phase of its movement an object is in.
    """

    s_m: F64
    d_m: F64
    yaw_rad: F64
    s_mps: F64
    d_mps: F64
    walked_m: F64


def columns(places: Places) -> list[F64]:
    """The arrays of places, in order."""
    return [places.s_m, places.d_m, places.yaw_rad, places.s_mps, places.d_mps, places.walked_m]


def still_places(s_m: F64, d_m: F64, yaw_rad: F64) -> Places:
    """Places of what does not move."""
    zero = np.zeros(s_m.shape)
    return Places(s_m, d_m, yaw_rad, zero, zero, zero)


def draw_crowd(rng: np.random.Generator, object_id: I64, class_id: I16, largest_m: float = 99.0) -> Crowd:
    """Objects of given classes with drawn bodies and colours; none is longer than ``largest_m``."""
    pools = (cars(), trucks(), pedestrians(), cyclists())
    draw = rng.random((class_id.size, 2))
    models = tuple(
        _pick([model for model in pools[row] if model.size_lwh_m[0] <= largest_m], share)
        for row, share in zip(class_id.tolist(), draw[:, 0].tolist(), strict=True)
    )
    size = np.array([model.size_lwh_m for model in models]).reshape(-1, 3)
    return Crowd(object_id, class_id, models, size, _tints(rng, class_id))


def _pick(models: list[Model], share: float) -> Model:
    return models[int(share * len(models))]


def _tints(rng: np.random.Generator, class_id: I16) -> U8:
    """Colours (K, len(TINTED), 3) of paint, upper clothes (a truck's load), lower clothes; facades have none."""
    count = class_id.size
    tints = np.zeros((count, len(TINTED), 3))
    truck = (class_id == TRUCK)[:, None]
    weights = np.concatenate([np.full(4, 0.14), np.full(9, 0.44 / 9)])
    tints[:, 0] = np.where(truck, rng.choice(_TRUCK_PAINTS, count), rng.choice(_CAR_PAINTS, count, p=weights))
    tints[:, 1] = np.where(truck, rng.choice(_LOAD_PAINTS, count), rng.choice(_UPPERS, count))
    tints[:, 2] = rng.choice(_LOWERS, count)
    shade = rng.uniform(0.82, 1.08, (count, 3, 1))
    tints[:, :3] = np.clip(tints[:, :3] * shade, 0.0, 255.0)
    return tints.astype(np.uint8)


def join(crowds: Sequence[Crowd], rows: Sequence[I64 | Bool]) -> Crowd:
    """Some rows of several crowds, one after another."""
    chosen = [np.arange(crowd.object_id.size)[row] for crowd, row in zip(crowds, rows, strict=True)]
    return Crowd(
        np.concatenate([crowd.object_id[row] for crowd, row in zip(crowds, chosen, strict=True)]),
        np.concatenate([crowd.class_id[row] for crowd, row in zip(crowds, chosen, strict=True)]),
        tuple(crowd.models[k] for crowd, row in zip(crowds, chosen, strict=True) for k in row.tolist()),
        np.concatenate([crowd.size_lwh_m[row] for crowd, row in zip(crowds, chosen, strict=True)]),
        np.concatenate([crowd.tints_rgb[row] for crowd, row in zip(crowds, chosen, strict=True)]),
    )
