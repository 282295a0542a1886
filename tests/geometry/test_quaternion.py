"""Quaternions against scipy's rotations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation, Slerp

from fleetlabel.geometry import quaternion
from fleetlabel.geometry.arrays import F64

_COMPONENT = st.floats(-1, 1, allow_nan=False)
QUATERNIONS = (
    hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=_COMPONENT)
    .filter(lambda q: bool(np.all(np.linalg.norm(q, axis=1) > 1e-3)))
    .map(quaternion.normalize)
)
# Where the formulas branch or lose digits: no turn, half turns about each axis, hardly any turn, hardly a half turn.
SPECIAL = quaternion.normalize(
    np.array(
        [
            [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [-1, 0, 0, 0],
            [1, 1e-9, 0, 0], [1e-9, 1, 0, 0], [1e-9, 0, 0, -1], [1, 1, 1, 1], [-1, 1, -1, 1], [0, 1, -1, 1e-12],
        ]
    )
)  # fmt: skip


def scipy_of(q_wxyz: F64) -> Rotation:
    return Rotation.from_quat(q_wxyz, scalar_first=True)


def assert_same_rotation(a_wxyz: F64, b_wxyz: F64, atol: float = 1e-12) -> None:
    """q and -q are one rotation; where w is 0 the sign is open."""
    assert np.abs(np.sum(a_wxyz * b_wxyz, axis=-1)) == pytest.approx(1.0, abs=atol)


@given(QUATERNIONS)
def test_matrix_and_back_as_scipy(q: F64) -> None:
    matrix = quaternion.to_matrix(q)
    np.testing.assert_allclose(matrix, scipy_of(q).as_matrix(), atol=1e-14)
    assert_same_rotation(quaternion.from_matrix(matrix), q)


def test_matrix_and_back_at_the_special_rotations() -> None:
    np.testing.assert_allclose(quaternion.to_matrix(SPECIAL), scipy_of(SPECIAL).as_matrix(), atol=1e-15)
    back = quaternion.from_matrix(quaternion.to_matrix(SPECIAL))
    assert_same_rotation(back, SPECIAL)
    assert (back[:, 0] >= 0).all()


@given(QUATERNIONS, st.integers(0, 2**32 - 1))
def test_product_and_rotation_as_scipy(a: F64, seed: int) -> None:
    rng = np.random.default_rng(seed)
    b = quaternion.normalize(rng.normal(size=a.shape))
    vectors = rng.normal(size=(len(a), 3)) * 100
    assert_same_rotation(quaternion.multiply(a, b), (scipy_of(a) * scipy_of(b)).as_quat(scalar_first=True))
    np.testing.assert_allclose(quaternion.rotate(a, vectors), scipy_of(a).apply(vectors), atol=1e-11)
    np.testing.assert_allclose(
        quaternion.rotate(quaternion.conjugate(a), quaternion.rotate(a, vectors)), vectors, atol=1e-11
    )


def test_leading_dimensions_broadcast() -> None:
    q = quaternion.normalize(np.random.default_rng(0).normal(size=(5, 1, 4)))
    vectors = np.random.default_rng(1).normal(size=(7, 3))
    assert quaternion.rotate(q, vectors).shape == (5, 7, 3)
    assert quaternion.to_matrix(q).shape == (5, 1, 3, 3)
    assert quaternion.from_matrix(quaternion.to_matrix(q)).shape == (5, 1, 4)
    one = quaternion.rotate(q[2, 0], vectors)
    np.testing.assert_array_equal(quaternion.rotate(q, vectors)[2], one)
    assert quaternion.normalize(np.empty((0, 4))).shape == (0, 4)


@given(st.floats(-50, 50))
def test_yaw_and_back(yaw: float) -> None:
    q = quaternion.from_yaw(np.array([yaw]))
    assert_same_rotation(q, Rotation.from_euler("z", [yaw]).as_quat(scalar_first=True))
    turn = quaternion.yaw_of(q)[0] - yaw
    assert np.cos(turn) == pytest.approx(1.0, abs=1e-12)


@given(QUATERNIONS)
def test_yaw_is_the_heading_of_the_x_axis(q: F64) -> None:
    heading = quaternion.rotate(q, np.array([1.0, 0.0, 0.0]))
    flat = np.hypot(heading[:, 0], heading[:, 1]) > 1e-6  # straight up or down there is no heading
    expected = np.arctan2(heading[:, 1], heading[:, 0])
    turn = (quaternion.yaw_of(q) - expected)[flat]
    np.testing.assert_allclose(np.cos(turn), 1.0, atol=1e-9)


@given(QUATERNIONS, st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_slerp_as_scipy(q0: F64, alpha: float, seed: int) -> None:
    q1 = quaternion.normalize(np.random.default_rng(seed).normal(size=q0.shape))
    for a, b in zip(q0, q1, strict=True):
        expected = Slerp([0, 1], scipy_of(np.stack([a, b])))([alpha]).as_quat(scalar_first=True)
        assert_same_rotation(quaternion.slerp(a, b, np.array([alpha])), expected, atol=1e-10)


@given(QUATERNIONS, st.floats(-3, 3))
def test_slerp_takes_the_short_arc_and_keeps_its_speed_beyond_the_ends(q0: F64, alpha: float) -> None:
    turn = Rotation.from_rotvec([0.3, -0.5, 0.2])
    q1 = (turn * scipy_of(q0)).as_quat(scalar_first=True)
    expected = (Rotation.from_rotvec(alpha * turn.as_rotvec()) * scipy_of(q0)).as_quat(scalar_first=True)
    for sign in (1.0, -1.0):  # -q1 is the same rotation and must not send it the long way round
        assert_same_rotation(quaternion.slerp(q0, sign * q1, np.full(len(q0), alpha)), expected, atol=1e-10)


def test_slerp_of_equal_and_nearly_equal_rotations() -> None:
    q = SPECIAL[8]
    np.testing.assert_array_equal(quaternion.slerp(q, q, np.array([0.0, 0.3, 1.0])), np.tile(q, (3, 1)))
    near = quaternion.normalize(q + 1e-13)
    assert_same_rotation(quaternion.slerp(q, near, np.array([0.5])), q[None])


@pytest.mark.parametrize("bad", [[0, 0, 0, 0], [np.nan, 0, 0, 1], [np.inf, 0, 0, 0]])
def test_what_is_no_rotation_is_refused_by_name(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        quaternion.normalize(np.array([[1, 0, 0, 0], bad]))
