"""Lifting scenes with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleetlabel.engine.lift import CameraView, LiftedBoxes
from fleetlabel.geometry.yaw import wrap_half
from fleetlabel.model.ontology import CLASSES
from lift.scenes import TIME_NS, Thing, World, lift, look, nearest, scan

STREET = World(
    (
        Thing("car", 14.0, 3.0),
        Thing("car", 9.0, -4.0, 0.3),
        Thing("car", -12.0, 4.0, np.pi - 0.1),
        Thing("car", 25.0, -6.0, 1.2, (4.2, 1.8, 1.5)),
        Thing("car", -30.0, -3.0, 0.05, (4.8, 1.95, 1.7)),
    )
)


def assert_found(world: World, lifted: LiftedBoxes, row: int, within_m: float, yaw_deg: float = 4.0) -> int:
    """The thing was lifted to the right place, heading and height; gives the lifted box."""
    thing = world.things[row]
    found, distance = nearest(lifted, world.center_world(row))
    assert distance < within_m, f"{thing} was lifted {distance:.2f} m off"
    assert CLASSES[lifted.class_id[found]] == thing.name
    heading = thing.yaw + np.arctan2(world.world_from_scene[1, 0], world.world_from_scene[0, 0])
    assert abs(np.degrees(wrap_half(lifted.yaw_rad[found] - heading))) < yaw_deg
    assert abs(lifted.center_m[found, 2] - world.center_world(row)[2]) < 0.2
    return found


@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.08, 0.0), (-0.06, 0.05)])
def test_cars_are_found_on_level_and_sloping_roads(slope: tuple[float, float]) -> None:
    world = replace(STREET, slope=slope)
    lifted = lift(world)
    assert len(lifted) == len(world.things)
    for row in range(len(world.things)):
        found = assert_found(world, lifted, row, 0.3)
        off = np.abs(lifted.size_lwh_m[found] - world.things[row].size_lwh_m)
        assert np.all(off < (0.5, 0.2, 0.2)), "lengths of which one end is seen are completed to the usual"


def test_a_lidar_of_few_beams_will_do() -> None:
    world = replace(STREET, n_beams=24)
    lifted = lift(world)
    for row in range(len(world.things)):
        assert_found(world, lifted, row, 0.5, yaw_deg=8.0)


def test_a_car_behind_a_pole_is_found_behind_the_pole() -> None:
    world = World((Thing("car", 18.0, 0.5, 0.9), Thing("", 9.0, 0.3, 0.0, (0.3, 0.3, 3.0))))
    assert_found(world, lift(world), 0, 0.4)


def test_of_cars_parked_in_line_each_box_takes_its_own() -> None:
    world = World((Thing("car", 10.0, -4.5), Thing("car", 15.6, -4.6), Thing("car", 21.4, -4.5)))
    lifted = lift(world)
    assert len(lifted) == 3
    for row in range(3):
        assert_found(world, lifted, row, 0.6)


def test_a_near_car_that_the_picture_cuts_off_is_completed() -> None:
    world = World((Thing("car", 1.0, -3.2, 0.05, (4.6, 1.9, 1.6)),))
    view = look(world, ["front"])
    assert view[0].xyxy_px[0, 2] == 1600.0, "the scene should put the car across the picture's border"
    assert_found(world, lift(world, view), 0, 0.5)


def test_a_car_of_which_only_the_back_is_seen_is_completed_away_from_the_sensor() -> None:
    world = World((Thing("car", 15.0, 0.0),))
    found = assert_found(world, lift(world), 0, 0.4)
    assert lift(world).center_m[found, 0] > 14.5


def test_two_cameras_views_of_one_car_become_one_cuboid() -> None:
    world = World((Thing("car", 6.0, 6.0, 0.4),))
    views = look(world, ["front", "left"])
    assert len(views[0].xyxy_px) == len(views[1].xyxy_px) == 1
    lifted = lift(world, views)
    assert len(lifted) == 1
    assert_found(world, lifted, 0, 0.4)
    assert set(zip(lifted.merged_view.tolist(), lifted.merged_detection.tolist(), strict=True)) == {
        (0, 0),
        (1, 0),
    }
    assert lifted.score[0] > lift(world, views[:1]).score[0], "two witnesses are better than one"


def test_boxes_of_one_picture_around_one_car_become_one_cuboid() -> None:
    world = World((Thing("car", 12.0, 1.0, 0.4),))
    (view,) = look(world, ["front"])
    twice = replace(
        view,
        xyxy_px=np.concatenate([view.xyxy_px, view.xyxy_px + np.array([4.0, -3.0, 6.0, 5.0])]),
        score=np.array([0.5, 0.8]),
        class_id=np.array([CLASSES.index("car"), CLASSES.index("truck")]),
    )
    lifted = lift(world, [twice])
    assert len(lifted) == 1
    assert lifted.merged_detection.tolist() in ([0, 1], [1, 0])
    assert CLASSES[lifted.class_id[0]] == "truck", "the surer detection names the object"


def test_people_and_large_vehicles() -> None:
    world = World(
        (
            Thing("pedestrian", 9.0, 2.0, 0.0, (0.6, 0.6, 1.75)),
            Thing("pedestrian", -14.0, -3.0, 0.0, (0.6, 0.6, 1.6)),
            Thing("bus", 20.0, -7.0, 0.1, (11.0, 2.6, 3.2)),
            Thing("truck", -18.0, 8.0, 0.2, (7.5, 2.4, 2.8)),
            Thing("bicycle", 8.0, -4.0, 0.5, (1.8, 0.6, 1.6)),
        )
    )
    lifted = lift(world)
    assert len(lifted) == len(world.things)
    for row, within_m in enumerate((0.25, 0.25, 1.0, 0.8, 0.35)):
        assert_found(world, lifted, row, within_m, yaw_deg=np.inf if row < 2 else 8.0)


def test_a_wall_is_believed_less_than_a_car() -> None:
    car = World((Thing("car", 3.0, 10.0),))
    wall = World((Thing("", 3.0, 10.0, 0.0, (40.0, 0.3, 4.0)),))
    views = look(car, ["left"])
    on_wall = lift(wall, views)
    assert len(on_wall) <= 1
    assert not len(on_wall) or on_wall.score[0] < 0.6 * lift(car, views).score[0]


def test_exposures_from_another_place_of_a_moving_vehicle_are_used_as_such() -> None:
    world = World((Thing("car", 14.0, 3.0), Thing("car", 20.0, -4.0, 0.2)))
    ahead = replace(world, things=tuple(replace(thing, x_m=thing.x_m - 1.5) for thing in world.things))
    moved = [
        replace(
            view, camera_from_world=view.camera_from_world @ _shift(-1.5), timestamp_ns=TIME_NS + 100_000_000
        )
        for view in look(ahead)
    ]
    lifted = lift(world, moved)
    assert len(lifted) == 2
    for row in range(2):
        assert_found(world, lifted, row, 0.3)


def test_a_cuboid_tells_when_its_points_were_measured() -> None:
    world = World(
        (Thing("car", 0.0, 12.0),)
    )  # the lidar passes there a quarter of a turn, 25 ms, after looking ahead
    lifted = lift(world)
    assert abs(lifted.timestamp_ns[0] - (TIME_NS + 25_000_000)) < 5_000_000
    assert lifted.n_points[0] > 100


def test_a_moving_car_seen_by_two_lidars_one_after_the_other_is_one_clean_cuboid() -> None:
    world = World((Thing("car", 15.0, 3.0),))
    later = World((Thing("car", 16.2, 3.0),))
    first, second = scan(world), scan(later, seed=1)
    thinned = np.arange(0, len(second.points_world), 3)
    late = replace(
        second,
        points_world=second.points_world[thinned],
        timestamp_ns=second.timestamp_ns[thinned] + 80_000_000,
        lidar=second.lidar[thinned],
    )
    lifted = lift(world, points=type(first).concatenate([first, late]))
    found = assert_found(world, lifted, 0, 0.3)
    assert lifted.size_lwh_m[found, 0] < 4.9


def test_detections_without_support_are_dropped_and_counted() -> None:
    world = World((Thing("car", 14.0, 3.0),))
    view = look(world, ["front"])[0]
    sky = np.array([[700.0, 10.0, 900.0, 120.0]])
    both = CameraView(
        camera=view.camera,
        camera_from_world=view.camera_from_world,
        timestamp_ns=view.timestamp_ns,
        xyxy_px=np.concatenate([view.xyxy_px, sky]),
        score=np.array([0.9, 0.9]),
        class_id=np.repeat(view.class_id, 2),
    )
    lifted = lift(world, [both])
    assert len(lifted) == 1
    assert lifted.n_unsupported == 1


def _shift(x_m: float) -> np.ndarray:
    moved = np.eye(4)
    moved[0, 3] = x_m
    return moved
