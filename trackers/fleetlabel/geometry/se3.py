"""Rigid transforms ``dst_from_src``: 4x4 float64 matrices on column vectors, and poses (t_m, q_wxyz) of 7 numbers."""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64


def transform(rotation: F64, translation_m: F64) -> F64:
    """Homogeneous matrices (..., 4, 4) from rotations (..., 3, 3) and translations (..., 3)."""
    rotation = np.asarray(rotation, dtype=np.float64)
    translation = np.asarray(translation_m, dtype=np.float64)
    lead = np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    matrix = np.zeros((*lead, 4, 4))
    matrix[..., :3, :3] = rotation
    matrix[..., :3, 3] = translation
    matrix[..., 3, 3] = 1.0
    return matrix


def invert(dst_from_src: F64) -> F64:
    """``src_from_dst`` of rigid transforms (..., 4, 4)."""
    rotation_t = np.swapaxes(dst_from_src[..., :3, :3], -1, -2)
    translation = -np.einsum("...ij,...j->...i", rotation_t, dst_from_src[..., :3, 3])
    return transform(rotation_t, translation)


def apply(dst_from_src: F64, points_src: F64) -> F64:
    """Points (N, 3) carried by one transform (4, 4), or each by its own (N, 4, 4)."""
    points = np.asarray(points_src, dtype=np.float64)
    if dst_from_src.ndim == 2:
        return points @ dst_from_src[:3, :3].T + dst_from_src[:3, 3]
    carried: F64 = np.einsum("nij,nj->ni", dst_from_src[:, :3, :3], points) + dst_from_src[:, :3, 3]
    return carried


def from_pose(pose: F64) -> F64:
    """Matrices (..., 4, 4) of poses (..., 7): x y z in metres, then q_wxyz."""
    pose = np.asarray(pose, dtype=np.float64)
    return transform(quaternion.to_matrix(quaternion.normalize(pose[..., 3:])), pose[..., :3])


def to_pose(dst_from_src: F64) -> F64:
    """Poses (..., 7): x y z in metres, then q_wxyz, of rigid transforms (..., 4, 4)."""
    q_wxyz = quaternion.from_matrix(dst_from_src[..., :3, :3])
    return np.concatenate([dst_from_src[..., :3, 3], q_wxyz], axis=-1)
