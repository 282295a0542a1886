"""Pictures and sweeps as messages, and back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError

from fleetlabel.geometry.arrays import F64
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import SampleStatus
from fleetlabel.v1 import frame_service_pb2 as pb
from fleetlabel.wire.columns import column_bytes, column_of, rows_of
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.sensors import status_number, status_of

_INT32 = np.iinfo(np.int32)
_LONGEST_HEAD = 4_096  # of a message without its file
_PICTURE_TAG = bytes((pb.StreamPicturesResponse.PICTURE_FIELD_NUMBER << 3 | 2,))


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        camera, frame: which.
        timestamp_ns: when it was exposed; of a missing one, the frame's own time.
        status: what there is.
        file: the file as the source had it, JPEG or PNG; empty if it is missing. From an engine it is a view of the
            message that it came in, which cost no copy.
    """

    camera: str
    frame: int
    timestamp_ns: int
    status: SampleStatus
    file: bytes | memoryview

    @property
    def data(self) -> bytes:
        """The file's bytes; of a view, a copy."""
        return bytes(self.file)


@dataclass(frozen=True, slots=True, eq=False)
class LidarSample:
    """One sweep and its place.

    Attributes:
        lidar, frame: which.
        status: what there is.
        sweep: without points if it is missing.
        world_from_sensor: (4, 4) where the lidar was at the sweep's time; None where that is not known.
    """

    lidar: str
    frame: int
    status: SampleStatus
    sweep: Sweep
    world_from_sensor: F64 | None


def picture_message(picture: Picture) -> pb.StreamPicturesResponse:
    """A picture."""
    return pb.StreamPicturesResponse(
        camera=picture.camera,
        frame=picture.frame,
        timestamp_ns=picture.timestamp_ns,
        status=status_number(picture.status),
        picture=picture.data,
    )


def picture_pieces(
    camera: str, frame: int, timestamp_ns: int, status: SampleStatus, *file: memoryview
) -> tuple[bytes | memoryview, ...]:
    """What :func:`picture_message` of a picture serializes to, in pieces: joining them copies the file once.

    Args:
        file: in pieces.
    """
    head = pb.StreamPicturesResponse(
        camera=camera, frame=frame, timestamp_ns=timestamp_ns, status=status_number(status)
    ).SerializeToString()
    size = sum(map(len, file))
    # A field is its tag, its length and its bytes, and a message one field after the other.
    return (head + _PICTURE_TAG + _varint(size), *file) if size else (head,)


def _varint(number: int) -> bytes:
    """A number as protocol buffers write lengths: seven bits a byte, the lowest first."""
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes((*digits, number))


def picture_of(serialized: bytes) -> Picture:
    """The picture that a serialized message holds, whose file is a view of it.

    Raises:
        RequestError: it is no such message, or its status is none.
    """
    # An engine of ours sends the file last: what comes before it is a whole message.
    at = serialized.find(_PICTURE_TAG)
    while 0 <= at < _LONGEST_HEAD:
        length, begin = _length(serialized, at + 1)
        if begin + length == len(serialized):
            with suppress(DecodeError):
                head = pb.StreamPicturesResponse.FromString(serialized[:at])
                return _picture(head, memoryview(serialized)[begin:])
        at = serialized.find(_PICTURE_TAG, at + 1)
    try:
        message = pb.StreamPicturesResponse.FromString(serialized)
    except DecodeError as error:
        raise RequestError("picture", "a StreamPicturesResponse", f"{len(serialized)} other bytes") from error
    return _picture(message, message.picture)


def _picture(head: pb.StreamPicturesResponse, file: bytes | memoryview) -> Picture:
    return Picture(head.camera, head.frame, head.timestamp_ns, status_of(head.status, "status"), file)


def _length(serialized: bytes, at: int) -> tuple[int, int]:
    """The inverse of :func:`_varint`: a number, and where it ends."""
    number = shift = 0
    for digit in serialized[at : at + 5]:
        number |= (digit & 127) << shift
        at, shift = at + 1, shift + 7
        if digit < 128:
            break
    return number, at


def sweep_message(sample: LidarSample) -> pb.StreamSweepsResponse:
    """A sweep.

    Raises:
        RequestError: a point lies more than two seconds from the sweep's time.
    """
    offsets = sample.sweep.point_time_offset_ns
    if offsets.size and not _INT32.min <= int(offsets.min()) <= int(offsets.max()) <= _INT32.max:
        raise RequestError(
            "point_time_offset_ns", "32 bits of nanoseconds", f"{int(offsets.min())} to {int(offsets.max())}"
        )
    pose = () if sample.world_from_sensor is None else sample.world_from_sensor.ravel().tolist()
    return pb.StreamSweepsResponse(
        lidar=sample.lidar,
        frame=sample.frame,
        timestamp_ns=sample.sweep.timestamp_ns,
        status=status_number(sample.status),
        points_xyzi_f32=column_bytes(sample.sweep.points),
        point_time_offset_ns_i32=column_bytes(offsets.astype(np.int32), 0),
        world_from_sensor=pose,
    )


def sweep_of(message: pb.StreamSweepsResponse) -> LidarSample:
    """The sweep that a message holds.

    Raises:
        RequestError: it is not as frame_service.proto says; names the field.
    """
    points = rows_of(message.points_xyzi_f32, "points_xyzi_f32", np.float32, 4)
    offsets = column_of(
        message.point_time_offset_ns_i32, "point_time_offset_ns_i32", np.int32, len(points), (), 0
    )
    if len(message.world_from_sensor) not in (0, 16):
        raise RequestError("world_from_sensor", "16 numbers or none", str(len(message.world_from_sensor)))
    pose = np.array(message.world_from_sensor).reshape(4, 4) if message.world_from_sensor else None
    sweep = Sweep(message.timestamp_ns, points, offsets.astype(np.int64))
    return LidarSample(message.lidar, message.frame, status_of(message.status, "status"), sweep, pose)
