"""Cuboids against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from fleetlabel.geometry import boxes, quaternion
from fleetlabel.geometry.arrays import F64, Bool

SEEDS = st.integers(0, 2**32 - 1)


def random_boxes(n: int, rng: np.random.Generator) -> tuple[F64, F64, F64]:
    return (
        rng.normal(size=(n, 3)) * 10,
        rng.uniform(0.1, 8, size=(n, 3)),
        quaternion.normalize(rng.normal(size=(n, 4))),
    )


@given(SEEDS)
def test_corners_one_by_one(seed: int) -> None:
    center, size, q = random_boxes(3, np.random.default_rng(seed))
    found = boxes.corners(center, size, q)
    for row in range(3):
        rotation = Rotation.from_quat(q[row], scalar_first=True)
        for corner, (x, y) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)] * 2):
            z = -1 if corner < 4 else 1
            expected = center[row] + rotation.apply(0.5 * size[row] * np.array([x, y, z]))
            np.testing.assert_allclose(found[row, corner], expected, atol=1e-11)


def test_edges_join_corners_that_differ_in_one_axis() -> None:
    assert len(set(boxes.EDGES)) == 12
    for a, b in boxes.EDGES:
        assert np.count_nonzero(boxes.UNIT_CORNERS[a] != boxes.UNIT_CORNERS[b]) == 1


def within_hull(points: F64, corners: F64) -> tuple[Bool, Bool]:
    """Which points lie within the half-spaces of the corners' hull, and which of them too near a face to call."""
    faces = ConvexHull(corners).equations
    height = (points @ faces[:, :3].T + faces[:, 3]).max(axis=1)
    return height <= 0, np.abs(height) < 1e-9


@given(SEEDS, st.floats(0, 1))
def test_points_in_box_are_those_within_its_half_spaces(seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    center, size, q = random_boxes(1, rng)
    points = center + rng.uniform(-6, 6, size=(200, 3))
    inside = boxes.points_in_box(points, center[0], size[0], q[0], margin)
    expected, unsure = within_hull(points, boxes.corners(center, size + 2 * margin, q)[0])
    np.testing.assert_array_equal(inside[~unsure], expected[~unsure])


@given(SEEDS, st.floats(0, 0.5), st.sampled_from([np.float32, np.float64]))
def test_counts_are_sums_over_single_boxes(seed: int, margin: float, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    center, size, q = random_boxes(7, rng)
    points = (rng.normal(size=(500, 3)) * 12).astype(dtype)
    points[::50] = np.nan
    points[1::50, 0] = np.inf
    expected = [boxes.points_in_box(points, *one, margin).sum() for one in zip(center, size, q, strict=True)]
    np.testing.assert_array_equal(boxes.count_points_in_boxes(points, center, size, q, margin), expected)


def test_nothing_counts_as_nothing() -> None:
    center, size, q = random_boxes(3, np.random.default_rng(0))
    np.testing.assert_array_equal(boxes.count_points_in_boxes(np.empty((0, 3)), center, size, q), [0, 0, 0])
    assert boxes.count_points_in_boxes(np.zeros((4, 3)), center[:0], size[:0], q[:0]).shape == (0,)
    assert boxes.corners(center[:0], size[:0], q[:0]).shape == (0, 8, 3)


def test_a_face_belongs_to_the_box() -> None:
    box = (np.zeros(3), np.array([4.0, 2.0, 1.0]), quaternion.IDENTITY)
    points = np.array([[2, 0, 0], [2.0001, 0, 0], [0, -1, 0.5], [0, 0, 0.51]])
    np.testing.assert_array_equal(boxes.points_in_box(points, *box), [True, False, True, False])
    assert boxes.count_points_in_boxes(points, *(part[None] for part in box))[0] == pytest.approx(2)
