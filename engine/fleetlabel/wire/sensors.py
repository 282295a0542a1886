"""Sensors, ego poses and times of samples as messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import I64, U8
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import CameraModel, FisheyeCamera, PinholeCamera
from fleetlabel.model.errors import SourceError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import SampleStatus
from fleetlabel.v1 import sensors_pb2
from fleetlabel.wire.columns import column_bytes, column_of, rows_of
from fleetlabel.wire.errors import RequestError

_KINDS = {
    SensorKind.CAMERA: sensors_pb2.SENSOR_KIND_CAMERA,
    SensorKind.LIDAR: sensors_pb2.SENSOR_KIND_LIDAR,
}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_STATUS_STEP = 1  # numbers of the store's SampleStatus begin at 0, those of the API's at 1
_STATUS = {
    SampleStatus.OK: sensors_pb2.SAMPLE_STATUS_OK,
    SampleStatus.MISSING: sensors_pb2.SAMPLE_STATUS_MISSING,
    SampleStatus.QUARANTINED: sensors_pb2.SAMPLE_STATUS_QUARANTINED,
}
_PINHOLE, _FISHEYE = ("k1", "k2", "p1", "p2", "k3"), ("k1", "k2", "k3", "k4")
_INTRINSICS = ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px")


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Times and state of one sensor's samples in a range of frames.

    Attributes:
        sensor: its name.
        timestamp_ns: (F,) int64; of a missing sample, the frame's own time.
        status: (F,) uint8 :class:`fleetlabel.store.SampleStatus`.
        quarantined: frame -> why its sample could not be used.
    """

    sensor: str
    timestamp_ns: I64
    status: U8
    quarantined: dict[int, str]


def sensor_message(sensor: Sensor) -> sensors_pb2.Sensor:
    """A sensor and its calibration."""
    message = sensors_pb2.Sensor(
        name=sensor.name,
        kind=_KINDS[sensor.kind],
        ego_from_sensor=sensor.ego_from_sensor.ravel().tolist(),
        motion_compensated=sensor.motion_compensated and sensor.kind is SensorKind.LIDAR,
    )
    camera = sensor.camera
    if camera is not None:
        for name in _INTRINSICS:
            setattr(message.camera, name, getattr(camera, name))
        lens = message.camera.fisheye if isinstance(camera, FisheyeCamera) else message.camera.pinhole
        lens.SetInParent()
        for name in _FISHEYE if isinstance(camera, FisheyeCamera) else _PINHOLE:
            setattr(lens, name, getattr(camera, name))
    return message


def sensor_of(message: sensors_pb2.Sensor, what: str = "sensor") -> Sensor:
    """The sensor that a message describes.

    Raises:
        RequestError: it is not as sensors.proto says; names the field.
    """
    kind = _KIND_OF.get(message.kind)
    if kind is None:
        raise RequestError(f"{what}.kind", "a camera or a lidar", str(message.kind))
    if len(message.ego_from_sensor) != 16:
        raise RequestError(f"{what}.ego_from_sensor", "16 numbers", str(len(message.ego_from_sensor)))
    pose = np.array(message.ego_from_sensor, dtype=np.float64).reshape(4, 4)
    camera = _camera(message.camera, f"{what}.camera") if message.HasField("camera") else None
    moving = kind is SensorKind.CAMERA or message.motion_compensated
    try:
        return Sensor(message.name, kind, pose, camera, moving)
    except SourceError as error:
        raise RequestError(what, "a sensor", f"something else: {error}") from error


def trajectory_message(trajectory: Trajectory) -> sensors_pb2.EgoTrajectory:
    """Ego poses."""
    return sensors_pb2.EgoTrajectory(
        timestamp_ns_i64=column_bytes(trajectory.timestamp_ns),
        world_from_ego_f64=column_bytes(trajectory.world_from_ego),
        max_extrapolation_ns=trajectory.max_extrapolation_ns,
    )


def trajectory_of(message: sensors_pb2.EgoTrajectory, what: str = "trajectory") -> Trajectory:
    """The ego poses that a message holds.

    Raises:
        RequestError: it is not as sensors.proto says; names the field.
    """
    times = rows_of(message.timestamp_ns_i64, f"{what}.timestamp_ns_i64", np.int64)
    poses = column_of(message.world_from_ego_f64, f"{what}.world_from_ego_f64", np.float64, len(times), (7,))
    if message.max_extrapolation_ns < 0:
        raise RequestError(f"{what}.max_extrapolation_ns", "0 or more", str(message.max_extrapolation_ns))
    try:
        return Trajectory(times, poses, message.max_extrapolation_ns)
    except ValueError as error:
        raise RequestError(what, "ego poses", f"something else: {error}") from error


def samples_message(samples: Samples) -> sensors_pb2.SensorSamples:
    """Times and state of samples."""
    message = sensors_pb2.SensorSamples(
        sensor=samples.sensor,
        timestamp_ns_i64=column_bytes(samples.timestamp_ns),
        status_u8=column_bytes((samples.status + _STATUS_STEP).astype(np.uint8)),
    )
    for frame, reason in samples.quarantined.items():
        message.quarantined.add(frame=frame, reason=reason)
    return message


def samples_of(message: sensors_pb2.SensorSamples, what: str = "sensors") -> Samples:
    """The samples that a message tells of.

    Raises:
        RequestError: it is not as sensors.proto says; names the field.
    """
    times = rows_of(message.timestamp_ns_i64, f"{what}.timestamp_ns_i64", np.int64)
    status = column_of(message.status_u8, f"{what}.status_u8", np.uint8, len(times))
    if len(status) and not 1 <= int(status.min()) <= int(status.max()) <= len(SampleStatus):
        raise RequestError(f"{what}.status_u8", "numbers of SampleStatus", str(np.unique(status).tolist()))
    quarantined = {each.frame: each.reason for each in message.quarantined}
    return Samples(message.sensor, times, (status - _STATUS_STEP).astype(np.uint8), quarantined)


def status_number(status: int) -> sensors_pb2.SampleStatus:
    """The API's number of a store's :class:`fleetlabel.store.SampleStatus`."""
    return _STATUS[SampleStatus(status)]


def status_of(number: int, what: str) -> SampleStatus:
    """The store's state that a number of the API stands for.

    Raises:
        RequestError: it stands for none.
    """
    try:
        return SampleStatus(number - _STATUS_STEP)
    except ValueError as error:
        raise RequestError(what, "a number of SampleStatus", str(number)) from error


def _camera(message: sensors_pb2.CameraModel, what: str) -> CameraModel:
    lens = message.WhichOneof("lens")
    if lens is None:
        raise RequestError(f"{what}.lens", "pinhole or fisheye", "neither")
    names: Sequence[str] = _FISHEYE if lens == "fisheye" else _PINHOLE
    kind = FisheyeCamera if lens == "fisheye" else PinholeCamera
    values = {name: getattr(message, name) for name in _INTRINSICS}
    values |= {name: getattr(getattr(message, lens), name) for name in names}
    try:
        return kind(**values)
    except SourceError as error:
        raise RequestError(what, "intrinsics", f"something else: {error}") from error
