from fleetlabel.v1 import frames_pb2 as _frames_pb2
from fleetlabel.v1 import sensors_pb2 as _sensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamPicturesRequest(_message.Message):
    __slots__ = ("sequence_id", "cameras", "frames")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    cameras: _containers.RepeatedScalarFieldContainer[str]
    frames: _frames_pb2.FrameRange
    def __init__(self, sequence_id: _Optional[str] = ..., cameras: _Optional[_Iterable[str]] = ..., frames: _Optional[_Union[_frames_pb2.FrameRange, _Mapping]] = ...) -> None: ...

class StreamPicturesResponse(_message.Message):
    __slots__ = ("camera", "frame", "timestamp_ns", "status", "picture")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    camera: str
    frame: int
    timestamp_ns: int
    status: _sensors_pb2.SampleStatus
    picture: bytes
    def __init__(self, camera: _Optional[str] = ..., frame: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., status: _Optional[_Union[_sensors_pb2.SampleStatus, str]] = ..., picture: _Optional[bytes] = ...) -> None: ...

class StreamSweepsRequest(_message.Message):
    __slots__ = ("sequence_id", "lidars", "frames")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    LIDARS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    lidars: _containers.RepeatedScalarFieldContainer[str]
    frames: _frames_pb2.FrameRange
    def __init__(self, sequence_id: _Optional[str] = ..., lidars: _Optional[_Iterable[str]] = ..., frames: _Optional[_Union[_frames_pb2.FrameRange, _Mapping]] = ...) -> None: ...

class StreamSweepsResponse(_message.Message):
    __slots__ = ("lidar", "frame", "timestamp_ns", "status", "points_xyzi_f32", "point_time_offset_ns_i32", "world_from_sensor")
    LIDAR_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POINTS_XYZI_F32_FIELD_NUMBER: _ClassVar[int]
    POINT_TIME_OFFSET_NS_I32_FIELD_NUMBER: _ClassVar[int]
    WORLD_FROM_SENSOR_FIELD_NUMBER: _ClassVar[int]
    lidar: str
    frame: int
    timestamp_ns: int
    status: _sensors_pb2.SampleStatus
    points_xyzi_f32: bytes
    point_time_offset_ns_i32: bytes
    world_from_sensor: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, lidar: _Optional[str] = ..., frame: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., status: _Optional[_Union[_sensors_pb2.SampleStatus, str]] = ..., points_xyzi_f32: _Optional[bytes] = ..., point_time_offset_ns_i32: _Optional[bytes] = ..., world_from_sensor: _Optional[_Iterable[float]] = ...) -> None: ...

class GetTimelineRequest(_message.Message):
    __slots__ = ("sequence_id", "frames")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    frames: _frames_pb2.FrameRange
    def __init__(self, sequence_id: _Optional[str] = ..., frames: _Optional[_Union[_frames_pb2.FrameRange, _Mapping]] = ...) -> None: ...

class GetTimelineResponse(_message.Message):
    __slots__ = ("n_frames", "start_frame", "stop_frame", "frame_timestamp_ns_i64", "trajectory", "sensors", "world_offset_m")
    N_FRAMES_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    FRAME_TIMESTAMP_NS_I64_FIELD_NUMBER: _ClassVar[int]
    TRAJECTORY_FIELD_NUMBER: _ClassVar[int]
    SENSORS_FIELD_NUMBER: _ClassVar[int]
    WORLD_OFFSET_M_FIELD_NUMBER: _ClassVar[int]
    n_frames: int
    start_frame: int
    stop_frame: int
    frame_timestamp_ns_i64: bytes
    trajectory: _sensors_pb2.EgoTrajectory
    sensors: _containers.RepeatedCompositeFieldContainer[_sensors_pb2.SensorSamples]
    world_offset_m: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, n_frames: _Optional[int] = ..., start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., frame_timestamp_ns_i64: _Optional[bytes] = ..., trajectory: _Optional[_Union[_sensors_pb2.EgoTrajectory, _Mapping]] = ..., sensors: _Optional[_Iterable[_Union[_sensors_pb2.SensorSamples, _Mapping]]] = ..., world_offset_m: _Optional[_Iterable[float]] = ...) -> None: ...

class GetCalibrationRequest(_message.Message):
    __slots__ = ("sequence_id",)
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    def __init__(self, sequence_id: _Optional[str] = ...) -> None: ...

class GetCalibrationResponse(_message.Message):
    __slots__ = ("sensors",)
    SENSORS_FIELD_NUMBER: _ClassVar[int]
    sensors: _containers.RepeatedCompositeFieldContainer[_sensors_pb2.Sensor]
    def __init__(self, sensors: _Optional[_Iterable[_Union[_sensors_pb2.Sensor, _Mapping]]] = ...) -> None: ...
