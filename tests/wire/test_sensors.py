"""Sensors, poses, pictures and sweeps: there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message

from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import FisheyeCamera, PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SampleStatus
from fleetlabel.v1 import frames_pb2
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.frames import (
    LabelsState,
    at_message,
    at_of,
    range_message,
    range_of,
    state_message,
    state_of,
)
from fleetlabel.wire.samples import LidarSample, Picture, picture_message, picture_of, sweep_message, sweep_of
from fleetlabel.wire.sensors import (
    Samples,
    samples_message,
    samples_of,
    sensor_message,
    sensor_of,
    trajectory_message,
    trajectory_of,
)

_TURNED = np.array([[0.0, -1, 0, 1.5], [1, 0, 0, 0.25], [0, 0, 1, 2], [0, 0, 0, 1]])
_SENSORS = [
    Sensor(
        "front",
        SensorKind.CAMERA,
        _TURNED,
        PinholeCamera(640, 480, 500.5, 501, 320, 240, 0.1, 0.2, 0.01, 0.02),
    ),
    Sensor(
        "fish", SensorKind.CAMERA, _TURNED, FisheyeCamera(640, 480, 300, 301, 320, 240, 0.1, 0.2, 0.3, 0.4)
    ),
    Sensor("top", SensorKind.LIDAR, _TURNED),
    Sensor("rolling", SensorKind.LIDAR, _TURNED, None, False),
]
_PATH = Trajectory(np.array([10, 20]), np.array([[0.0, 0, 0, 1, 0, 0, 0], [1, 2, 3, 0, 0, 0, 1]]), 7)


def _through(message: Message) -> Any:
    return type(message).FromString(message.SerializeToString())


@pytest.mark.parametrize("sensor", _SENSORS, ids=lambda sensor: sensor.name)
def test_a_sensor_arrives_as_it_was(sensor: Sensor) -> None:
    assert sensor_of(_through(sensor_message(sensor))).to_dict() == sensor.to_dict()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda m: m.ClearField("kind"), "sensor.kind"),
        (lambda m: m.ego_from_sensor.pop(), "sensor.ego_from_sensor"),
        (lambda m: m.ego_from_sensor.__setitem__(0, 3.0), "sensor"),
        (lambda m: setattr(m, "name", "../etc"), "sensor"),
        (lambda m: m.camera.ClearField("pinhole"), "sensor.camera.lens"),
        (lambda m: setattr(m.camera, "fx_px", float("nan")), "sensor.camera"),
        (lambda m: setattr(m.camera, "width_px", 0), "sensor.camera"),
        (lambda m: m.ClearField("camera"), "sensor"),
    ],
)
def test_a_sensor_that_is_none_is_refused(change: Any, field: str) -> None:
    message = sensor_message(_SENSORS[0])
    change(message)
    with pytest.raises(RequestError) as refused:
        sensor_of(message)
    assert refused.value.what == field


def test_poses_arrive_as_they_were_and_others_are_refused() -> None:
    back = trajectory_of(_through(trajectory_message(_PATH)))
    np.testing.assert_array_equal(back.timestamp_ns, _PATH.timestamp_ns)
    np.testing.assert_array_equal(back.world_from_ego, _PATH.world_from_ego)
    assert back.max_extrapolation_ns == 7
    for field, value in (
        ("timestamp_ns_i64", np.array([20, 10]).tobytes()),
        ("timestamp_ns_i64", b"\0" * 15),
        ("world_from_ego_f64", b"\0" * 112),
        ("world_from_ego_f64", b""),
        ("max_extrapolation_ns", -1),
    ):
        message = trajectory_message(_PATH)
        setattr(message, field, value)
        with pytest.raises(RequestError):
            trajectory_of(message)


def test_states_of_samples_arrive_as_they_were() -> None:
    samples = Samples("top", np.array([1, 2, 3]), np.array([0, 1, 2], dtype=np.uint8), {2: "torn"})
    message = samples_message(samples)
    assert message.status_u8 == b"\1\2\3"
    back = samples_of(_through(message))
    assert back.status.tolist() == [0, 1, 2] and back.quarantined == {2: "torn"}
    message.status_u8 = b"\0\1\2"
    with pytest.raises(RequestError):
        samples_of(message)


def test_pictures_and_sweeps_arrive_as_they_were() -> None:
    picture = Picture("front", 3, 30, SampleStatus.QUARANTINED, b"\xff\xd8 torn")
    assert picture_of(picture_message(picture).SerializeToString()) == picture
    sweep = Sweep(30, np.arange(8, dtype=np.float32).reshape(2, 4), np.array([-5, 7]))
    back = sweep_of(_through(sweep_message(LidarSample("top", 3, SampleStatus.OK, sweep, _TURNED))))
    np.testing.assert_array_equal(back.sweep.points, sweep.points)
    assert back.sweep.point_time_offset_ns.tolist() == [-5, 7] and back.sweep.timestamp_ns == 30
    np.testing.assert_array_equal(back.world_from_sensor, _TURNED)
    gone = LidarSample(
        "top", 4, SampleStatus.MISSING, Sweep(40, np.zeros((0, 4), np.float32), np.zeros(0, int)), None
    )
    again = sweep_of(_through(sweep_message(gone)))
    assert again.world_from_sensor is None and again.sweep.points.shape == (0, 4)


def test_a_sweep_that_is_none_is_refused() -> None:
    sweep = Sweep(30, np.zeros((2, 4), np.float32), np.array([0, 2**40]))
    with pytest.raises(RequestError, match="point_time_offset_ns"):
        sweep_message(LidarSample("top", 3, SampleStatus.OK, sweep, None))
    for field, value in (
        ("points_xyzi_f32", b"\0" * 15),
        ("point_time_offset_ns_i32", b"\0" * 4),
        ("world_from_sensor", [1.0]),
        ("status", 0),
    ):
        good = LidarSample(
            "top", 3, SampleStatus.OK, Sweep(3, np.ones((2, 4), np.float32), np.array([0, 1])), None
        )
        message = sweep_message(good)
        message.ClearField(field)
        message.MergeFrom(type(message)(**{field: value}))
        with pytest.raises(RequestError):
            sweep_of(message)


def test_ranges_are_cut_to_the_sequence_and_must_not_be_empty() -> None:
    assert range_of(range_message(None, None), 10) == range(10)
    assert range_of(range_message(3, None), 10) == range(3, 10)
    assert range_of(range_message(3, 99), 10) == range(3, 10)
    assert len(range_of(range_message(20, None), 10)) == 0
    assert len(range_of(range_message(20, 30), 10)) == 0
    for start, stop in ((-1, 3), (3, 3), (4, 2), (None, 0)):
        with pytest.raises(RequestError):
            range_of(range_message(start, stop), 10)


def test_labels_that_are_meant_arrive() -> None:
    for at in (None, "auto", 0, 7):
        message = at_message(at)
        assert at_of(frames_pb2.LabelsAt() if message is None else _through(message)) == at
    with pytest.raises(RequestError):
        at_of(frames_pb2.LabelsAt(version=""))
    with pytest.raises(RequestError):
        at_message(2**70)
    state = LabelsState("auto", 3, "ab" * 32, "people-1")
    assert state_of(_through(state_message(state))) == state
