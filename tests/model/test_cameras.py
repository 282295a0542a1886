"""Cameras against OpenCV, and project and unproject against each other."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from fleetlabel.geometry.arrays import F64
from fleetlabel.model.cameras import CameraModel, FisheyeCamera, PinholeCamera, camera_from_dict
from fleetlabel.model.errors import SourceError

_SIZE = {"width_px": 1920, "height_px": 1080, "fx_px": 950.0, "fy_px": 970.0, "cx_px": 955.0, "cy_px": 530.0}
PINHOLES = {
    "none": PinholeCamera(**_SIZE),
    "mild": PinholeCamera(**_SIZE, k1=-0.05, k2=0.01, p1=1e-3, p2=-5e-4, k3=1e-3),
    "barrel": PinholeCamera(**_SIZE, k1=-0.58, k2=0.31, p1=2e-3, p2=-1e-3, k3=-0.05),
    "cushion": PinholeCamera(**_SIZE, k1=0.5, k2=0.2),
    "tangential": PinholeCamera(**_SIZE, k1=-0.2, p1=0.03, p2=-0.04),
}
FISHEYES = {
    "equidistant": FisheyeCamera(**_SIZE),
    "mild": FisheyeCamera(**_SIZE, k1=-0.03, k2=0.008, k3=-0.002, k4=1e-4),
    "strong": FisheyeCamera(**_SIZE, k1=-0.25, k2=0.02, k3=0.01, k4=-0.008),
    "growing": FisheyeCamera(**_SIZE, k1=0.4, k2=0.1),
}
CAMERAS = {f"pinhole-{k}": c for k, c in PINHOLES.items()} | {f"fisheye-{k}": c for k, c in FISHEYES.items()}
every_camera = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())


def points_ahead(n: int = 4000, seed: int = 0) -> F64:
    rng = np.random.default_rng(seed)
    return rng.uniform([-3, -3, 0.2], [3, 3, 2], size=(n, 3)) * rng.uniform(0.1, 40, size=(n, 1))


def unit(vectors: F64) -> F64:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("camera", PINHOLES.values(), ids=PINHOLES.keys())
def test_pinhole_projects_as_opencv(camera: PinholeCamera) -> None:
    uv, valid = camera.project(points_ahead())
    coefficients = np.array([camera.k1, camera.k2, camera.p1, camera.p2, camera.k3])
    expected, _ = cv2.projectPoints(points_ahead(), np.zeros(3), np.zeros(3), camera.matrix, coefficients)
    assert valid.any()
    np.testing.assert_allclose(uv[valid], expected[valid, 0], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("camera", FISHEYES.values(), ids=FISHEYES.keys())
def test_fisheye_projects_as_opencv(camera: FisheyeCamera) -> None:
    uv, valid = camera.project(points_ahead())
    coefficients = np.array([camera.k1, camera.k2, camera.k3, camera.k4])
    expected, _ = cv2.fisheye.projectPoints(
        points_ahead()[:, None], np.zeros(3), np.zeros(3), camera.matrix, coefficients
    )
    assert valid.any()
    np.testing.assert_allclose(uv[valid], expected[valid, 0], rtol=1e-9, atol=1e-6)


@every_camera
def test_unproject_undoes_project_up_to_the_edge_of_the_field(camera: CameraModel) -> None:
    points = np.concatenate([points_ahead(), np.random.default_rng(1).normal(size=(4000, 3))])
    uv, valid = camera.project(points)
    np.testing.assert_allclose(camera.unproject(uv[valid]), unit(points[valid]), atol=1e-9)
    assert np.isnan(uv[~valid]).all()


@every_camera
def test_every_pixel_that_the_lens_shows_is_found(camera: CameraModel) -> None:
    u, v = np.meshgrid(np.linspace(0, camera.width_px, 60), np.linspace(0, camera.height_px, 40))
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)
    rays = camera.unproject(pixels)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    back, valid = camera.project(rays * 17.0)
    shown = valid & (np.linalg.norm(np.nan_to_num(back) - pixels, axis=1) < 1e-6)
    # What can be reached is found out the long way: by projecting very many points.
    points = np.random.default_rng(2).uniform([-1.5, -1.5, 0.0], [1.5, 1.5, 1.0], size=(400_000, 3))
    seen, ahead = camera.project(points)
    reached = cKDTree(seen[ahead]).query(pixels)[0]
    assert shown[reached < 3].mean() > 0.985  # but for pixels at the very edge
    assert (reached[shown] < 40).all()


@pytest.mark.parametrize("camera", [PINHOLES["barrel"], FISHEYES["strong"]], ids=["barrel", "fisheye"])
def test_nothing_folds_back_into_the_picture(camera: CameraModel) -> None:
    """Along any direction away from the axis, pixels move outwards until the points are no longer valid."""
    angle = np.linspace(0.001, np.pi - 0.001, 4000)
    for roll in np.linspace(0, 2 * np.pi, 7):
        points = np.stack([np.sin(angle) * np.cos(roll), np.sin(angle) * np.sin(roll), np.cos(angle)], axis=1)
        uv, valid = camera.project(points)
        assert (np.diff(valid.astype(int)) <= 0).all(), "valid, then invalid, then valid again"
        radius = np.linalg.norm(
            (uv[valid] - (camera.cx_px, camera.cy_px)) / (camera.fx_px, camera.fy_px), axis=1
        )
        assert valid.sum() > 100
        assert (np.diff(radius) > 0).all()


@given(
    st.floats(-0.6, 0.6),
    st.floats(-0.3, 0.3),
    st.floats(-0.1, 0.1),
    st.floats(-0.02, 0.02),
    st.floats(-0.02, 0.02),
)
def test_round_trip_for_any_pinhole(k1: float, k2: float, k3: float, p1: float, p2: float) -> None:
    camera = PinholeCamera(**_SIZE, k1=k1, k2=k2, k3=k3, p1=p1, p2=p2)
    points = points_ahead(300)
    uv, valid = camera.project(points)
    back, again = camera.project(camera.unproject(uv[valid]))
    # Within a hair of the edge of the field rounding decides on which side a point lies.
    np.testing.assert_allclose(back[again], uv[valid][again], rtol=1e-9, atol=1e-5)
    assert again.sum() >= valid.sum() - 2


@given(*[st.floats(-0.3, 0.3)] * 4)
def test_round_trip_for_any_fisheye(k1: float, k2: float, k3: float, k4: float) -> None:
    camera = FisheyeCamera(**_SIZE, k1=k1, k2=k2, k3=k3, k4=k4)
    points = np.random.default_rng(0).normal(size=(300, 3))
    uv, valid = camera.project(points)
    back, again = camera.project(camera.unproject(uv[valid]))
    np.testing.assert_allclose(back[again], uv[valid][again], atol=1e-5)
    assert again.sum() >= valid.sum() - 2


def test_a_pinhole_sees_nothing_behind_it_and_a_fisheye_does() -> None:
    behind = np.array([[0.3, 0.2, -1.0], [0, 0, -1.0], [1, 0, 0]])
    assert not PINHOLES["none"].project(behind)[1].any()
    np.testing.assert_array_equal(FISHEYES["equidistant"].project(behind)[1], [True, False, True])
    uv, _ = FISHEYES["equidistant"].project(behind)
    assert FISHEYES["equidistant"].unproject(uv[:1])[0, 2] < 0


@every_camera
def test_points_and_pixels_that_are_not_finite_are_invalid_and_silent(camera: CameraModel) -> None:
    points = np.array(
        [[np.nan, 0, 1], [0, np.inf, 1], [0, 0, np.inf], [np.inf, np.inf, np.inf], [0, 0, 0], [0, 0, 5]]
    )
    uv, valid = camera.project(points)
    np.testing.assert_array_equal(valid, [False] * 5 + [True])
    assert np.isnan(uv[:5]).all()
    np.testing.assert_allclose(uv[5], [camera.cx_px, camera.cy_px])
    rays = camera.unproject(np.array([[np.nan, 3], [np.inf, 4], [camera.cx_px, camera.cy_px]]))
    assert np.isnan(rays[:2]).all()
    np.testing.assert_allclose(rays[2], [0, 0, 1])


@every_camera
def test_nothing_in_nothing_out(camera: CameraModel) -> None:
    uv, valid = camera.project(np.empty((0, 3)))
    assert uv.shape == (0, 2)
    assert valid.shape == (0,)
    assert camera.unproject(np.empty((0, 2))).shape == (0, 3)


def test_inside_counts_the_upper_and_left_edge_in_and_the_lower_and_right_out() -> None:
    camera = PINHOLES["none"]
    pixels = np.array([[0, 0], [1920, 5], [5, 1080], [1919.99, 1079.99], [-0.01, 5], [np.nan, 5]])
    np.testing.assert_array_equal(camera.inside(pixels), [True, False, False, True, False, False])


@every_camera
def test_description_survives_json(camera: CameraModel) -> None:
    assert camera_from_dict(json.loads(json.dumps(camera.to_dict()))) == camera


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fx_px": 0.0}, "positive"),
        ({"fy_px": -3.0}, "positive"),
        ({"width_px": 0}, "positive"),
        ({"fx_px": float("nan")}, "positive"),
        ({"cx_px": float("inf")}, "cx_px.*not finite"),
        ({"k2": float("nan")}, "k2.*not finite"),
    ],
)
def test_impossible_intrinsics_are_refused(change: dict[str, float], message: str) -> None:
    for camera in (PINHOLES["mild"], FISHEYES["mild"]):
        with pytest.raises(SourceError, match=message):
            replace(camera, **change)


def test_unknown_descriptions_are_refused() -> None:
    with pytest.raises(SourceError, match="'cylinder' is unknown"):
        camera_from_dict({"kind": "cylinder"})
    with pytest.raises(SourceError, match="do not fit a pinhole"):
        camera_from_dict({"kind": "pinhole", "focal": 3})
