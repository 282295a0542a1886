"""Yaw arithmetic: wrapping is exact inside the interval, differences take the short arc."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.geometry import yaw

angles = st.floats(-1e4, 1e4)


@given(angles)
def test_wrapping_keeps_the_heading_and_lands_in_range(angle: float) -> None:
    wrapped = float(yaw.wrap(np.float64(angle)))
    assert -np.pi <= wrapped < np.pi
    assert np.isclose(np.cos(wrapped), np.cos(angle), atol=1e-9) and np.isclose(
        np.sin(wrapped), np.sin(angle), atol=1e-9
    )
    assert float(yaw.wrap(np.float64(wrapped))) == wrapped


@given(angles)
def test_the_scalar_kernel_agrees_bit_for_bit(angle: float) -> None:
    assert yaw.wrap_scalar(angle) == float(yaw.wrap(np.float64(angle)))


@given(angles, angles)
def test_the_difference_is_the_short_arc(a: float, b: float) -> None:
    turn = float(yaw.difference(np.float64(a), np.float64(b)))
    assert abs(turn) <= np.pi
    assert np.isclose(np.cos(b + turn), np.cos(a), atol=1e-8)


@given(angles)
def test_half_wrapping_keeps_the_axis(angle: float) -> None:
    axis = float(yaw.wrap_half(np.float64(angle)))
    assert -np.pi / 2 <= axis < np.pi / 2
    assert np.isclose(abs(np.cos(axis - angle)), 1.0, atol=1e-9)


def test_pi_wraps_to_minus_pi() -> None:
    np.testing.assert_array_equal(yaw.wrap(np.array([np.pi, -np.pi, 0.0])), [-np.pi, -np.pi, 0.0])
