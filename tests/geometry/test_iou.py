"""Overlap kernels against shapely, and the numpy path against the compiled one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.geometry import iou
from fleetlabel.geometry.arrays import F64

sizes = st.floats(0.05, 12.0)
offsets = st.floats(-6.0, 6.0)
yaws = st.floats(-7.0, 7.0)
boxes = st.tuples(offsets, offsets, offsets, sizes, sizes, sizes, yaws)


def rectangle(box: Any, origin: Any) -> shapely.Polygon:
    cos, sin = np.cos(box[6]), np.sin(box[6])
    x, y = 0.5 * box[3] * np.array([1, -1, -1, 1]), 0.5 * box[4] * np.array([1, 1, -1, -1])
    return shapely.Polygon(
        np.stack([box[0] - origin[0] + cos * x - sin * y, box[1] - origin[1] + sin * x + cos * y], 1)
    )


def reference(a: Any, b: Any) -> tuple[float, float, float]:
    """BEV IoU, 3D IoU and GIoU by shapely, about the first box, so that shapely keeps its precision."""
    p, q = rectangle(a, a), rectangle(b, a)
    shared, area_a, area_b = p.intersection(q).area, a[3] * a[4], b[3] * b[4]
    high, low = (a[2] + a[5] / 2, b[2] + b[5] / 2), (a[2] - a[5] / 2, b[2] - b[5] / 2)
    both = shared * max(0.0, min(high) - max(low))
    joint = area_a * a[5] + area_b * b[5] - both
    hull = shapely.MultiPoint([*p.exterior.coords, *q.exterior.coords]).convex_hull.area * (
        max(high) - min(low)
    )
    return shared / (area_a + area_b - shared), both / joint, both / joint - (hull - joint) / hull


def check(a: Any, b: Any) -> None:
    first, second = np.array([a], dtype=np.float64), np.array([b], dtype=np.float64)
    expected = reference(a, b)
    for kind, function in enumerate((iou.bev_iou, iou.iou_3d, iou.giou_3d)):
        assert function(first, second)[0, 0] == pytest.approx(expected[kind], abs=1e-9)
        assert iou._pairwise_numpy(first, second, kind)[0, 0] == pytest.approx(expected[kind], abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(boxes, boxes)
def test_overlap_agrees_with_shapely(a: Any, b: Any) -> None:
    check(a, b)


UNIT = (0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.3)
CASES = {
    "identical": (UNIT, UNIT),
    "turned by half": (UNIT, (*UNIT[:6], 0.3 + np.pi)),
    "turned by a quarter": (UNIT, (*UNIT[:6], 0.3 + np.pi / 2)),
    "touching sides": ((0, 0, 0, 2, 2, 1, 0.0), (2, 0, 0, 2, 2, 1, 0.0)),
    "touching corners": ((0, 0, 0, 2, 2, 1, 0.0), (2, 2, 0, 2, 2, 1, 0.0)),
    "touching above": ((0, 0, 0, 2, 2, 1, 0.5), (0, 0, 1, 2, 2, 1, 0.5)),
    "shared side": ((0, 0, 0, 4, 2, 1, 0.0), (1, 0, 0, 2, 2, 1, 0.0)),
    "contained": ((0, 0, 0, 8, 8, 4, 0.1), (0.5, -0.5, 0.1, 1, 2, 1, 1.2)),
    "crossing": ((0, 0, 0, 8, 0.2, 1, 0.0), (0, 0, 0, 8, 0.2, 1, np.pi / 2)),
    "a hair apart in heading": (UNIT, (*UNIT[:6], 0.3 + 1e-12)),
    "a hair apart in place": (UNIT, (1e-13, -1e-13, 0.0, *UNIT[3:])),
    "thin": ((0, 0, 0, 10, 1e-6, 1, 0.7), (0, 0, 0, 1e-6, 10, 1, 0.7)),
    "far": (UNIT, (500.0, 20.0, 0.0, *UNIT[3:])),
}


@pytest.mark.parametrize("case", CASES)
def test_degenerate_cases_agree_with_shapely(case: str) -> None:
    check(*CASES[case])
    check(*reversed(CASES[case]))


@given(boxes, boxes)
@settings(max_examples=30, deadline=None)
def test_overlap_does_not_depend_on_where_the_world_begins(a: Any, b: Any) -> None:
    # A power of two keeps the coordinates' low bits: what is left is what the kernels lose themselves.
    a, b = np.round(np.array([a]), 6), np.round(np.array([b]), 6)
    for box in (a, b):
        box[:, :2] = np.round(box[:, :2] * 1024) / 1024
    far_a, far_b = a.copy(), b.copy()
    far_a[:, :2] += 2.0**22
    far_b[:, :2] += 2.0**22
    np.testing.assert_allclose(iou.giou_3d(far_a, far_b), iou.giou_3d(a, b), atol=1e-12)


@pytest.mark.parametrize("size", [(0.0, 2.0, 1.0), (2.0, 2.0, 0.0), (0.0, 0.0, 0.0)])
def test_boxes_without_extent_overlap_nothing(size: tuple[float, float, float]) -> None:
    flat = np.array([[0.0, 0, 0, *size, 0.2]])
    assert iou.iou_3d(flat, flat)[0, 0] == 0.0
    assert iou.iou_3d(flat, np.array([UNIT]))[0, 0] == 0.0
    assert -1.0 <= iou.giou_3d(flat, flat)[0, 0] <= 0.0


@given(st.lists(st.tuples(offsets, offsets, sizes, sizes), min_size=1, max_size=6))
@settings(deadline=None)
def test_axis_aligned_overlap_is_that_of_unturned_cuboids(
    rows: list[tuple[float, float, float, float]],
) -> None:
    r = np.array(rows)
    cuboids = np.concatenate([r[:, :2], 0 * r[:, :1], r[:, 2:], 0 * r[:, :1] + 1, 0 * r[:, :1]], axis=1)
    xyxy = np.concatenate([r[:, :2] - r[:, 2:] / 2, r[:, :2] + r[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(iou.iou_2d(xyxy, xyxy), iou.bev_iou(cuboids, cuboids), atol=1e-12)


def test_numpy_path_of_axis_aligned_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (20, 2))
    a: F64 = np.concatenate([low, low + rng.uniform(0, 40, (20, 2))], axis=1)
    a[3, 2:] = a[3, :2]
    compiled = iou.iou_2d(a, a)
    monkeypatch.setattr(iou, "HAVE_NUMBA", False)
    np.testing.assert_allclose(iou.iou_2d(a, a), compiled, atol=1e-15)
    assert iou.giou_3d(np.zeros((0, 7)), np.ones((3, 7))).shape == (0, 3)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"b has shape \(2, 5\), expected \(N, 7\)"):
        iou.iou_3d(np.ones((1, 7)), np.ones((2, 5)))
