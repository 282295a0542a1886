from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.geometry import boxes as cuboid_geometry
from fleetlabel.geometry import se3
from fleetlabel.geometry.boxes import EDGES
from fleetlabel.model.cameras import CameraModel, FisheyeCamera
from fleetlabel.viewers.outlines import NEAR_M, Outlines, clip_to_rectangle, outline_cuboids
from viewers.synthetic_drive import camera_model, ego_from_camera

CAMERA_FROM_EGO = se3.invert(ego_from_camera(0.0))
KINDS = ("pinhole", "distorted", "fisheye")


def corners_of(
    center: tuple[float, float, float], size: tuple[float, float, float] = (4.0, 2.0, 1.5), yaw: float = 0.0
) -> np.ndarray:
    q = [[np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]]
    return cuboid_geometry.corners(np.array([center]), np.array([size]), np.array(q))


def opencv_pixels(points_camera: np.ndarray, camera: CameraModel) -> np.ndarray:
    """Where OpenCV puts points of the camera frame."""
    points, zero = points_camera.reshape(-1, 1, 3), np.zeros(3)
    if isinstance(camera, FisheyeCamera):
        k = np.array([camera.k1, camera.k2, camera.k3, camera.k4])
        return cv2.fisheye.projectPoints(points, zero, zero, camera.matrix, k)[0].reshape(-1, 2)
    k = np.array([camera.k1, camera.k2, camera.p1, camera.p2, camera.k3])
    return cv2.projectPoints(points, zero, zero, camera.matrix, k)[0].reshape(-1, 2)


def dense_edge_pixels(corners_world: np.ndarray, camera: CameraModel, per_edge: int = 400) -> np.ndarray:
    """Pixels of many points on all edges that lie in front of the camera and in the picture, by OpenCV."""
    corners = se3.apply(CAMERA_FROM_EGO, corners_world.reshape(-1, 3)).reshape(-1, 8, 3)
    edges = corners[:, np.array(EDGES)].reshape(-1, 2, 3)
    share = np.linspace(0, 1, per_edge)[:, None]
    points = (edges[:, :1] + share * (edges[:, 1:] - edges[:, :1])).reshape(-1, 3)
    points = points[points[:, 2] > 2 * NEAR_M]
    # Beyond this the distortion polynomial of the test's camera folds back.
    points = points[np.hypot(points[:, 0], points[:, 1]) < 1.5 * points[:, 2]]
    uv = opencv_pixels(points, camera) if len(points) else np.empty((0, 2))
    inside = (uv >= 0).all(axis=1) & (uv < (camera.width_px, camera.height_px)).all(axis=1)
    return uv[inside]


def distance_to_segments(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Distance of each point to the nearest segment."""
    if not len(points):
        return np.empty(0)
    start, step = segments[:, 0], segments[:, 1] - segments[:, 0]
    length2 = np.maximum((step**2).sum(axis=1), 1e-12)
    t = np.clip(((points[:, None] - start) * step).sum(axis=2) / length2, 0, 1)
    return np.linalg.norm(points[:, None] - (start + t[..., None] * step), axis=2).min(axis=1)


def outline(corners: np.ndarray, camera: CameraModel) -> Outlines:
    return outline_cuboids(corners, CAMERA_FROM_EGO, camera)


@pytest.mark.parametrize("kind", KINDS)
def test_corners_are_where_opencv_puts_them(kind: str) -> None:
    camera, corners = camera_model(kind), corners_of((12.0, 1.0, 0.8), yaw=0.4)
    found = outline(corners, camera)
    expected = opencv_pixels(se3.apply(CAMERA_FROM_EGO, corners[0]), camera)
    ends = found.segments_px.reshape(-1, 2)
    nearest = np.linalg.norm(expected[:, None] - ends[None], axis=2).min(axis=1)
    np.testing.assert_allclose(nearest, 0, atol=1e-6)
    np.testing.assert_allclose(
        found.extent_px[0],
        [*expected.min(axis=0), *expected.max(axis=0)],
        atol=0.2 if kind != "pinhole" else 1e-6,
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(
    x=st.floats(-6, 25),
    y=st.floats(-12, 12),
    z=st.floats(-1, 4),
    yaw=st.floats(-3.2, 3.2),
    length=st.floats(0.3, 18),
)
def test_every_visible_point_of_an_edge_is_drawn(
    kind: str, x: float, y: float, z: float, yaw: float, length: float
) -> None:
    camera, corners = camera_model(kind), corners_of((x, y, z), (length, 2.0, 1.6), yaw)
    found = outline(corners, camera)
    assert np.isfinite(found.segments_px).all()
    assert (found.segments_px >= -1e-6).all()
    assert (found.segments_px <= np.array([camera.width_px, camera.height_px]) + 1e-6).all()
    visible = dense_edge_pixels(corners, camera)
    if len(visible):
        assert distance_to_segments(visible, found.segments_px).max() < 1.0


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(x=st.floats(-4, 20), y=st.floats(-6, 6), yaw=st.floats(-3.2, 3.2))
def test_nothing_is_drawn_but_edges(kind: str, x: float, y: float, yaw: float) -> None:
    camera, corners = camera_model(kind), corners_of((x, y, 0.8), yaw=yaw)
    found = outline(corners, camera)
    middles = found.segments_px.mean(axis=1)
    rays = camera.unproject(middles)
    edges = np.concatenate([corners[0][np.array(EDGES)], floor_mark(corners)])
    edges = se3.apply(CAMERA_FROM_EGO, edges.reshape(-1, 3)).reshape(-1, 2, 3)
    # The ray through the middle of each piece passes close to one of the edges, in angle.
    assert ray_edge_angle(rays, edges).max(initial=0.0) < 0.01


def floor_mark(corners: np.ndarray) -> np.ndarray:
    floor = corners[:, :4]
    return np.stack([floor.mean(axis=1), floor[:, [0, 3]].mean(axis=1)], axis=1)


def ray_edge_angle(rays: np.ndarray, edges: np.ndarray) -> np.ndarray:
    share = np.linspace(0, 1, 4000)[:, None, None]
    points = edges[:, 0] + share * (edges[:, 1] - edges[:, 0])
    directions = (points / np.linalg.norm(points, axis=-1, keepdims=True)).reshape(-1, 3)
    return np.array([np.arccos(np.clip((directions @ ray).max(), -1, 1)) for ray in rays])


def test_a_cuboid_behind_a_pinhole_is_not_drawn() -> None:
    found = outline(corners_of((-8.0, 0.0, 1.0)), camera_model())
    assert len(found.segments_px) == 0
    assert np.isnan(found.extent_px).all()


def test_a_fisheye_sees_beside_itself() -> None:
    camera = FisheyeCamera(400, 400, 110.0, 110.0, 200.0, 200.0)
    found = outline(corners_of((0.5, 4.0, 1.5), (1.0, 1.0, 1.0)), camera)
    assert len(found.segments_px) > 0
    assert found.extent_px[0, 2] < 60, "what is to the left is at the left"


def test_a_cuboid_around_the_camera_is_cut_in_front_of_it() -> None:
    found = outline(corners_of((1.0, 0.2, 1.5), (10.0, 4.0, 3.0)), camera_model())
    assert len(found.segments_px) > 0
    assert np.isfinite(found.extent_px).all()


def test_front_edges_are_marked() -> None:
    found = outline(corners_of((12.0, 0.2, 1.5), yaw=np.pi), camera_model())
    # Turned towards the camera the front face is the near one, so its pieces reach furthest out.
    front = found.segments_px[found.is_front].reshape(-1, 2)
    rear = found.segments_px[~found.is_front].reshape(-1, 2)
    assert np.ptp(front[:, 0]) >= np.ptp(rear[:, 0]) - 1e-9
    assert len(front) // 2 == 5, "four edges and the mark on the floor"


def test_no_cuboids() -> None:
    found = outline(np.empty((0, 8, 3)), camera_model())
    assert found.segments_px.shape == (0, 2, 2)
    assert found.extent_px.shape == (0, 4)


coordinates = st.floats(-50, 150)


@settings(max_examples=300)
@given(st.tuples(coordinates, coordinates, coordinates, coordinates))
def test_clipping_keeps_exactly_what_is_inside(ends: tuple[float, float, float, float]) -> None:
    segment = np.array(ends).reshape(1, 2, 2)
    clipped, kept = clip_to_rectangle(segment, (0.0, 0.0, 100.0, 60.0))
    samples = segment[0, :1] + np.linspace(0, 1, 2001)[:, None] * (segment[0, 1:] - segment[0, :1])
    inside = samples[((samples >= 0) & (samples <= (100, 60))).all(axis=1)]
    if len(inside):
        assert kept[0]
        assert distance_to_segments(inside, clipped).max() < 1e-6
        assert (clipped >= -1e-9).all()
        assert (clipped <= np.array([100, 60]) + 1e-9).all()
    elif kept[0]:
        assert np.linalg.norm(clipped[0, 1] - clipped[0, 0]) < 0.3, "a corner cut between two samples"
