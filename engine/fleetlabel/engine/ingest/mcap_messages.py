"""What messages of ROS 2 and Foxglove say, in the same words.

ROS messages come as objects with the fields of their definition, Foxglove's as protobuf messages with the fields of
theirs; the functions here take either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fleetlabel.engine.ingest.sweeps import Points
from fleetlabel.geometry import se3
from fleetlabel.geometry.arrays import F64, AnyArray
from fleetlabel.model.cameras import CameraModel, FisheyeCamera, PinholeCamera
from fleetlabel.model.errors import SourceError

PICTURES = (
    "sensor_msgs/msg/CompressedImage",
    "foxglove_msgs/msg/CompressedImage",
    "foxglove.CompressedImage",
)
VIDEOS = ("foxglove_msgs/msg/CompressedVideo", "foxglove.CompressedVideo")
CLOUDS = ("sensor_msgs/msg/PointCloud2", "foxglove_msgs/msg/PointCloud", "foxglove.PointCloud")
CALIBRATIONS = (
    "sensor_msgs/msg/CameraInfo",
    "foxglove_msgs/msg/CameraCalibration",
    "foxglove.CameraCalibration",
)
TRANSFORMS = (
    *("tf2_msgs/msg/TFMessage", "geometry_msgs/msg/TransformStamped"),
    *("foxglove_msgs/msg/FrameTransform", "foxglove_msgs/msg/FrameTransforms"),
    *("foxglove.FrameTransform", "foxglove.FrameTransforms"),
)
ODOMETRY = ("nav_msgs/msg/Odometry", "foxglove_msgs/msg/Odometry", "foxglove.Odometry")

# ROS' and Foxglove's numbers for types of a point's fields.
_ROS_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_FOXGLOVE_TYPES = {1: "u1", 2: "i1", 3: "u2", 4: "i2", 5: "u4", 6: "i4", 7: "f4", 8: "f8"}
_INTENSITY = ("intensity", "i", "reflectivity", "intensities")
_TIME = ("t", "time", "timestamp", "time_stamp", "offset_time", "time_offset", "point_time")
_MAX_POINTS = 1 << 23
_ABSOLUTE_S = 1e6  # more seconds than that are no offset within a sweep


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every sensor's message begins with: its time (0: not given) and its frame."""

    time_ns: int
    frame_id: str


def stamp_of(message: Any) -> Stamp:
    """Time and frame of a message."""
    header = getattr(message, "header", None)
    if header is not None:
        return Stamp(_time_ns(header.stamp), str(header.frame_id).lstrip("/"))
    return Stamp(_time_ns(message.timestamp), str(message.frame_id).lstrip("/"))


def transforms_of(message: Any) -> Iterator[tuple[str, str, int, list[float]]]:
    """Parent, child, time in ns and pose (x y z, q w x y z) of each transform in a message."""
    for entry in getattr(message, "transforms", [message]):
        if hasattr(entry, "parent_frame_id"):
            parent, time, place = str(entry.parent_frame_id), entry.timestamp, entry
        else:
            parent, time, place = str(entry.header.frame_id), entry.header.stamp, entry.transform
        child = str(getattr(entry, "child_frame_id", ""))
        yield parent, child, _time_ns(time), _pose(place.translation, place.rotation)


def odometry_of(message: Any) -> tuple[str, str, int, list[float]]:
    """Parent, child, time in ns and pose that an odometry message says."""
    stamp = stamp_of(message)
    if hasattr(message, "body_frame_id"):
        child, pose = str(message.body_frame_id), message.pose
    else:
        child, pose = str(message.child_frame_id), message.pose.pose
    return stamp.frame_id, child, stamp.time_ns, _pose(pose.position, pose.orientation)


def camera_of(message: Any, rectified: bool, where: str) -> CameraModel:
    """Intrinsics that a CameraInfo or CameraCalibration describes.

    Args:
        rectified: pictures are rectified: the left part of P holds, and no distortion.

    Raises:
        SourceError: it describes no camera that we know.
    """
    # ROS writes these names small, Foxglove's protobuf large.
    k, d, p = (
        [float(value) for value in getattr(message, name if hasattr(message, name) else name.upper())]
        for name in "kdp"
    )
    if rectified and len(p) == 12 and p[0] > 0:
        k, d = [p[0], p[1], p[2], p[4], p[5], p[6], p[8], p[9], p[10]], []
    size = (int(message.width), int(message.height))
    if len(k) != 9 or min(size) <= 0 or max(size) >= 1 << 17:
        raise SourceError(
            f"{where} has {len(k)} numbers in K and pictures of {size[0]}x{size[1]} px: the camera was not "
            "calibrated when this was recorded; publish its CameraInfo"
        )
    fx, skew, cx, _, fy, cy = k[:6]
    if skew:
        raise SourceError(f"{where}: K has skew {skew}, which no camera model here has")
    model = str(message.distortion_model)
    if not any(d):
        return PinholeCamera(*size, fx, fy, cx, cy)
    if model in ("equidistant", "kannala_brandt", "fisheye") and len(d) >= 4:
        return FisheyeCamera(*size, fx, fy, cx, cy, *d[:4])
    if model in ("plumb_bob", "rational_polynomial", "") and len(d) >= 4 and not any(d[5:]):
        k1, k2, p1, p2, k3 = [*d, 0.0][:5]
        return PinholeCamera(*size, fx, fy, cx, cy, k1=k1, k2=k2, p1=p1, p2=p2, k3=k3)
    raise SourceError(
        f"{where}: distortion {model!r} with {len(d)} coefficients {d[:8]} is not read; expected plumb_bob, or "
        "equidistant with four; record the rectified pictures"
    )


def points_of(message: Any, time_ns: int, where: str) -> tuple[Points, bool]:
    """Points of a cloud in its frame, and whether they have times of their own.

    Raises:
        SourceError: the message's sizes or fields do not fit its data.
    """
    foxglove = hasattr(message, "point_stride")
    step = int(message.point_stride if foxglove else message.point_step)
    data = bytes(message.data)
    if foxglove:
        count, row_step, width = (len(data) // step if step else 0), 0, 0
    else:
        width, row_step = int(message.width), int(message.row_step)
        count = width * int(message.height)
    if not 0 < step <= 1 << 12 or count > _MAX_POINTS or count * step > len(data):
        raise SourceError(
            f"{where} says that it has {count} points of {step} bytes, but has {len(data)} bytes of data; restore the "
            "file"
        )
    types = _FOXGLOVE_TYPES if foxglove else _ROS_TYPES
    order = ">" if not foxglove and message.is_bigendian else "<"
    kinds = [int(entry.type if foxglove else entry.datatype) for entry in message.fields]
    fields = {
        str(entry.name): (int(entry.offset), order + types.get(kind, "V"))
        for entry, kind in zip(message.fields, kinds, strict=True)
    }
    for axis in "xyz":
        if axis not in fields:
            raise SourceError(f"{where} has fields {', '.join(sorted(fields))}, expected x, y and z")
    raw = np.frombuffer(data, dtype=np.uint8)
    if width and row_step > width * step and int(message.height) > 1:
        if row_step * int(message.height) > len(raw):
            raise SourceError(f"{where}: rows of {row_step} bytes do not fit {len(raw)} bytes of data")
        raw = raw[: row_step * int(message.height)].reshape(-1, row_step)[:, : width * step]
    rows = np.ascontiguousarray(raw).reshape(-1)[: count * step].reshape(count, step)
    xyz = np.stack([_column(rows, fields[axis], step, where) for axis in "xyz"], axis=1)
    found = {
        name: _column(rows, fields[name], step, where)
        for name in fields
        if name in (*_INTENSITY, *_TIME) and fields[name][1][1:] != "V"
    }
    intensity = next((found[name] for name in _INTENSITY if name in found), np.zeros(count))
    clock = next((name for name in _TIME if name in found), None)
    offset_ns = np.zeros(count)
    if clock is not None:
        offset_ns = _offsets(found[clock], fields[clock][1][1:], time_ns)
    if foxglove:
        xyz = _posed(xyz, message.pose)
    xyz = np.where(np.isfinite(xyz), xyz, np.nan)
    if not count or np.isnan(xyz).any(axis=1).all():
        return Points(np.empty((0, 4), np.float32), np.empty(0, np.int32), count), clock is not None
    return Points.finite(xyz, intensity, offset_ns, where), clock is not None


def _column(rows: AnyArray, field: tuple[int, str], step: int, where: str) -> F64:
    offset, kind = field
    if kind[1:] == "V" or offset < 0 or offset + np.dtype(kind).itemsize > step:
        raise SourceError(
            f"{where}: a field at byte {offset} of type {kind} does not fit points of {step} bytes"
        )
    width = np.dtype(kind).itemsize
    column = np.ascontiguousarray(rows[:, offset : offset + width]).view(kind)[:, 0]
    with np.errstate(invalid="ignore"):  # NaN with a payload
        return np.asarray(column, dtype=np.float64)


def _offsets(values: F64, kind: str, time_ns: int) -> F64:
    """Times of points after the sweep's, of the field's numbers: whole ones are nanoseconds, others seconds; large
    ones are times of the clock, in seconds or nanoseconds.
    """
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max()) if len(finite) else 0.0
    if kind[0] in "ui":
        return values
    if largest > 1e15:
        return values - time_ns
    if largest > _ABSOLUTE_S:
        whole = time_ns // 1_000_000_000
        return (values - whole) * 1e9 - (time_ns - whole * 1_000_000_000)
    return values * 1e9


def _posed(xyz: F64, pose: Any) -> F64:
    numbers = np.array(_pose(pose.position, pose.orientation))
    if not np.any(numbers[3:]):
        numbers[3] = 1.0
    return se3.apply(se3.from_pose(numbers), xyz)


def _pose(place: Any, turn: Any) -> list[float]:
    return [float(value) for value in (place.x, place.y, place.z, turn.w, turn.x, turn.y, turn.z)]


def _time_ns(time: Any) -> int:
    if hasattr(time, "seconds"):
        return int(time.seconds) * 1_000_000_000 + int(time.nanos)
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)
