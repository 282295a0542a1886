"""What may not change a lift, and input that must not break it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetlabel.engine.lift import CameraView, LidarPoints, LiftConfig, LiftedBoxes, lift_frame
from fleetlabel.geometry.yaw import wrap_half
from fleetlabel.model.cameras import FisheyeCamera
from fleetlabel.model.ontology import CLASSES
from lift.scenes import TIME_NS, Thing, World, lift, look, scan

WORLD = World(
    (
        Thing("car", 12.0, 3.0, 0.2),
        Thing("car", -9.0, -4.0, 1.3),
        Thing("pedestrian", 8.0, -3.0, 0.0, (0.6, 0.6, 1.75)),
        Thing("truck", 22.0, -7.0, 0.1, (7.5, 2.4, 2.8)),
        Thing("", -12.0, 12.0, 0.0, (8.0, 0.3, 3.5)),
    ),
    n_beams=32,
)


def empty_points() -> LidarPoints:
    return LidarPoints.concatenate([])


@pytest.fixture(scope="module")
def expected() -> LiftedBoxes:
    lifted = lift(WORLD)
    assert len(lifted) == 4
    return lifted


def assert_same(found: LiftedBoxes, wanted: LiftedBoxes, atol: float) -> None:
    assert np.array_equal(found.class_id, wanted.class_id)
    assert np.array_equal(found.merged_detection, wanted.merged_detection)
    assert np.array_equal(found.merged_view, wanted.merged_view)
    assert np.allclose(found.center_m, wanted.center_m, rtol=0, atol=atol)
    assert np.allclose(found.size_lwh_m, wanted.size_lwh_m, rtol=0, atol=atol)
    assert np.allclose(found.score, wanted.score, rtol=0, atol=atol)


@settings(max_examples=12)
@given(
    x_m=st.floats(-6e6, 6e6), y_m=st.floats(-6e6, 6e6), yaw=st.floats(-np.pi, np.pi), seed=st.integers(0, 3)
)
@example(x_m=0.0, y_m=0.0, yaw=np.pi, seed=0)
@example(x_m=691_608.3, y_m=5_334_761.9, yaw=-np.pi / 2, seed=0)
def test_where_the_world_lies_does_not_matter(x_m: float, y_m: float, yaw: float, seed: int) -> None:
    wanted = lift(WORLD, points=scan(WORLD, seed))
    moved = WORLD.moved(x_m, y_m, yaw)
    found = lift(moved, points=scan(moved, seed))
    assert len(found) == len(wanted)
    # A rounding error can carry a point over a voxel's border: the scene moves by a millimetre at most.
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    assert np.allclose(found.center_m[:, :2], wanted.center_m[:, :2] @ turn.T + (x_m, y_m), rtol=0, atol=0.02)
    assert np.allclose(found.center_m[:, 2], wanted.center_m[:, 2], rtol=0, atol=0.02)
    assert np.allclose(wrap_half(found.yaw_rad - wanted.yaw_rad - yaw), 0.0, atol=0.01)
    assert np.allclose(found.size_lwh_m, wanted.size_lwh_m, rtol=0, atol=0.02)
    assert np.all((found.yaw_rad >= -np.pi) & (found.yaw_rad < np.pi))


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_points_does_not_matter(seed: int) -> None:
    points = scan(WORLD)
    order = np.random.default_rng(seed).permutation(len(points.points_world))
    mixed = replace(
        points,
        points_world=points.points_world[order],
        timestamp_ns=points.timestamp_ns[order],
        lidar=points.lidar[order],
    )
    assert_same(lift(WORLD, points=mixed), lift(WORLD, points=points), 1e-6)


def test_the_same_again_gives_exactly_the_same(expected: LiftedBoxes) -> None:
    again = lift(WORLD)
    for name in LiftedBoxes.__dataclass_fields__:
        assert np.array_equal(getattr(again, name), getattr(expected, name)), name


def test_points_that_are_not_finite_are_dropped_and_counted(expected: LiftedBoxes) -> None:
    points = scan(WORLD)
    bad = np.array([[np.nan, 0.0, 0.0], [3.0, np.inf, 0.0], [1.0, 1.0, -np.inf], [np.nan] * 3])
    poisoned = LidarPoints(
        points_world=np.concatenate([bad, points.points_world]),
        timestamp_ns=np.concatenate([np.full(len(bad), TIME_NS), points.timestamp_ns]),
        lidar=np.concatenate([np.zeros(len(bad), np.int16), points.lidar]),
        origin_world=points.origin_world,
    )
    found = lift(WORLD, points=poisoned)
    assert found.n_dropped_points == len(bad)
    assert_same(found, expected, 1e-9)


@pytest.mark.parametrize(
    "case", ["no points", "no lidar", "all points broken", "one point", "points far away"]
)
def test_sweeps_without_use_give_no_cuboids(case: str) -> None:
    points = scan(WORLD)
    given_points = {
        "no points": replace(empty_points(), origin_world=points.origin_world),
        "no lidar": empty_points(),
        "all points broken": replace(points, points_world=np.full_like(points.points_world, np.nan)),
        "one point": replace(points, points_world=points.points_world[:1], timestamp_ns=points.timestamp_ns[:1],
                             lidar=points.lidar[:1]),
        "points far away": replace(points, points_world=points.points_world + np.array([0.0, 5000.0, 0.0])),
    }[case]  # fmt: skip
    found = lift(WORLD, points=given_points)
    assert len(found) == 0
    assert found.center_m.shape == (0, 3)
    assert found.q_wxyz.shape == (0, 4)
    assert found.merged_ptr.tolist() == [0]
    assert found.n_unsupported == sum(len(view.score) for view in look(WORLD))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_handfuls_of_points_at_scattered_times_do_no_harm(n: int) -> None:
    road, car = scan(World(())), np.array([[9.8 + 0.3 * k, 2.5 + 0.2 * k, 0.6 + 0.1 * k] for k in range(n)])
    points = LidarPoints(
        points_world=np.concatenate([road.points_world, car]),
        timestamp_ns=np.concatenate([road.timestamp_ns, TIME_NS + 80_000_000 * np.arange(n)]),
        lidar=np.zeros(len(road.points_world) + n, dtype=np.int16),
        origin_world=road.origin_world,
    )
    found = lift_frame(points, look(WORLD), np.eye(4), TIME_NS, CLASSES, LiftConfig(min_points=1))
    assert len(found) <= 2
    for name in ("center_m", "size_lwh_m", "yaw_rad", "score", "quality"):
        assert np.all(np.isfinite(getattr(found, name))), name


def test_no_cameras_and_no_detections_give_no_cuboids() -> None:
    blank = [
        replace(view, xyxy_px=np.empty((0, 4)), score=np.empty(0), class_id=np.empty(0, np.int64))
        for view in look(WORLD)
    ]
    for views in ([], blank):
        assert len(lift_frame(scan(WORLD), views, np.eye(4), TIME_NS, CLASSES)) == 0


@pytest.mark.parametrize(
    "box",
    [
        [100.0, 100.0, 100.0, 200.0],
        [300.0, 200.0, 200.0, 100.0],
        [np.nan, 0.0, 50.0, 50.0],
        [-900.0, -900.0, -800.0, -800.0],
        [5000.0, 400.0, 5200.0, 500.0],
        [-np.inf, 0.0, np.inf, 900.0],
    ],
)
def test_boxes_that_hold_nothing_change_nothing(box: list[float], expected: LiftedBoxes) -> None:
    views = look(WORLD)
    views[0] = replace(
        views[0],
        xyxy_px=np.concatenate([views[0].xyxy_px, [box]]),
        score=np.append(views[0].score, 0.99),
        class_id=np.append(views[0].class_id, CLASSES.index("car")),
    )
    assert_same(lift(WORLD, views), expected, 1e-9)


def test_a_box_over_the_whole_picture_harms_no_other() -> None:
    views = look(WORLD)
    views[0] = replace(
        views[0],
        xyxy_px=np.concatenate([views[0].xyxy_px, [[0.0, 0.0, 1600.0, 900.0]]]),
        score=np.append(views[0].score, 0.2),
        class_id=np.append(views[0].class_id, CLASSES.index("bus")),
    )
    found = lift(WORLD, views)
    for row in range(4):
        distance = np.linalg.norm(found.center_m - WORLD.center_world(row), axis=1)
        assert distance.min() < 1.0


def test_classes_without_a_typical_size_are_not_lifted() -> None:
    view = look(WORLD, ["front"])[0]
    signs = replace(view, class_id=np.full(len(view.class_id), CLASSES.index("traffic_sign")))
    found = lift(WORLD, [signs])
    assert len(found) == 0
    assert found.n_unsupported == 0
    other_names = lift_frame(
        scan(WORLD), [replace(view, class_id=view.class_id * 0)], np.eye(4), TIME_NS, ("toaster",)
    )
    assert len(other_names) == 0


def test_low_scores_and_thin_support_can_be_refused() -> None:
    points, views = scan(WORLD), look(WORLD, score=0.3)
    assert len(lift_frame(points, views, np.eye(4), TIME_NS, CLASSES, LiftConfig(min_score=0.31))) == 0
    assert len(lift_frame(points, views, np.eye(4), TIME_NS, CLASSES, LiftConfig(min_points=10**6))) == 0
    assert len(lift_frame(points, views, np.eye(4), TIME_NS, CLASSES, LiftConfig(max_range_m=5.0))) == 0


def test_scores_stay_probabilities_and_fall_with_the_detectors() -> None:
    sure, unsure = lift(WORLD, look(WORLD, score=0.9)), lift(WORLD, look(WORLD, score=0.3))
    assert np.all((sure.score > 0) & (sure.score <= 1))
    assert np.all((sure.quality > 0) & (sure.quality <= 1))
    assert np.all(np.diff(sure.score) <= 0)
    assert sure.score.min() > unsure.score.max()


def test_a_fisheye_camera_will_do() -> None:
    world = World((Thing("car", 4.0, 7.0, 0.3),))
    fisheye = FisheyeCamera(1600, 1600, 500.0, 500.0, 800.0, 800.0, 0.02, -0.003, 0.0, 0.0)
    pinhole = look(world, ["front"])[0]
    corners = np.array(
        [[4.0 + dx, 7.0 + dy, z] for dx in (-2.3, 2.3) for dy in (-1.0, 1.0) for z in (0.0, 1.6)]
    )
    uv, valid = fisheye.project(
        corners @ pinhole.camera_from_world[:3, :3].T + pinhole.camera_from_world[:3, 3]
    )
    assert valid.all()
    view = CameraView(
        camera=fisheye,
        camera_from_world=pinhole.camera_from_world,
        timestamp_ns=TIME_NS,
        xyxy_px=np.concatenate([uv.min(axis=0), uv.max(axis=0)])[None],
        score=np.array([0.9]),
        class_id=np.array([CLASSES.index("car")]),
    )
    found = lift(world, [view])
    assert len(found) == 1
    assert np.linalg.norm(found.center_m[0, :2] - (4.0, 7.0)) < 0.3


def test_shapes_that_do_not_fit_are_refused() -> None:
    points = scan(WORLD)
    with pytest.raises(ValueError, match="timestamp_ns"):
        replace(points, timestamp_ns=points.timestamp_ns[:-1])
    with pytest.raises(ValueError, match="lidar spans"):
        replace(points, lidar=points.lidar + np.int16(1))
    view = look(WORLD)[0]
    with pytest.raises(ValueError, match="xyxy_px"):
        replace(view, score=np.empty(0))
    with pytest.raises(ValueError, match="camera_from_world"):
        replace(view, camera_from_world=np.eye(3))
