"""Angles about the vertical axis, in radians: wrapping, and differences along the short arc."""

from __future__ import annotations

import math

import numpy as np

from fleetlabel.geometry.arrays import F64
from fleetlabel.geometry.compiled import kernel

TWO_PI = 2.0 * math.pi


def wrap(angle_rad: F64) -> F64:
    """Bring headings into [-pi, pi), any shape."""
    angle = np.asarray(angle_rad, dtype=np.float64)
    # Values already inside pass through unchanged, so that wrapping twice is wrapping once, bit for bit.
    turned = angle - TWO_PI * np.floor((angle + np.pi) / TWO_PI)
    turned = np.where(turned >= np.pi, turned - TWO_PI, np.where(turned < -np.pi, turned + TWO_PI, turned))
    return np.where((angle >= -np.pi) & (angle < np.pi), angle, turned)


def difference(a_rad: F64, b_rad: F64) -> F64:
    """Turn that leads from heading ``b`` to heading ``a`` by the short arc, in [-pi, pi)."""
    return wrap(np.asarray(a_rad, dtype=np.float64) - np.asarray(b_rad, dtype=np.float64))


def wrap_half(angle_rad: F64) -> F64:
    """Bring axes (headings taken modulo pi) into [-pi/2, pi/2), any shape."""
    return 0.5 * wrap(2.0 * np.asarray(angle_rad, dtype=np.float64))


@kernel
def wrap_scalar(angle_rad: float) -> float:
    """:func:`wrap` of one angle, for use inside kernels."""
    if -math.pi <= angle_rad < math.pi:
        return angle_rad
    turned = angle_rad - TWO_PI * math.floor((angle_rad + math.pi) / TWO_PI)
    if turned >= math.pi:
        return turned - TWO_PI
    if turned < -math.pi:
        return turned + TWO_PI
    return turned
