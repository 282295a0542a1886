"""Handles of boxes: what is dragged goes where the pointer goes, and nothing else moves."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.viewers.editor import gizmo2d
from fleetlabel.viewers.editor.orbit import OrbitCamera
from fleetlabel.viewers.editor.panes import Handle, Pane, Side
from fleetlabel.viewers.editor.pose import BoxPose

place = st.floats(-200, 200)
boxes = st.builds(
    BoxPose,
    st.tuples(place, place, st.floats(-5, 5)),
    st.tuples(st.floats(0.4, 12), st.floats(0.4, 3), st.floats(0.4, 4)),
    st.floats(-math.pi, math.pi),
)
ways = st.tuples(st.floats(-60, 60), st.floats(-60, 60))


def pane_of(side: Side, box: BoxPose) -> Pane:
    return Pane(side, box, 10.0, 20.0, 300.0, 200.0)


@given(boxes, st.sampled_from(Side), ways)
def test_the_box_follows_the_pointer(box: BoxPose, side: Side, way: tuple[float, float]) -> None:
    pane = pane_of(side, box)
    moved = pane.dragged(box, Handle("body"), (0.0, 0.0), way)
    shift = pane.of_world(np.array(moved.center_m)) - pane.of_world(np.array(box.center_m))
    np.testing.assert_allclose(shift, way, atol=1e-6)
    assert moved.size_lwh_m == box.size_lwh_m
    assert moved.yaw_rad == box.yaw_rad


@given(boxes, st.integers(0, 2), st.sampled_from([-1, 1]), st.floats(-0.3, 4.0))
def test_a_face_moves_and_the_opposite_one_stays(box: BoxPose, axis: int, sign: int, by: float) -> None:
    at = sign * box.size_lwh_m[axis] / 2 + sign * by
    changed = box.with_face(axis, sign, at)
    face, opposite = np.zeros(3), np.zeros(3)
    face[axis], opposite[axis] = at, -sign * box.size_lwh_m[axis] / 2
    own, kept = np.zeros(3), np.zeros(3)
    own[axis], kept[axis] = (s * changed.size_lwh_m[axis] / 2 for s in (sign, -sign))
    np.testing.assert_allclose(changed.world(kept), box.world(opposite), atol=1e-6)
    if box.size_lwh_m[axis] + by > 0.1:
        np.testing.assert_allclose(changed.world(own), box.world(face), atol=1e-6)
    assert changed.size_lwh_m[axis] >= 0.1 - 1e-9


@given(boxes, st.floats(-3.0, 3.0))
def test_the_knob_turns_the_box_by_the_pointers_angle(box: BoxPose, angle: float) -> None:
    pane = pane_of(Side.TOP, box)
    start, middle = pane.knob(box), pane.outline(box).mean(axis=0)
    cos, sin = math.cos(-angle), math.sin(-angle)  # the screen's second axis points down
    off = start - middle
    stop = middle + np.array([cos * off[0] - sin * off[1], sin * off[0] + cos * off[1]])
    turned = pane.dragged(box, Handle("knob"), tuple(start), tuple(stop))
    assert abs(math.remainder(turned.yaw_rad - box.yaw_rad - angle, math.tau)) < 1e-6
    assert turned.center_m == box.center_m


@given(boxes)
def test_what_the_pointer_is_on_is_found(box: BoxPose) -> None:
    for side in Side:
        pane = pane_of(side, box)
        outline = pane.outline(box)
        assert pane.handle_at(box, *outline[1]).kind == "corner"
        assert pane.handle_at(box, *(outline[:2].mean(axis=0))).kind in ("face", "corner")
        assert pane.handle_at(box, -5.0, -5.0) is None
    assert pane_of(Side.TOP, box).handle_at(box, *pane_of(Side.TOP, box).knob(box)).kind in ("knob", "corner")


xyxy = st.tuples(st.floats(0, 90), st.floats(0, 90), st.floats(5, 50), st.floats(5, 50)).map(
    lambda b: (b[0], b[1], min(b[0] + b[2], 100.0), min(b[1] + b[3], 100.0))
)


@given(xyxy, st.sets(st.integers(0, 3), min_size=1, max_size=4), st.floats(-80, 80), st.floats(-80, 80))
def test_a_2d_box_stays_within_its_picture(box: gizmo2d.Xyxy, edges: set[int], du: float, dv: float) -> None:
    x1, y1, x2, y2 = gizmo2d.dragged(box, gizmo2d.Handle2D(tuple(sorted(edges))), du, dv, 100, 100)
    assert -1e-9 <= x1 < x2 <= 100 + gizmo2d.SMALLEST_PX
    assert -1e-9 <= y1 < y2 <= 100 + gizmo2d.SMALLEST_PX
    if edges == {2} and box[0] + 2 < box[2] + du < 100:
        assert (x1, y1, y2) == (box[0], box[1], box[3])
        assert math.isclose(x2, box[2] + du)


@given(st.floats(-3, 3), st.floats(0.1, 1.5), st.floats(3, 100), st.tuples(place, place, place))
def test_rays_meet_what_is_projected(
    azimuth: float, elevation: float, distance: float, target: tuple[float, float, float]
) -> None:
    orbit = OrbitCamera(np.array(target), distance, azimuth, elevation)
    point = orbit.target_m + np.array([0.4, -0.3, 0.2])
    uv, valid = orbit.project(point[None], 800, 500)
    assert valid[0]
    ray = orbit.ray(*uv[0], 800, 500)
    way = (point - orbit.eye_m) / np.linalg.norm(point - orbit.eye_m)
    np.testing.assert_allclose(ray, way, atol=1e-6)
    np.testing.assert_allclose(orbit.project(orbit.target_m[None], 800, 500)[0], [[400, 250]], atol=1e-6)
