from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BoxSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOX_SOURCE_UNSPECIFIED: _ClassVar[BoxSource]
    BOX_SOURCE_GROUND_TRUTH: _ClassVar[BoxSource]
    BOX_SOURCE_DETECTOR: _ClassVar[BoxSource]
    BOX_SOURCE_TRACKER: _ClassVar[BoxSource]
    BOX_SOURCE_INTERPOLATED: _ClassVar[BoxSource]
    BOX_SOURCE_SMOOTHED: _ClassVar[BoxSource]
    BOX_SOURCE_HUMAN: _ClassVar[BoxSource]
BOX_SOURCE_UNSPECIFIED: BoxSource
BOX_SOURCE_GROUND_TRUTH: BoxSource
BOX_SOURCE_DETECTOR: BoxSource
BOX_SOURCE_TRACKER: BoxSource
BOX_SOURCE_INTERPOLATED: BoxSource
BOX_SOURCE_SMOOTHED: BoxSource
BOX_SOURCE_HUMAN: BoxSource

class BoxColumns(_message.Message):
    __slots__ = ("row_count", "start_frame", "stop_frame", "frame_ptr_i64", "class_names", "provenances", "frame_i32", "timestamp_ns_i64", "class_id_i16", "score_f32", "track_id_i64", "source_u8", "detection_i32", "truncation_f32", "occlusion_i8", "ignore_u8", "provenance_i16")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    FRAME_PTR_I64_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCES_FIELD_NUMBER: _ClassVar[int]
    FRAME_I32_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_I64_FIELD_NUMBER: _ClassVar[int]
    CLASS_ID_I16_FIELD_NUMBER: _ClassVar[int]
    SCORE_F32_FIELD_NUMBER: _ClassVar[int]
    TRACK_ID_I64_FIELD_NUMBER: _ClassVar[int]
    SOURCE_U8_FIELD_NUMBER: _ClassVar[int]
    DETECTION_I32_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_F32_FIELD_NUMBER: _ClassVar[int]
    OCCLUSION_I8_FIELD_NUMBER: _ClassVar[int]
    IGNORE_U8_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_I16_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    start_frame: int
    stop_frame: int
    frame_ptr_i64: bytes
    class_names: _containers.RepeatedScalarFieldContainer[str]
    provenances: _containers.RepeatedCompositeFieldContainer[Provenance]
    frame_i32: bytes
    timestamp_ns_i64: bytes
    class_id_i16: bytes
    score_f32: bytes
    track_id_i64: bytes
    source_u8: bytes
    detection_i32: bytes
    truncation_f32: bytes
    occlusion_i8: bytes
    ignore_u8: bytes
    provenance_i16: bytes
    def __init__(self, row_count: _Optional[int] = ..., start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., frame_ptr_i64: _Optional[bytes] = ..., class_names: _Optional[_Iterable[str]] = ..., provenances: _Optional[_Iterable[_Union[Provenance, _Mapping]]] = ..., frame_i32: _Optional[bytes] = ..., timestamp_ns_i64: _Optional[bytes] = ..., class_id_i16: _Optional[bytes] = ..., score_f32: _Optional[bytes] = ..., track_id_i64: _Optional[bytes] = ..., source_u8: _Optional[bytes] = ..., detection_i32: _Optional[bytes] = ..., truncation_f32: _Optional[bytes] = ..., occlusion_i8: _Optional[bytes] = ..., ignore_u8: _Optional[bytes] = ..., provenance_i16: _Optional[bytes] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("version", "stage", "run_id", "model_sha256", "solver")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_SHA256_FIELD_NUMBER: _ClassVar[int]
    SOLVER_FIELD_NUMBER: _ClassVar[int]
    version: str
    stage: str
    run_id: str
    model_sha256: str
    solver: str
    def __init__(self, version: _Optional[str] = ..., stage: _Optional[str] = ..., run_id: _Optional[str] = ..., model_sha256: _Optional[str] = ..., solver: _Optional[str] = ...) -> None: ...

class Boxes2D(_message.Message):
    __slots__ = ("columns", "camera", "xyxy_px_f64", "amodal_xyxy_px_f64", "visible_fraction_f32")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    XYXY_PX_F64_FIELD_NUMBER: _ClassVar[int]
    AMODAL_XYXY_PX_F64_FIELD_NUMBER: _ClassVar[int]
    VISIBLE_FRACTION_F32_FIELD_NUMBER: _ClassVar[int]
    columns: BoxColumns
    camera: str
    xyxy_px_f64: bytes
    amodal_xyxy_px_f64: bytes
    visible_fraction_f32: bytes
    def __init__(self, columns: _Optional[_Union[BoxColumns, _Mapping]] = ..., camera: _Optional[str] = ..., xyxy_px_f64: _Optional[bytes] = ..., amodal_xyxy_px_f64: _Optional[bytes] = ..., visible_fraction_f32: _Optional[bytes] = ...) -> None: ...

class Boxes3D(_message.Message):
    __slots__ = ("columns", "center_m_f64", "size_lwh_m_f64", "q_wxyz_f64", "velocity_mps_f32", "n_points_i32")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CENTER_M_F64_FIELD_NUMBER: _ClassVar[int]
    SIZE_LWH_M_F64_FIELD_NUMBER: _ClassVar[int]
    Q_WXYZ_F64_FIELD_NUMBER: _ClassVar[int]
    VELOCITY_MPS_F32_FIELD_NUMBER: _ClassVar[int]
    N_POINTS_I32_FIELD_NUMBER: _ClassVar[int]
    columns: BoxColumns
    center_m_f64: bytes
    size_lwh_m_f64: bytes
    q_wxyz_f64: bytes
    velocity_mps_f32: bytes
    n_points_i32: bytes
    def __init__(self, columns: _Optional[_Union[BoxColumns, _Mapping]] = ..., center_m_f64: _Optional[bytes] = ..., size_lwh_m_f64: _Optional[bytes] = ..., q_wxyz_f64: _Optional[bytes] = ..., velocity_mps_f32: _Optional[bytes] = ..., n_points_i32: _Optional[bytes] = ...) -> None: ...
