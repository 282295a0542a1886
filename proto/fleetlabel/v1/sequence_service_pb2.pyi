from fleetlabel.v1 import operations_pb2 as _operations_pb2
from fleetlabel.v1 import sensors_pb2 as _sensors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReviewState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_STATE_UNSPECIFIED: _ClassVar[ReviewState]
    REVIEW_STATE_UNLABELLED: _ClassVar[ReviewState]
    REVIEW_STATE_UNREVIEWED: _ClassVar[ReviewState]
    REVIEW_STATE_IN_REVIEW: _ClassVar[ReviewState]
    REVIEW_STATE_REVIEWED: _ClassVar[ReviewState]

class ExistingSequence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXISTING_SEQUENCE_UNSPECIFIED: _ClassVar[ExistingSequence]
    EXISTING_SEQUENCE_REFUSE: _ClassVar[ExistingSequence]
    EXISTING_SEQUENCE_RESUME: _ClassVar[ExistingSequence]
    EXISTING_SEQUENCE_OVERWRITE: _ClassVar[ExistingSequence]
REVIEW_STATE_UNSPECIFIED: ReviewState
REVIEW_STATE_UNLABELLED: ReviewState
REVIEW_STATE_UNREVIEWED: ReviewState
REVIEW_STATE_IN_REVIEW: ReviewState
REVIEW_STATE_REVIEWED: ReviewState
EXISTING_SEQUENCE_UNSPECIFIED: ExistingSequence
EXISTING_SEQUENCE_REFUSE: ExistingSequence
EXISTING_SEQUENCE_RESUME: ExistingSequence
EXISTING_SEQUENCE_OVERWRITE: ExistingSequence

class Sequence(_message.Message):
    __slots__ = ("sequence_id", "name", "source_format", "vehicle", "n_frames", "start_ns", "stop_ns", "cameras", "lidars", "labels_version", "head_record", "review", "quarantined_samples", "objects_by_class", "deleted", "problem")
    class ObjectsByClassEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_FIELD_NUMBER: _ClassVar[int]
    N_FRAMES_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    STOP_NS_FIELD_NUMBER: _ClassVar[int]
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    LIDARS_FIELD_NUMBER: _ClassVar[int]
    LABELS_VERSION_FIELD_NUMBER: _ClassVar[int]
    HEAD_RECORD_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_BY_CLASS_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    name: str
    source_format: str
    vehicle: str
    n_frames: int
    start_ns: int
    stop_ns: int
    cameras: _containers.RepeatedScalarFieldContainer[str]
    lidars: _containers.RepeatedScalarFieldContainer[str]
    labels_version: str
    head_record: int
    review: ReviewState
    quarantined_samples: int
    objects_by_class: _containers.ScalarMap[str, int]
    deleted: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    def __init__(self, sequence_id: _Optional[str] = ..., name: _Optional[str] = ..., source_format: _Optional[str] = ..., vehicle: _Optional[str] = ..., n_frames: _Optional[int] = ..., start_ns: _Optional[int] = ..., stop_ns: _Optional[int] = ..., cameras: _Optional[_Iterable[str]] = ..., lidars: _Optional[_Iterable[str]] = ..., labels_version: _Optional[str] = ..., head_record: _Optional[int] = ..., review: _Optional[_Union[ReviewState, str]] = ..., quarantined_samples: _Optional[int] = ..., objects_by_class: _Optional[_Mapping[str, int]] = ..., deleted: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ...) -> None: ...

class IngestSequenceRequest(_message.Message):
    __slots__ = ("request_id", "source", "source_sequence", "sequence_id", "existing", "chunk_frames")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FRAMES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    source: str
    source_sequence: str
    sequence_id: str
    existing: ExistingSequence
    chunk_frames: int
    def __init__(self, request_id: _Optional[str] = ..., source: _Optional[str] = ..., source_sequence: _Optional[str] = ..., sequence_id: _Optional[str] = ..., existing: _Optional[_Union[ExistingSequence, str]] = ..., chunk_frames: _Optional[int] = ...) -> None: ...

class IngestSequenceResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operations_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operations_pb2.Operation, _Mapping]] = ...) -> None: ...

class UploadSequenceRequest(_message.Message):
    __slots__ = ("header", "picture", "sweep", "commit")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    header: UploadHeader
    picture: UploadedPicture
    sweep: UploadedSweep
    commit: UploadCommit
    def __init__(self, header: _Optional[_Union[UploadHeader, _Mapping]] = ..., picture: _Optional[_Union[UploadedPicture, _Mapping]] = ..., sweep: _Optional[_Union[UploadedSweep, _Mapping]] = ..., commit: _Optional[_Union[UploadCommit, _Mapping]] = ...) -> None: ...

class UploadHeader(_message.Message):
    __slots__ = ("request_id", "sequence_id", "name", "vehicle", "sensors", "frame_timestamp_ns_i64", "trajectory", "world_offset_m")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_FIELD_NUMBER: _ClassVar[int]
    SENSORS_FIELD_NUMBER: _ClassVar[int]
    FRAME_TIMESTAMP_NS_I64_FIELD_NUMBER: _ClassVar[int]
    TRAJECTORY_FIELD_NUMBER: _ClassVar[int]
    WORLD_OFFSET_M_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    name: str
    vehicle: str
    sensors: _containers.RepeatedCompositeFieldContainer[_sensors_pb2.Sensor]
    frame_timestamp_ns_i64: bytes
    trajectory: _sensors_pb2.EgoTrajectory
    world_offset_m: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., name: _Optional[str] = ..., vehicle: _Optional[str] = ..., sensors: _Optional[_Iterable[_Union[_sensors_pb2.Sensor, _Mapping]]] = ..., frame_timestamp_ns_i64: _Optional[bytes] = ..., trajectory: _Optional[_Union[_sensors_pb2.EgoTrajectory, _Mapping]] = ..., world_offset_m: _Optional[_Iterable[float]] = ...) -> None: ...

class UploadedPicture(_message.Message):
    __slots__ = ("camera", "frame", "timestamp_ns", "picture")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    camera: str
    frame: int
    timestamp_ns: int
    picture: bytes
    def __init__(self, camera: _Optional[str] = ..., frame: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., picture: _Optional[bytes] = ...) -> None: ...

class UploadedSweep(_message.Message):
    __slots__ = ("lidar", "frame", "timestamp_ns", "points_xyzi_f32", "point_time_offset_ns_i32")
    LIDAR_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_NS_FIELD_NUMBER: _ClassVar[int]
    POINTS_XYZI_F32_FIELD_NUMBER: _ClassVar[int]
    POINT_TIME_OFFSET_NS_I32_FIELD_NUMBER: _ClassVar[int]
    lidar: str
    frame: int
    timestamp_ns: int
    points_xyzi_f32: bytes
    point_time_offset_ns_i32: bytes
    def __init__(self, lidar: _Optional[str] = ..., frame: _Optional[int] = ..., timestamp_ns: _Optional[int] = ..., points_xyzi_f32: _Optional[bytes] = ..., point_time_offset_ns_i32: _Optional[bytes] = ...) -> None: ...

class UploadCommit(_message.Message):
    __slots__ = ("pictures", "sweeps")
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    SWEEPS_FIELD_NUMBER: _ClassVar[int]
    pictures: int
    sweeps: int
    def __init__(self, pictures: _Optional[int] = ..., sweeps: _Optional[int] = ...) -> None: ...

class UploadSequenceResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operations_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operations_pb2.Operation, _Mapping]] = ...) -> None: ...

class ListSequencesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: SequenceFilter
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[_Union[SequenceFilter, _Mapping]] = ...) -> None: ...

class SequenceFilter(_message.Message):
    __slots__ = ("name_pattern", "vehicle_pattern", "start_ns", "stop_ns", "class_names", "review", "quarantined")
    NAME_PATTERN_FIELD_NUMBER: _ClassVar[int]
    VEHICLE_PATTERN_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    STOP_NS_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    name_pattern: str
    vehicle_pattern: str
    start_ns: int
    stop_ns: int
    class_names: _containers.RepeatedScalarFieldContainer[str]
    review: ReviewState
    quarantined: bool
    def __init__(self, name_pattern: _Optional[str] = ..., vehicle_pattern: _Optional[str] = ..., start_ns: _Optional[int] = ..., stop_ns: _Optional[int] = ..., class_names: _Optional[_Iterable[str]] = ..., review: _Optional[_Union[ReviewState, str]] = ..., quarantined: _Optional[bool] = ...) -> None: ...

class ListSequencesResponse(_message.Message):
    __slots__ = ("sequences", "next_page_token")
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedCompositeFieldContainer[Sequence]
    next_page_token: str
    def __init__(self, sequences: _Optional[_Iterable[_Union[Sequence, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetSequenceRequest(_message.Message):
    __slots__ = ("sequence_id",)
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    def __init__(self, sequence_id: _Optional[str] = ...) -> None: ...

class GetSequenceResponse(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: Sequence
    def __init__(self, sequence: _Optional[_Union[Sequence, _Mapping]] = ...) -> None: ...

class DeleteSequenceRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "reason")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    reason: str
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DeleteSequenceResponse(_message.Message):
    __slots__ = ("deleted_ns", "freed_bytes")
    DELETED_NS_FIELD_NUMBER: _ClassVar[int]
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    deleted_ns: int
    freed_bytes: int
    def __init__(self, deleted_ns: _Optional[int] = ..., freed_bytes: _Optional[int] = ...) -> None: ...
