from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SensorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SENSOR_KIND_UNSPECIFIED: _ClassVar[SensorKind]
    SENSOR_KIND_CAMERA: _ClassVar[SensorKind]
    SENSOR_KIND_LIDAR: _ClassVar[SensorKind]

class SampleStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAMPLE_STATUS_UNSPECIFIED: _ClassVar[SampleStatus]
    SAMPLE_STATUS_OK: _ClassVar[SampleStatus]
    SAMPLE_STATUS_MISSING: _ClassVar[SampleStatus]
    SAMPLE_STATUS_QUARANTINED: _ClassVar[SampleStatus]
SENSOR_KIND_UNSPECIFIED: SensorKind
SENSOR_KIND_CAMERA: SensorKind
SENSOR_KIND_LIDAR: SensorKind
SAMPLE_STATUS_UNSPECIFIED: SampleStatus
SAMPLE_STATUS_OK: SampleStatus
SAMPLE_STATUS_MISSING: SampleStatus
SAMPLE_STATUS_QUARANTINED: SampleStatus

class Sensor(_message.Message):
    __slots__ = ("name", "kind", "ego_from_sensor", "camera", "motion_compensated")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EGO_FROM_SENSOR_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    MOTION_COMPENSATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: SensorKind
    ego_from_sensor: _containers.RepeatedScalarFieldContainer[float]
    camera: CameraModel
    motion_compensated: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[SensorKind, str]] = ..., ego_from_sensor: _Optional[_Iterable[float]] = ..., camera: _Optional[_Union[CameraModel, _Mapping]] = ..., motion_compensated: _Optional[bool] = ...) -> None: ...

class CameraModel(_message.Message):
    __slots__ = ("width_px", "height_px", "fx_px", "fy_px", "cx_px", "cy_px", "pinhole", "fisheye")
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    FX_PX_FIELD_NUMBER: _ClassVar[int]
    FY_PX_FIELD_NUMBER: _ClassVar[int]
    CX_PX_FIELD_NUMBER: _ClassVar[int]
    CY_PX_FIELD_NUMBER: _ClassVar[int]
    PINHOLE_FIELD_NUMBER: _ClassVar[int]
    FISHEYE_FIELD_NUMBER: _ClassVar[int]
    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    pinhole: PinholeLens
    fisheye: FisheyeLens
    def __init__(self, width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., fx_px: _Optional[float] = ..., fy_px: _Optional[float] = ..., cx_px: _Optional[float] = ..., cy_px: _Optional[float] = ..., pinhole: _Optional[_Union[PinholeLens, _Mapping]] = ..., fisheye: _Optional[_Union[FisheyeLens, _Mapping]] = ...) -> None: ...

class PinholeLens(_message.Message):
    __slots__ = ("k1", "k2", "p1", "p2", "k3")
    K1_FIELD_NUMBER: _ClassVar[int]
    K2_FIELD_NUMBER: _ClassVar[int]
    P1_FIELD_NUMBER: _ClassVar[int]
    P2_FIELD_NUMBER: _ClassVar[int]
    K3_FIELD_NUMBER: _ClassVar[int]
    k1: float
    k2: float
    p1: float
    p2: float
    k3: float
    def __init__(self, k1: _Optional[float] = ..., k2: _Optional[float] = ..., p1: _Optional[float] = ..., p2: _Optional[float] = ..., k3: _Optional[float] = ...) -> None: ...

class FisheyeLens(_message.Message):
    __slots__ = ("k1", "k2", "k3", "k4")
    K1_FIELD_NUMBER: _ClassVar[int]
    K2_FIELD_NUMBER: _ClassVar[int]
    K3_FIELD_NUMBER: _ClassVar[int]
    K4_FIELD_NUMBER: _ClassVar[int]
    k1: float
    k2: float
    k3: float
    k4: float
    def __init__(self, k1: _Optional[float] = ..., k2: _Optional[float] = ..., k3: _Optional[float] = ..., k4: _Optional[float] = ...) -> None: ...

class EgoTrajectory(_message.Message):
    __slots__ = ("timestamp_ns_i64", "world_from_ego_f64", "max_extrapolation_ns")
    TIMESTAMP_NS_I64_FIELD_NUMBER: _ClassVar[int]
    WORLD_FROM_EGO_F64_FIELD_NUMBER: _ClassVar[int]
    MAX_EXTRAPOLATION_NS_FIELD_NUMBER: _ClassVar[int]
    timestamp_ns_i64: bytes
    world_from_ego_f64: bytes
    max_extrapolation_ns: int
    def __init__(self, timestamp_ns_i64: _Optional[bytes] = ..., world_from_ego_f64: _Optional[bytes] = ..., max_extrapolation_ns: _Optional[int] = ...) -> None: ...

class SensorSamples(_message.Message):
    __slots__ = ("sensor", "timestamp_ns_i64", "status_u8", "quarantined")
    SENSOR_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_I64_FIELD_NUMBER: _ClassVar[int]
    STATUS_U8_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    sensor: str
    timestamp_ns_i64: bytes
    status_u8: bytes
    quarantined: _containers.RepeatedCompositeFieldContainer[QuarantinedSample]
    def __init__(self, sensor: _Optional[str] = ..., timestamp_ns_i64: _Optional[bytes] = ..., status_u8: _Optional[bytes] = ..., quarantined: _Optional[_Iterable[_Union[QuarantinedSample, _Mapping]]] = ...) -> None: ...

class QuarantinedSample(_message.Message):
    __slots__ = ("frame", "reason")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    frame: int
    reason: str
    def __init__(self, frame: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
