"""The road under a sweep."""

from __future__ import annotations

import numpy as np
import pytest

from fleetlabel.engine.lift.ground import fit_ground
from fleetlabel.geometry.arrays import F64
from lift.scenes import LIDAR_HEIGHT_M, Thing, World, scan


def heights_above(world: World, xy: list[tuple[float, float]]) -> F64:
    """How far the fitted road lies above the true one at places."""
    at = np.array(xy)
    return fit_ground(scan(world).points_world, 80.0).at(at) - world.road_m(at[:, 0], at[:, 1])


GRID = [(x, y) for x in (-35.0, -20.0, -8.0, 5.0, 15.0, 30.0) for y in (-25.0, -10.0, 0.0, 12.0)]


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.1, 0.0), (-0.05, 0.08), (0.0, -0.12)])
def test_it_follows_slopes(slope: tuple[float, float]) -> None:
    assert np.abs(heights_above(World((), slope=slope), GRID)).max() < 0.1


def test_it_passes_under_vehicles_and_beside_walls() -> None:
    world = World(
        (
            Thing("", 10.0, 2.0, 0.2, (11.0, 2.6, 3.2)),
            Thing("", -8.0, -3.0, 0.0),
            Thing("", 0.0, 14.0, 0.0, (60.0, 0.4, 5.0)),
        ),
        slope=(0.04, 0.0),
    )
    assert (
        np.abs(heights_above(world, [(10.0, 2.0), (8.0, 1.8), (-8.0, -3.0), (0.0, 13.0), (20.0, 12.5)])).max()
        < 0.15
    )


def test_a_rising_road_is_followed_over_the_crest() -> None:
    x, y = np.meshgrid(np.arange(-40.0, 40.0, 0.3), np.arange(-20.0, 20.0, 0.3))
    road = 0.002 * x.ravel() ** 2  # 16 % at its ends
    found = fit_ground(np.column_stack([x.ravel(), y.ravel(), road - LIDAR_HEIGHT_M]), 80.0)
    at = np.column_stack([np.arange(-38.0, 38.0, 2.0), np.zeros(38)])
    assert np.abs(found.at(at) + LIDAR_HEIGHT_M - 0.002 * at[:, 0] ** 2).max() < 0.12


def test_returns_from_below_the_road_do_not_pull_it_down() -> None:
    points = scan(World(())).points_world
    stray = np.random.default_rng(0).choice(len(points), 300, replace=False)
    points[stray, 2] -= np.random.default_rng(1).uniform(0.5, 6.0, 300)
    assert np.abs(fit_ground(points, 80.0).at(np.array(GRID))).max() < 0.15


def test_it_does_not_need_the_vehicle_to_stand_at_height_zero() -> None:
    points = scan(World(())).points_world - [0.0, 0.0, 3.7]
    assert np.allclose(fit_ground(points, 80.0).at(np.array(GRID)), -3.7, atol=0.1)


@pytest.mark.parametrize(
    "points", [np.empty((0, 3)), np.array([[5.0, 1.0, -1.7]]), np.array([[5.0, 1.0, -1.7]] * 3)]
)
def test_few_points_give_a_flat_road(points: F64) -> None:
    found = fit_ground(points, 40.0).at(np.array([[0.0, 0.0], [30.0, -20.0], [500.0, 500.0]]))
    assert np.allclose(found, -1.7 if len(points) else 0.0, atol=1e-9)
