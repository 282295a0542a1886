"""Ego poses at any time, against scipy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.trajectory import OutOfRangeError, Trajectory

START_NS = 1_557_539_924_049_000_000


def drive(n: int, seed: int = 0) -> Trajectory:
    rng = np.random.default_rng(seed)
    times = START_NS + np.cumsum(rng.integers(1, 200_000_000, n))
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(size=(n, 3)) * 0.3, axis=0))
    poses = np.concatenate([rng.normal(size=(n, 3)) * 100, turns.as_quat(scalar_first=True)], axis=1)
    return Trajectory(times.astype(np.int64), poses)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1), st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_between_poses_as_numpy_interp_and_scipy_slerp(n: int, seed: int, fractions: list[float]) -> None:
    trajectory = drive(n, seed)
    times = trajectory.timestamp_ns
    asked = (
        (times[0] + np.array(fractions) * (times[-1] - times[0])).astype(np.int64).clip(times[0], times[-1])
    )
    found = trajectory.at(asked)
    since = (asked - times[0]).astype(np.float64)
    knots = (times - times[0]).astype(np.float64)
    for axis in range(3):
        expected = np.interp(since, knots, trajectory.world_from_ego[:, axis])
        np.testing.assert_allclose(found[:, axis, 3], expected, atol=1e-9)
    slerp = Slerp(knots, Rotation.from_quat(trajectory.world_from_ego[:, 3:], scalar_first=True))
    np.testing.assert_allclose(found[:, :3, :3], slerp(since).as_matrix(), atol=1e-9)


def test_at_its_own_times_it_gives_its_own_poses() -> None:
    trajectory = drive(20)
    poses = trajectory.poses_at(trajectory.timestamp_ns)
    np.testing.assert_allclose(poses[:, :3], trajectory.world_from_ego[:, :3], atol=1e-12)
    dot = np.sum(poses[:, 3:] * trajectory.world_from_ego[:, 3:], axis=1)
    np.testing.assert_allclose(np.abs(dot), 1, atol=1e-12)


@given(st.integers(0, 250_000_000))
def test_beyond_its_ends_motion_goes_on_at_constant_velocity(beyond_ns: int) -> None:
    yaw = np.array([0.0, 0.01, 0.02])
    poses = np.concatenate([np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]]), quaternion.from_yaw(yaw)], axis=1)
    trajectory = Trajectory(np.array([0, 100_000_000, 200_000_000]), poses)
    after, before = trajectory.poses_at(np.array([200_000_000 + beyond_ns, -beyond_ns]))
    steps = beyond_ns / 1e8
    assert after[0] == pytest.approx(2 + steps)
    assert before[0] == pytest.approx(-steps)
    assert quaternion.yaw_of(after[3:]) == pytest.approx(0.02 + 0.01 * steps)
    assert quaternion.yaw_of(before[3:]) == pytest.approx(-0.01 * steps)


@pytest.mark.parametrize("length", [1, 5])
def test_further_than_the_limit_is_refused_to_the_nanosecond(length: int) -> None:
    trajectory = drive(length)
    first, last = int(trajectory.timestamp_ns[0]), int(trajectory.timestamp_ns[-1])
    reach = trajectory.max_extrapolation_ns
    assert trajectory.at(np.array([first - reach, last + reach])).shape == (2, 4, 4)
    for asked in (first - reach - 1, last + reach + 1, np.iinfo(np.int64).min, np.iinfo(np.int64).max):
        with pytest.raises(OutOfRangeError, match=str(asked)):
            trajectory.at(np.array([first, asked]))


def test_a_single_pose_holds_around_its_time_and_is_unit() -> None:
    trajectory = Trajectory(np.array([0]), np.array([[1.0, 2, 3, 0, 0, 0, -2]]))
    poses = trajectory.poses_at(np.array([-5, 7]))
    np.testing.assert_allclose(poses[:, :3], [[1, 2, 3]] * 2)
    np.testing.assert_allclose(np.linalg.norm(poses[:, 3:], axis=1), 1)


def test_no_times_give_no_poses() -> None:
    assert drive(3).at(np.empty(0, np.int64)).shape == (0, 4, 4)


def test_what_is_no_trajectory_is_refused_and_the_row_is_named() -> None:
    good = drive(4)
    times, poses = good.timestamp_ns, good.world_from_ego
    with pytest.raises(ValueError, match="at least one"):
        Trajectory(times[:0], poses[:0])
    with pytest.raises(ValueError, match="shape"):
        Trajectory(times, poses[:3])
    with pytest.raises(ValueError, match=r"pose 2 .*not later than pose 1"):
        Trajectory(times[[0, 1, 1, 3]], poses)
    with pytest.raises(ValueError, match="float64 timestamps"):
        Trajectory(times.astype(np.float64), poses)  # type: ignore[arg-type]
    for column, value in ((1, np.nan), (4, np.inf)):
        broken = poses.copy()
        broken[3, column] = value
        with pytest.raises(ValueError, match="ego pose 3"):
            Trajectory(times, broken)
    zero = poses.copy()
    zero[2, 3:] = 0
    with pytest.raises(ValueError, match="ego pose 2"):
        Trajectory(times, zero)
