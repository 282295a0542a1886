"""Sensors, their names, and sweeps placed in the world."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fleetlabel.geometry import quaternion, se3
from fleetlabel.geometry.trajectory import OutOfRangeError, Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.names import name_problem
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep

CAMERA = PinholeCamera(100, 80, 50.0, 50.0, 50.0, 40.0)


def pose(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return se3.transform(quaternion.to_matrix(quaternion.normalize(rng.normal(size=4))), rng.normal(size=3))


@pytest.mark.parametrize(
    "name", ["front camera", "главная", "a\\b", "cam:0", "100%", "-", "c", "0-8", "~", "x" * 200, "é"]
)
def test_odd_names_are_names(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a/b",
        "/",
        ".",
        "..",
        ".hidden",
        "__x",
        "zarr.json",
        "a\0b",
        "a\nb",
        "x" * 201,
        "\ud800",
        "é" * 101,
    ],
)
def test_names_that_cannot_be_folders_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match="rename the sensor"):
        Sensor(name, SensorKind.LIDAR, np.eye(4))


def test_description_survives_json_to_the_last_bit() -> None:
    for sensor in (
        Sensor("cam", SensorKind.CAMERA, pose(), CAMERA),
        Sensor("lidar", SensorKind.LIDAR, pose(1), motion_compensated=False),
    ):
        again = Sensor.from_dict(json.loads(json.dumps(sensor.to_dict())))
        np.testing.assert_array_equal(again.ego_from_sensor, sensor.ego_from_sensor)
        assert (again.name, again.kind, again.camera, again.motion_compensated) == (
            sensor.name,
            sensor.kind,
            sensor.camera,
            sensor.motion_compensated,
        )


def test_a_camera_has_intrinsics_and_a_lidar_none() -> None:
    with pytest.raises(SourceError, match="cam: a camera needs intrinsics"):
        Sensor("cam", SensorKind.CAMERA, np.eye(4))
    with pytest.raises(SourceError, match="lidar has none"):
        Sensor("lid", SensorKind.LIDAR, np.eye(4), CAMERA)


@pytest.mark.parametrize(
    "transform",
    [
        np.eye(3),
        np.eye(4)[:3],
        np.zeros(16),
        np.diag([2.0, 1, 1, 1]),
        np.diag([-1.0, 1, 1, 1]),
        np.diag([1.0, 1, 1, 2]),
        np.full((4, 4), np.nan),
        np.array([[1, 0, 0, np.nan], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)
def test_extrinsics_that_are_not_rigid_are_refused(transform: np.ndarray) -> None:
    with pytest.raises(SourceError, match="lid: extrinsics are not a rigid"):
        Sensor("lid", SensorKind.LIDAR, transform)


def moving() -> Trajectory:
    times = np.arange(5, dtype=np.int64) * 100_000_000
    yaw = 0.3 * np.arange(5)
    return Trajectory(
        times, np.concatenate([np.arange(15.0).reshape(5, 3), quaternion.from_yaw(yaw)], axis=1)
    )


def sweep(n: int) -> Sweep:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(n, 3)) * 20, rng.random((n, 1))], axis=1).astype(np.float32)
    return Sweep(150_000_000, points, rng.choice([-50_000_000, 0, 7, 49_999_999], n))


@pytest.mark.parametrize("compensated", [True, False])
def test_points_are_placed_one_by_one(compensated: bool) -> None:
    lidar = Sensor("lid", SensorKind.LIDAR, pose(3), motion_compensated=compensated)
    trajectory, one = moving(), sweep(40)
    placed = one.points_world(lidar, trajectory)
    for row in range(40):
        time_ns = one.timestamp_ns + (0 if compensated else int(one.point_time_offset_ns[row]))
        matrix = trajectory.at(np.array([time_ns]))[0] @ lidar.ego_from_sensor
        expected = matrix @ np.array([*one.points[row, :3].astype(np.float64), 1.0])
        np.testing.assert_allclose(placed[row], expected[:3], atol=1e-9)


@pytest.mark.parametrize("compensated", [True, False])
def test_a_sweep_without_points_has_none_in_the_world(compensated: bool) -> None:
    lidar = Sensor("lid", SensorKind.LIDAR, np.eye(4), motion_compensated=compensated)
    assert sweep(0).points_world(lidar, moving()).shape == (0, 3)


def test_a_sweep_beyond_the_drive_is_refused() -> None:
    late = Sweep(10**12, sweep(3).points, sweep(3).point_time_offset_ns)
    with pytest.raises(OutOfRangeError):
        late.points_world(Sensor("lid", SensorKind.LIDAR, np.eye(4)), moving())
