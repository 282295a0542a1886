"""Tracks solved around keyframes: exact where people said so, smooth where detections do, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.geometry import yaw
from fleetlabel.geometry.arrays import F64, I64, Bool
from fleetlabel.trackers import (
    Detections2D,
    Detections3D,
    EgoView,
    Resolve2DConfig,
    Status,
    solve_track_2d,
    solve_track_3d,
    steady_from_world,
)
from fleetlabel.trackers.kernels.resolving import course

STEP_NS = 100_000_000
SIZE = (4.2, 1.8, 1.5)


def times(n: int) -> I64:
    return 1_600_000_000_000_000_000 + np.arange(n, dtype=np.int64) * STEP_NS


def driven(n: int, turn_rad: float = 0.4, speed: float = 8.0) -> F64:
    """Poses (n, 4: x y z yaw) of a car that goes straight on."""
    way = speed * 0.1 * np.arange(n)
    one = np.ones(n)
    return np.stack(
        [10 + way * np.cos(turn_rad), 3 + way * np.sin(turn_rad), 0.8 * one, turn_rad * one], axis=1
    )


def seen(pose: F64, frame: I64, seed: int, noise: float = 0.1) -> Detections3D:
    rng = np.random.default_rng(seed)
    n = len(frame)
    return Detections3D(
        frame.astype(np.int32), pose[frame, :3] + rng.normal(scale=noise, size=(n, 3)),
        np.array(SIZE) + rng.normal(scale=0.05, size=(n, 3)), pose[frame, 3] + rng.normal(scale=0.02, size=n),
        rng.uniform(0.6, 0.99, n), np.zeros(n, dtype=np.int16),
    )  # fmt: skip


def nothing() -> Detections3D:
    return seen(driven(2), np.zeros(0, dtype=np.int64), 0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.data())
def test_keyframes_are_exact_and_every_frame_has_a_finite_box(seed: int, n: int, data: st.DataObject) -> None:
    keys = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6, unique=True)))
    rng = np.random.default_rng(seed)
    frame = np.flatnonzero(rng.random(n) < 0.7)
    box = driven(n)[keys] + rng.normal(scale=2.0, size=(len(keys), 4))
    solved = solve_track_3d(times(n), seen(driven(n), frame, seed), keys, box, size_lwh_m=SIZE)
    assert (solved.frame == np.arange(n)).all()
    assert (solved.center_m[keys] == box[:, :3]).all()
    assert (solved.yaw_rad[keys] == box[:, 3]).all()
    assert (solved.status[keys] == Status.human).all()
    assert (solved.center_std_m[keys] == 0.0).all()
    for column in (solved.center_m, solved.yaw_rad, solved.velocity_mps, solved.center_std_m):
        assert np.isfinite(column).all()
    assert (solved.size_lwh_m == SIZE).all()


def test_the_same_again_is_the_same_to_the_last_bit() -> None:
    pose, keys = driven(30), np.array([20, 4])
    one, two = (
        solve_track_3d(times(30), seen(pose, np.arange(3, 28), 1), order, pose[order] + 0.1)
        for order in (keys, keys[::-1])
    )
    for name in ("center_m", "yaw_rad", "size_lwh_m", "center_std_m", "status", "method"):
        assert (getattr(one, name) == getattr(two, name)).all()


def test_no_box_and_no_detection_where_the_object_is_absent() -> None:
    pose, frame = driven(30), np.arange(30)
    wrong = pose.copy()
    wrong[10:15, :2] += 30.0  # what was detected while it was away is something else
    solved = solve_track_3d(times(30), seen(wrong, frame, 2), np.array([5]), pose[[5]], absent=[(10, 15)])
    assert (solved.frame == np.concatenate([np.arange(10), np.arange(15, 30)])).all()
    assert np.linalg.norm(solved.center_m - pose[solved.frame, :3], axis=1).max() < 0.5
    with pytest.raises(ValueError, match="frame 12 has a keyframe but the object is absent"):
        solve_track_3d(times(30), seen(wrong, frame, 2), np.array([12]), pose[[12]], absent=[(10, 15)])


def test_a_stationary_object_has_one_pose_in_the_world_but_keyframes_keep_theirs() -> None:
    pose = driven(40, speed=0.0)
    found = seen(pose, np.arange(40), 3)
    told = solve_track_3d(times(40), found, np.array([7]), pose[[7]] + 0.05, stationary=True)
    assert len(np.unique(told.center_m, axis=0)) == 1
    assert told.stationary
    asked = solve_track_3d(times(40), found, np.zeros(0, np.int64), np.zeros((0, 4)))
    assert asked.stationary
    assert np.linalg.norm(asked.center_m - pose[:, :3], axis=1).max() < 0.1
    moving = solve_track_3d(
        times(40), seen(driven(40), np.arange(40), 3), np.zeros(0, np.int64), np.zeros((0, 4))
    )
    assert not moving.stationary


def test_a_shared_error_of_the_detections_is_taken_out_by_one_keyframe() -> None:
    pose = driven(30)
    off = pose + np.array([0.25, -0.2, 0.1, 0.0])
    found = seen(off, np.arange(30), 4, noise=0.01)
    solved = solve_track_3d(times(30), found, np.array([15]), pose[[15]])
    near = slice(8, 23)
    before = np.linalg.norm(found.center_m[near] - pose[near, :3], axis=1).mean()
    assert np.linalg.norm(solved.center_m[near] - pose[near, :3], axis=1).mean() < 0.6 * before


def test_straight_lines_between_keyframes_where_nothing_was_detected() -> None:
    pose = driven(11)
    pose[:, 3] = np.linspace(3.0, 3.5, 11)  # over the seam, by the short arc
    keys = np.array([0, 10])
    box = pose[keys].copy()
    box[:, 3] = yaw.wrap(box[:, 3])
    solved = solve_track_3d(times(11), nothing(), keys, box, size_lwh_m=SIZE)
    np.testing.assert_allclose(solved.center_m, pose[:, :3], atol=1e-9)
    np.testing.assert_allclose(yaw.difference(solved.yaw_rad, pose[:, 3]), 0.0, atol=1e-9)


@pytest.mark.parametrize("shift_s", [0, 86_400])
@pytest.mark.parametrize("turn", [0.0, 2.0])
def test_neither_the_clock_nor_the_direction_of_the_world_matters(shift_s: int, turn: float) -> None:
    pose, keys = driven(25), np.array([3, 18])
    found = seen(pose, np.arange(2, 24), 5)
    plain = solve_track_3d(times(25), found, keys, pose[keys])
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    moved = Detections3D(
        found.frame,
        found.center_m @ turned.T,
        found.size_lwh_m,
        found.yaw_rad + turn,
        found.score,
        found.class_id,
    )
    key_box = np.column_stack([pose[keys, :3] @ turned.T, pose[keys, 3] + turn])
    other = solve_track_3d(times(25) + shift_s * 10**9, moved, keys, key_box)
    np.testing.assert_allclose(other.center_m, plain.center_m @ turned.T, atol=1e-4)
    np.testing.assert_allclose(yaw.difference(other.yaw_rad, plain.yaw_rad + turn), 0.0, atol=1e-5)


def test_detections_that_face_backwards_or_sideways_turn_nothing() -> None:
    pose = driven(40)
    found = seen(pose, np.delete(np.arange(40), np.arange(21, 27)), 6)
    found.yaw_rad[3::4] += np.pi
    found.yaw_rad[[19, 20]] -= 0.45 * np.pi  # just before it is lost for a while
    found.yaw_rad[21] += 0.45 * np.pi
    solved = solve_track_3d(times(40), found, np.array([10]), pose[[10]])
    assert np.abs(yaw.difference(solved.yaw_rad, pose[:, 3])).max() < 0.1


def test_keyframes_may_say_that_the_front_changes() -> None:
    """A detector that takes the back for the front all along is overruled, and two people may differ."""
    pose = driven(40)
    found = seen(pose, np.arange(40), 7)
    found.yaw_rad[:] += np.pi
    solved = solve_track_3d(times(40), found, np.array([10]), pose[[10]])
    assert np.abs(yaw.difference(solved.yaw_rad, pose[:, 3])).max() < 0.1
    keys = pose[[5, 35]]
    keys[1, 3] += np.pi
    solved = solve_track_3d(times(40), found, np.array([5, 35]), keys)
    assert np.abs(yaw.difference(solved.yaw_rad[:9], pose[:9, 3])).max() < 0.1
    assert np.abs(yaw.difference(solved.yaw_rad[32:], pose[32:, 3] + np.pi)).max() < 0.1


@pytest.mark.parametrize("turn", [0.0, 2.5])
def test_boxes_of_a_wrong_size_are_right_at_the_side_that_faces_the_car(turn: float) -> None:
    """A car 60 m ahead, of which only the back is seen, is detected a metre too long."""
    pose = driven(30, turn_rad=turn)
    forward = np.array([np.cos(turn), np.sin(turn), 0.0])
    found = seen(pose, np.arange(30), 8, noise=0.02)
    found.size_lwh_m[:, 0] += 1.0
    found.center_m[:] += 0.5 * forward
    world_from_ego = np.tile(np.eye(4), (30, 1, 1))
    world_from_ego[:, :3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    world_from_ego[:, :3, 3] = pose[:, :3] - 60.0 * forward
    ego = EgoView(np.linalg.inv(world_from_ego), steady_from_world(world_from_ego))
    none, no_box = np.zeros(0, np.int64), np.zeros((0, 4))
    blind = solve_track_3d(times(30), found, none, no_box, size_lwh_m=SIZE)
    told = solve_track_3d(times(30), found, none, no_box, size_lwh_m=SIZE, ego=ego)
    off = [np.abs((solved.center_m - pose[:, :3]) @ forward).mean() for solved in (blind, told)]
    assert off[0] == pytest.approx(0.5, abs=0.05)
    assert off[1] < 0.4 * off[0]


def test_an_edge_goes_on_beyond_the_picture_and_the_box_ends_at_its_border() -> None:
    """An object that leaves to the left, last detected while it is cut off, set by a person at the very end."""
    left = 100.0 - 10.0 * np.arange(20)
    box = np.stack([left, np.full(20, 50.0), left + 80.0, np.full(20, 110.0)], axis=1)
    shown = np.maximum(box, 0.0)
    frame = np.arange(14)
    found = Detections2D(frame.astype(np.int32), shown[:14], np.full(14, 0.99), np.zeros(14, dtype=np.int16))
    keys = np.array([16])
    solved = solve_track_2d(times(17), found, keys, shown[keys], picture_px=(1000, 300))
    np.testing.assert_allclose(solved.xyxy_px, shown[:17], atol=1.5)
    assert (solved.xyxy_px[11:, 0] == 0.0).all()


def test_an_edge_is_out_of_the_picture_where_a_person_saw_it_cut_off() -> None:
    """A car that was lost in the middle of the picture speeds up; its last two boxes are set, cut off on the left."""
    n = 40
    left = 250.0 - 3.0 * np.arange(n) - 0.3 * np.maximum(np.arange(n) - 10, 0) ** 2
    box = np.stack([left, np.full(n, 180.0), left + 120.0, np.full(n, 260.0)], axis=1)
    shown = np.clip(box, 0.0, [1000.0, 300.0, 1000.0, 300.0])
    frame = np.arange(12)
    found = Detections2D(frame.astype(np.int32), shown[:12], np.full(12, 0.99), np.zeros(12, dtype=np.int16))
    out = int(np.flatnonzero(left < 0.0)[0])
    keys = np.array([out, out + 1])
    solved = solve_track_2d(times(out + 2), found, keys, shown[keys], picture_px=(1000, 300))
    np.testing.assert_allclose(solved.xyxy_px[out - 2 : out, 0], shown[out - 2 : out, 0], atol=12.0)
    assert (solved.xyxy_px[keys] == shown[keys]).all()


def test_a_bump_in_the_road_moves_small_boxes_too() -> None:
    n = 60
    bump = np.where(
        (np.arange(n) > 20) & (np.arange(n) < 26), 6.0 * np.sin(np.pi * (np.arange(n) - 20) / 6), 0.0
    )
    top = 180.0 + bump
    box = np.stack([np.full(n, 560.0), top, np.full(n, 580.0), top + 17.0], axis=1)
    rng = np.random.default_rng(5)
    found = Detections2D(
        np.arange(n, dtype=np.int32), box + rng.normal(scale=0.2, size=box.shape), np.full(n, 0.99),
        np.zeros(n, dtype=np.int16),
    )  # fmt: skip
    off = [
        np.abs(solve_track_2d(times(n), found, np.array([10]), box[[10]], config=config).xyxy_px - box).max()
        for config in (Resolve2DConfig(), Resolve2DConfig(shake_px=0.0))
    ]
    assert off[0] < 0.8 * off[1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.data())
def test_picture_boxes_are_exact_at_keyframes_and_never_inside_out(
    seed: int, n: int, data: st.DataObject
) -> None:
    keys = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5, unique=True)))
    rng = np.random.default_rng(seed)
    frame = np.flatnonzero(rng.random(n) < 0.7)
    low = rng.uniform(0, 500, 2) + np.outer(np.arange(n), [8.0, 1.0])
    box = np.concatenate([low, low + np.array([60.0, 40.0])], axis=1) + rng.normal(scale=1.0, size=(n, 4))
    found = Detections2D(
        frame.astype(np.int32),
        box[frame],
        rng.uniform(0.5, 1.0, len(frame)),
        np.zeros(len(frame), dtype=np.int16),
    )
    solved = solve_track_2d(times(n), found, keys, box[keys] + 3.0)
    assert (solved.xyxy_px[keys] == box[keys] + 3.0).all()
    assert (solved.xyxy_px[:, 2:] >= solved.xyxy_px[:, :2]).all()
    assert np.isfinite(solved.xyxy_std_px).all()


def dense_course(
    time_s: F64, measured: F64, seen_at: Bool, spread: F64, bias_std: F64, key: F64, is_key: Bool, key_std: float,
    noise: F64,
) -> tuple[F64, F64]:  # fmt: skip
    """Mean and variance of one number by its joint normal distribution: (K,) of course + bias + noise."""
    acceleration, walk, start_velocity, fade_s = noise
    low = np.minimum(time_s[:, None], time_s) - time_s[0]
    high = np.maximum(time_s[:, None], time_s) - time_s[0]
    prior = (
        walk**2 * low + acceleration**2 * (low**2 * high / 2 - low**3 / 6) + start_velocity**2 * low * high
    )
    prior += 1e4 + (1e3 * walk) ** 2
    bias = np.exp(-(high - low) / fade_s) * np.outer(bias_std, bias_std)
    found, keys = np.flatnonzero(seen_at), np.flatnonzero(is_key)
    rows = np.concatenate([found, keys])
    total = prior[np.ix_(rows, rows)].copy()
    total[: len(found), : len(found)] += bias[np.ix_(found, found)] + np.diag(spread[found] ** 2)
    total[len(found) :, len(found) :] += key_std**2 * np.eye(len(keys))
    start = measured[0] if seen_at[0] or not is_key[0] else key[0]
    gain = prior[:, rows] @ np.linalg.inv(total)
    values = np.concatenate([measured[found], key[keys]]) - start
    return start + gain @ values, np.diag(prior - gain @ prior[rows])


@pytest.mark.parametrize("seed", range(5))
def test_the_course_is_that_of_the_dense_normal_distribution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 25
    time_s = np.cumsum(rng.uniform(0.05, 0.2, n))
    measured, key = np.cumsum(rng.normal(size=n)), np.cumsum(rng.normal(size=n))
    seen_at, is_key = rng.random(n) < 0.7, rng.random(n) < 0.2
    spread, bias_std = rng.uniform(0.2, 0.5, n), rng.uniform(0.1, 0.3, n)
    noise = np.array([0.8, 0.3, 2.0, 1.5])
    mean, var = np.empty((n, 1)), np.empty((n, 1))
    course(
        time_s, measured[:, None], seen_at, spread[:, None], np.zeros(n), bias_std[:, None], key[:, None], is_key,
        0.05, np.ones(n), noise, mean, var,
    )  # fmt: skip
    expected, variance = dense_course(time_s, measured, seen_at, spread, bias_std, key, is_key, 0.05, noise)
    np.testing.assert_allclose(mean[:, 0], expected, atol=1e-4)
    np.testing.assert_allclose(var[:, 0], variance, atol=1e-3)


def test_shaking_poses_are_steadied_and_steady_ones_stay() -> None:
    n, rng = 60, np.random.default_rng(0)
    smooth = np.tile(np.eye(4), (n, 1, 1))
    smooth[:, 0, 3] = 0.8 * np.arange(n) + 0.01 * np.arange(n) ** 2
    np.testing.assert_allclose(steady_from_world(smooth), np.tile(np.eye(4), (n, 1, 1)), atol=1e-6)
    shaking = smooth.copy()
    shaking[:, :3, 3] += rng.normal(scale=0.05, size=(n, 3))
    steadied = (steady_from_world(shaking) @ shaking)[:, :3, 3]
    off = np.linalg.norm(steadied - smooth[:, :3, 3], axis=1).mean()
    assert off < 0.8 * np.linalg.norm(shaking[:, :3, 3] - smooth[:, :3, 3], axis=1).mean()
