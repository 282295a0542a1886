"""Rigid transforms against plain matrix algebra."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.arrays import F64


def random_poses(n: int, seed: int) -> F64:
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.normal(size=(n, 3)) * 1000, quaternion.normalize(rng.normal(size=(n, 4)))], axis=1
    )


@given(st.integers(0, 2**32 - 1))
def test_pose_round_trip_and_inverse(seed: int) -> None:
    poses = random_poses(4, seed)
    world_from_ego = se3.from_pose(poses)
    np.testing.assert_allclose(
        world_from_ego[:, :3, :3], Rotation.from_quat(poses[:, 3:], scalar_first=True).as_matrix(), atol=1e-14
    )
    np.testing.assert_allclose(se3.to_pose(world_from_ego), poses, atol=1e-12)
    np.testing.assert_allclose(se3.invert(world_from_ego), np.linalg.inv(world_from_ego), atol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_apply_carries_points_as_homogeneous_coordinates(seed: int) -> None:
    transforms = se3.from_pose(random_poses(5, seed))
    points = np.random.default_rng(seed).normal(size=(5, 3)) * 50
    homogeneous = np.concatenate([points, np.ones((5, 1))], axis=1)
    np.testing.assert_allclose(
        se3.apply(transforms[0], points), (homogeneous @ transforms[0].T)[:, :3], atol=1e-9
    )
    each = np.stack([(m @ p)[:3] for m, p in zip(transforms, homogeneous, strict=True)])
    np.testing.assert_allclose(se3.apply(transforms, points), each, atol=1e-9)


def test_composition_reads_right_to_left() -> None:
    world_from_ego, ego_from_lidar = se3.from_pose(random_poses(2, 1))
    points = np.random.default_rng(2).normal(size=(9, 3))
    np.testing.assert_allclose(
        se3.apply(world_from_ego @ ego_from_lidar, points),
        se3.apply(world_from_ego, se3.apply(ego_from_lidar, points)),
        atol=1e-9,
    )


def test_shapes() -> None:
    assert se3.from_pose(random_poses(6, 0).reshape(2, 3, 7)).shape == (2, 3, 4, 4)
    assert se3.transform(np.eye(3), np.zeros((8, 3))).shape == (8, 4, 4)
    assert se3.apply(np.eye(4), np.empty((0, 3))).shape == (0, 3)
    assert se3.apply(np.empty((0, 4, 4)), np.empty((0, 3))).shape == (0, 3)


def test_a_pose_of_a_quaternion_that_is_not_unit_is_still_rigid() -> None:
    pose = np.array([1.0, 2, 3, 2, 0, 0, 2])
    rotation = se3.from_pose(pose)[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-15)
