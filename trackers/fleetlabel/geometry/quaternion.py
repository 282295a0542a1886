"""Unit quaternions ``q_wxyz`` (w, x, y, z; ``w >= 0``), batched over leading dimensions.

A quaternion rotates vectors actively: ``rotate(q, v)`` is ``to_matrix(q) @ v``.
"""

from __future__ import annotations

import numpy as np

from fleetlabel.geometry.arrays import F64

IDENTITY: F64 = np.array([1.0, 0.0, 0.0, 0.0])


def normalize(q_wxyz: F64) -> F64:
    """Unit quaternions with ``w >= 0`` of the same rotations, shape (..., 4).

    Raises:
        ValueError: a quaternion is zero or not finite and so names no rotation.
    """
    q = np.asarray(q_wxyz, dtype=np.float64)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    if not bool(np.all(np.isfinite(norm) & (norm > 1e-12))):
        bad = q.reshape(-1, 4)[~(np.isfinite(norm) & (norm > 1e-12)).reshape(-1)][0]
        raise ValueError(
            f"quaternion {bad.tolist()} is zero or not finite; expected w, x, y, z of a rotation"
        )
    unit: F64 = np.where(q[..., :1] < 0, -q, q) / norm
    return unit


def multiply(a_wxyz: F64, b_wxyz: F64) -> F64:
    """Hamilton product, shape (..., 4): first ``b``, then ``a``."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a_wxyz, dtype=np.float64), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b_wxyz, dtype=np.float64), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q_wxyz: F64) -> F64:
    """Inverse rotations of unit quaternions, shape (..., 4)."""
    conjugated: F64 = np.asarray(q_wxyz, dtype=np.float64) * np.array([1.0, -1.0, -1.0, -1.0])
    return conjugated


def rotate(q_wxyz: F64, vectors: F64) -> F64:
    """Vectors (..., 3) rotated by unit quaternions (..., 4)."""
    q = np.asarray(q_wxyz, dtype=np.float64)
    v = np.asarray(vectors, dtype=np.float64)
    twice_cross = 2.0 * np.cross(q[..., 1:], v)
    return v + q[..., :1] * twice_cross + np.cross(q[..., 1:], twice_cross)


def to_matrix(q_wxyz: F64) -> F64:
    """Rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = np.moveaxis(np.asarray(q_wxyz, dtype=np.float64), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_matrix(rotation: F64) -> F64:
    """Unit quaternions (..., 4) of rotation matrices (..., 3, 3).

    Builds the 4x4 symmetric matrix ``4 q qT - 1`` and takes its column with the largest diagonal, which is
    never badly conditioned (Shepperd, 1978).
    """
    m = np.asarray(rotation, dtype=np.float64)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    xw, yw, zw = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    columns = np.stack(
        [
            np.stack([1 + m00 + m11 + m22, xw, yw, zw], axis=-1),
            np.stack([xw, 1 + m00 - m11 - m22, xy, xz], axis=-1),
            np.stack([yw, xy, 1 - m00 + m11 - m22, yz], axis=-1),
            np.stack([zw, xz, yz, 1 - m00 - m11 + m22], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.diagonal(columns, axis1=-2, axis2=-1), axis=-1)
    return normalize(np.take_along_axis(columns, best[..., None, None], axis=-2)[..., 0, :])


def from_yaw(yaw_rad: F64) -> F64:
    """Rotations about z by ``yaw_rad`` (...), as quaternions (..., 4)."""
    half = 0.5 * np.asarray(yaw_rad, dtype=np.float64)
    zero = np.zeros_like(half)
    return normalize(np.stack([np.cos(half), zero, zero, np.sin(half)], axis=-1))


def yaw_of(q_wxyz: F64) -> F64:
    """Heading (...) in radians, [-pi, pi]: the direction of the rotated x axis seen from above."""
    w, x, y, z = np.moveaxis(np.asarray(q_wxyz, dtype=np.float64), -1, 0)
    yaw_rad: F64 = np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))
    return yaw_rad


def slerp(q0_wxyz: F64, q1_wxyz: F64, alpha: F64) -> F64:
    """Spherical interpolation along the short arc: ``q0`` at ``alpha`` 0, ``q1`` at 1; ``alpha`` is (...).

    Values of ``alpha`` outside [0, 1] continue the rotation at constant angular velocity (Shoemake, 1985).
    """
    q0 = np.asarray(q0_wxyz, dtype=np.float64)
    q1 = np.asarray(q1_wxyz, dtype=np.float64)
    t = np.asarray(alpha, dtype=np.float64)[..., None]
    relative = multiply(conjugate(q0), q1)
    relative = np.where(relative[..., :1] < 0, -relative, relative)
    sin_half = np.linalg.norm(relative[..., 1:], axis=-1, keepdims=True)
    half = np.arctan2(sin_half, relative[..., :1])
    # sin(t*half)/sin(half) -> t where the two rotations coincide.
    ratio = np.where(sin_half > 1e-12, np.sin(t * half) / np.where(sin_half > 1e-12, sin_half, 1.0), t)
    step = np.concatenate([np.cos(t * half), relative[..., 1:] * ratio], axis=-1)
    return normalize(multiply(q0, step))
