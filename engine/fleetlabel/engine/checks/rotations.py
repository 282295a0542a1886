"""Small rotations as vectors: the axis, times the angle in radians."""

from __future__ import annotations

import cv2
import numpy as np

from fleetlabel.geometry.arrays import F64


def rotation_of(vector_rad: F64) -> F64:
    """The rotation matrix (3, 3) of a vector (3,)."""
    return np.asarray(cv2.Rodrigues(np.asarray(vector_rad, dtype=np.float64))[0], dtype=np.float64)


def vector_of(rotation: F64) -> F64:
    """The vector (3,) of a rotation matrix (3, 3)."""
    return np.asarray(cv2.Rodrigues(rotation)[0], dtype=np.float64).reshape(3)
