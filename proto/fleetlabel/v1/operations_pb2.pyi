from fleetlabel.v1 import errors_pb2 as _errors_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OperationKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_KIND_UNSPECIFIED: _ClassVar[OperationKind]
    OPERATION_KIND_INGEST: _ClassVar[OperationKind]
    OPERATION_KIND_UPLOAD: _ClassVar[OperationKind]
    OPERATION_KIND_PRELABEL: _ClassVar[OperationKind]
    OPERATION_KIND_LIFT: _ClassVar[OperationKind]
    OPERATION_KIND_TRACKING: _ClassVar[OperationKind]
    OPERATION_KIND_EXPORT: _ClassVar[OperationKind]

class OperationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_STATE_UNSPECIFIED: _ClassVar[OperationState]
    OPERATION_STATE_QUEUED: _ClassVar[OperationState]
    OPERATION_STATE_RUNNING: _ClassVar[OperationState]
    OPERATION_STATE_SUCCEEDED: _ClassVar[OperationState]
    OPERATION_STATE_FAILED: _ClassVar[OperationState]
    OPERATION_STATE_CANCELLED: _ClassVar[OperationState]
OPERATION_KIND_UNSPECIFIED: OperationKind
OPERATION_KIND_INGEST: OperationKind
OPERATION_KIND_UPLOAD: OperationKind
OPERATION_KIND_PRELABEL: OperationKind
OPERATION_KIND_LIFT: OperationKind
OPERATION_KIND_TRACKING: OperationKind
OPERATION_KIND_EXPORT: OperationKind
OPERATION_STATE_UNSPECIFIED: OperationState
OPERATION_STATE_QUEUED: OperationState
OPERATION_STATE_RUNNING: OperationState
OPERATION_STATE_SUCCEEDED: OperationState
OPERATION_STATE_FAILED: OperationState
OPERATION_STATE_CANCELLED: OperationState

class Operation(_message.Message):
    __slots__ = ("operation_id", "kind", "state", "done", "cancel_requested", "sequence_id", "owner", "request_id", "stage", "frames_done", "frames_total", "frames_per_second", "created_ns", "started_ns", "updated_ns", "finished_ns", "error", "pipeline", "export")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_DONE_FIELD_NUMBER: _ClassVar[int]
    FRAMES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_NS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_NS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    EXPORT_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    kind: OperationKind
    state: OperationState
    done: bool
    cancel_requested: bool
    sequence_id: str
    owner: str
    request_id: str
    stage: str
    frames_done: int
    frames_total: int
    frames_per_second: float
    created_ns: int
    started_ns: int
    updated_ns: int
    finished_ns: int
    error: _errors_pb2.ErrorDetail
    pipeline: PipelineResult
    export: ExportResult
    def __init__(self, operation_id: _Optional[str] = ..., kind: _Optional[_Union[OperationKind, str]] = ..., state: _Optional[_Union[OperationState, str]] = ..., done: _Optional[bool] = ..., cancel_requested: _Optional[bool] = ..., sequence_id: _Optional[str] = ..., owner: _Optional[str] = ..., request_id: _Optional[str] = ..., stage: _Optional[str] = ..., frames_done: _Optional[int] = ..., frames_total: _Optional[int] = ..., frames_per_second: _Optional[float] = ..., created_ns: _Optional[int] = ..., started_ns: _Optional[int] = ..., updated_ns: _Optional[int] = ..., finished_ns: _Optional[int] = ..., error: _Optional[_Union[_errors_pb2.ErrorDetail, _Mapping]] = ..., pipeline: _Optional[_Union[PipelineResult, _Mapping]] = ..., export: _Optional[_Union[ExportResult, _Mapping]] = ...) -> None: ...

class PipelineResult(_message.Message):
    __slots__ = ("sequence_id", "version", "content_hash", "n_frames", "wall_s", "quarantined_samples", "warnings")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    N_FRAMES_FIELD_NUMBER: _ClassVar[int]
    WALL_S_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    version: str
    content_hash: str
    n_frames: int
    wall_s: float
    quarantined_samples: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sequence_id: _Optional[str] = ..., version: _Optional[str] = ..., content_hash: _Optional[str] = ..., n_frames: _Optional[int] = ..., wall_s: _Optional[float] = ..., quarantined_samples: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportResult(_message.Message):
    __slots__ = ("version", "files", "notes")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    version: str
    files: _containers.RepeatedCompositeFieldContainer[ExportedFile]
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ExportedFile, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportedFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
