"""Turn and clock of a camera against a lidar: posts along a road, drawn from where the camera truly is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from checks.made_up import FORWARD, camera, lidar, trajectory
from fleetlabel.engine.checks.alignment import Alignment, Moment
from fleetlabel.engine.checks.lidar_edges import DEPTH, LidarEdges, lidar_edges
from fleetlabel.engine.checks.rotations import rotation_of, vector_of
from fleetlabel.geometry import se3
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.sensors import Sensor
from fleetlabel.model.sweep import Sweep

WIDTH_M = 0.3
LEFT = FORWARD @ rotation_of(np.array([0.0, -1.4, 0.0]))


def posts() -> tuple[np.ndarray, np.ndarray]:
    """Feet (K, 2) of posts on both sides of the road, and the heights (K, 2) between which they are painted."""
    random = np.random.default_rng(3)
    path = trajectory(400)
    along = path.at(np.linspace(0, 30e9, 150).astype(np.int64))
    side = random.uniform(4, 22, len(along)) * np.where(np.arange(len(along)) % 2, 1, -1)
    feet = (along @ np.stack([0 * side, side, 0 * side, 1 + 0 * side], axis=1)[:, :, None])[:, :2, 0]
    return feet, np.stack([random.uniform(0, 1, len(feet)), random.uniform(2, 5, len(feet))], axis=1)


def corners(feet: np.ndarray, heights: np.ndarray, eye: np.ndarray, n: int) -> np.ndarray:
    """Places (K, 2, n, 3) along both outlines of posts that are slanted a little, as seen from an eye."""
    ray = feet - eye[:2]
    across = np.stack([-ray[:, 1], ray[:, 0]], axis=1) / np.linalg.norm(ray, axis=1, keepdims=True)
    z = heights[:, :1] + np.linspace(0, 1, n) * (heights[:, 1:] - heights[:, :1])
    slant = 0.25 * np.where(np.arange(len(feet)) % 3 == 0, 1.0, 0.0)[:, None] * z
    out = np.zeros((len(feet), 2, n, 3))
    for which, sign in enumerate((-0.5, 0.5)):
        out[:, which, :, :2] = feet[:, None] + across[:, None] * (sign * WIDTH_M + slant)[:, :, None]
        out[:, which, :, 2] = z
    return out


def moments(sensor: Sensor, path: Trajectory, turned: np.ndarray, late_s: float, n: int = 24) -> list[Moment]:
    feet, heights = posts()
    found = []
    for k, stamp in enumerate(np.linspace(0.5e9, 20e9, n).astype(np.int64)):
        true = path.at(np.array([stamp + round(late_s * 1e9)]))[0] @ sensor.ego_from_sensor
        true[:3, :3] = true[:3, :3] @ rotation_of(turned)
        random = np.random.default_rng(k)
        picture = random.integers(90, 110, (360, 640), dtype=np.uint8)
        seen = path.at(np.array([stamp]))[0][:3, 3]
        outline = corners(feet, heights, seen, 12)
        near = np.linalg.norm(feet - seen[:2], axis=1)
        for one in np.argsort(-near):
            inside = se3.apply(se3.invert(true), outline[one].reshape(-1, 3))
            if near[one] > 40 or inside[:, 2].min() < 1.0:
                continue
            assert sensor.camera is not None
            uv, _ = sensor.camera.project(inside)
            ring = np.concatenate([uv[:12], uv[12:][::-1]])
            tone = int(random.choice([10, 40, 190, 240]))
            cv2.fillPoly(picture, [np.round((ring - 0.5) * 16).astype(np.int32)], tone, cv2.LINE_AA, shift=4)
        points = outline[near < 40].reshape(-1, 3)
        edges = LidarEdges(points, np.full(len(points), stamp), np.full(len(points), DEPTH, np.int8))
        found.append(Moment(int(stamp), picture, edges))
    return found


@pytest.mark.parametrize(
    ("mount", "turned_deg", "late_s"),
    [
        (LEFT, (0.0, 0.0, 0.0), 0.0),
        (LEFT, (0.0, 0.0, 0.0), 0.05),
        (LEFT, (0.3, 0.35, -0.2), 0.0),
        (LEFT, (-0.3, 0.3, 0.3), -0.04),
        (FORWARD, (0.2, -0.4, 0.2), 0.0),
    ],
)
def test_turn_and_clock_are_held_apart(
    mount: np.ndarray, turned_deg: tuple[float, ...], late_s: float
) -> None:
    sensor, path = camera(rotation=mount), trajectory(400)
    alignment = Alignment(sensor, path, moments(sensor, path, np.radians(turned_deg), late_s))
    found = alignment.estimate()
    assert np.degrees(found.rotation_rad) == pytest.approx(turned_deg, abs=0.08)
    assert found.late_s == pytest.approx(late_s, abs=0.005)
    off = np.degrees(found.rotation_rad) - turned_deg
    assert np.all(np.abs(off) < 6 * np.degrees(np.sqrt(np.diag(found.covariance)[:3])) + 0.02)


def test_who_stands_cannot_tell_a_time() -> None:
    sensor, path = camera(rotation=LEFT), trajectory(400)
    where = np.repeat(path.world_from_ego[60:61], len(path.timestamp_ns), axis=0)
    still = Trajectory(path.timestamp_ns, where)
    found = Alignment(sensor, still, moments(sensor, still, np.zeros(3), 0.05)).estimate()
    assert not found.tells_time


def test_nothing_to_see_cannot_tell() -> None:
    sensor, path = camera(), trajectory(100)
    grey = np.full((360, 640), 90, np.uint8)
    none = LidarEdges(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0, np.int8))
    assert not Alignment(sensor, path, [Moment(0, grey, none)]).can_tell


def test_a_lidar_finds_the_sides_of_a_box_before_a_wall_half_a_step_off() -> None:
    azimuth, elevation = np.meshgrid(
        np.radians(np.arange(-40, 40, 0.2)), np.radians(np.arange(-4, 4, 0.4)), indexing="ij"
    )
    box = np.abs(np.tan(azimuth)) < 1.0 / 10.0  # two metres wide, ten metres ahead
    ahead = np.where(box, 10.0, 20.0)
    xyz = np.stack([ahead, ahead * np.tan(azimuth), ahead * np.tan(elevation) / np.cos(azimuth)], axis=-1)
    points = np.concatenate([xyz, np.ones((*ahead.shape, 1))], axis=-1).reshape(-1, 4).astype(np.float32)
    sensor = lidar()
    path = Trajectory(np.array([0], np.int64), np.array([[0.0, 0, 0, 1, 0, 0, 0]]))
    edges = lidar_edges(Sweep(0, points, np.zeros(len(points), np.int64)), sensor, path)
    local = edges.points_world - sensor.ego_from_sensor[:3, 3]
    angle = np.degrees(np.abs(np.arctan2(local[:, 1], local[:, 0])))
    assert len(angle) >= 2 * elevation.shape[1] * 0.8
    assert angle == pytest.approx(np.degrees(np.arctan(0.1)), abs=0.11), (
        "between the last shot on it and the next"
    )
    assert set(edges.kind) == {DEPTH}


def test_rotation_vectors_are_the_inverse_of_each_other() -> None:
    for vector in np.random.default_rng(0).normal(0, 0.1, (20, 3)):
        assert vector_of(rotation_of(vector)) == pytest.approx(vector, abs=1e-9)
