from fleetlabel.v1 import boxes_pb2 as _boxes_pb2
from fleetlabel.v1 import edits_pb2 as _edits_pb2
from fleetlabel.v1 import frames_pb2 as _frames_pb2
from fleetlabel.v1 import objects_pb2 as _objects_pb2
from fleetlabel.v1 import reasons_pb2 as _reasons_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelVersion(_message.Message):
    __slots__ = ("name", "created_ns", "class_names", "cameras", "has_boxes3d", "base_version", "record", "provenance")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    HAS_BOXES3D_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    created_ns: int
    class_names: _containers.RepeatedScalarFieldContainer[str]
    cameras: _containers.RepeatedScalarFieldContainer[str]
    has_boxes3d: bool
    base_version: str
    record: int
    provenance: _struct_pb2.Struct
    def __init__(self, name: _Optional[str] = ..., created_ns: _Optional[int] = ..., class_names: _Optional[_Iterable[str]] = ..., cameras: _Optional[_Iterable[str]] = ..., has_boxes3d: _Optional[bool] = ..., base_version: _Optional[str] = ..., record: _Optional[int] = ..., provenance: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("sequence_id",)
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    def __init__(self, sequence_id: _Optional[str] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions", "head")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[LabelVersion]
    head: _frames_pb2.LabelsState
    def __init__(self, versions: _Optional[_Iterable[_Union[LabelVersion, _Mapping]]] = ..., head: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ...) -> None: ...

class GetBoxes2DRequest(_message.Message):
    __slots__ = ("sequence_id", "at", "cameras", "frames")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    at: _frames_pb2.LabelsAt
    cameras: _containers.RepeatedScalarFieldContainer[str]
    frames: _frames_pb2.FrameRange
    def __init__(self, sequence_id: _Optional[str] = ..., at: _Optional[_Union[_frames_pb2.LabelsAt, _Mapping]] = ..., cameras: _Optional[_Iterable[str]] = ..., frames: _Optional[_Union[_frames_pb2.FrameRange, _Mapping]] = ...) -> None: ...

class GetBoxes2DResponse(_message.Message):
    __slots__ = ("state", "boxes")
    STATE_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    state: _frames_pb2.LabelsState
    boxes: _boxes_pb2.Boxes2D
    def __init__(self, state: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., boxes: _Optional[_Union[_boxes_pb2.Boxes2D, _Mapping]] = ...) -> None: ...

class GetBoxes3DRequest(_message.Message):
    __slots__ = ("sequence_id", "at", "frames")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    at: _frames_pb2.LabelsAt
    frames: _frames_pb2.FrameRange
    def __init__(self, sequence_id: _Optional[str] = ..., at: _Optional[_Union[_frames_pb2.LabelsAt, _Mapping]] = ..., frames: _Optional[_Union[_frames_pb2.FrameRange, _Mapping]] = ...) -> None: ...

class GetBoxes3DResponse(_message.Message):
    __slots__ = ("state", "boxes")
    STATE_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    state: _frames_pb2.LabelsState
    boxes: _boxes_pb2.Boxes3D
    def __init__(self, state: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., boxes: _Optional[_Union[_boxes_pb2.Boxes3D, _Mapping]] = ...) -> None: ...

class GetObjectRequest(_message.Message):
    __slots__ = ("sequence_id", "at", "object_id")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    at: _frames_pb2.LabelsAt
    object_id: int
    def __init__(self, sequence_id: _Optional[str] = ..., at: _Optional[_Union[_frames_pb2.LabelsAt, _Mapping]] = ..., object_id: _Optional[int] = ...) -> None: ...

class GetObjectResponse(_message.Message):
    __slots__ = ("state", "object")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    state: _frames_pb2.LabelsState
    object: _objects_pb2.SolvedObject
    def __init__(self, state: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., object: _Optional[_Union[_objects_pb2.SolvedObject, _Mapping]] = ...) -> None: ...

class CommitEditsRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "base_record", "edits", "reason", "active_ms", "base_version")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_RECORD_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MS_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    base_record: int
    edits: _containers.RepeatedCompositeFieldContainer[_edits_pb2.Edit]
    reason: str
    active_ms: int
    base_version: str
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., base_record: _Optional[int] = ..., edits: _Optional[_Iterable[_Union[_edits_pb2.Edit, _Mapping]]] = ..., reason: _Optional[str] = ..., active_ms: _Optional[int] = ..., base_version: _Optional[str] = ...) -> None: ...

class NewObject(_message.Message):
    __slots__ = ("given_id", "object_id")
    GIVEN_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    given_id: int
    object_id: int
    def __init__(self, given_id: _Optional[int] = ..., object_id: _Optional[int] = ...) -> None: ...

class CommitEditsResponse(_message.Message):
    __slots__ = ("record", "new_objects", "repeated")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    NEW_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    record: _edits_pb2.EditRecord
    new_objects: _containers.RepeatedCompositeFieldContainer[NewObject]
    repeated: bool
    def __init__(self, record: _Optional[_Union[_edits_pb2.EditRecord, _Mapping]] = ..., new_objects: _Optional[_Iterable[_Union[NewObject, _Mapping]]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class PreviewEditsRequest(_message.Message):
    __slots__ = ("sequence_id", "at", "edits")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    at: _frames_pb2.LabelsAt
    edits: _containers.RepeatedCompositeFieldContainer[_edits_pb2.Edit]
    def __init__(self, sequence_id: _Optional[str] = ..., at: _Optional[_Union[_frames_pb2.LabelsAt, _Mapping]] = ..., edits: _Optional[_Iterable[_Union[_edits_pb2.Edit, _Mapping]]] = ...) -> None: ...

class PreviewEditsResponse(_message.Message):
    __slots__ = ("state", "object_id", "object")
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    state: _frames_pb2.LabelsState
    object_id: int
    object: _objects_pb2.SolvedObject
    def __init__(self, state: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., object_id: _Optional[int] = ..., object: _Optional[_Union[_objects_pb2.SolvedObject, _Mapping]] = ...) -> None: ...

class UndoEditsRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "reason", "active_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    reason: str
    active_ms: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., reason: _Optional[str] = ..., active_ms: _Optional[int] = ...) -> None: ...

class UndoEditsResponse(_message.Message):
    __slots__ = ("record", "repeated")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    record: _edits_pb2.EditRecord
    repeated: bool
    def __init__(self, record: _Optional[_Union[_edits_pb2.EditRecord, _Mapping]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class RedoEditsRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "reason", "active_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    reason: str
    active_ms: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., reason: _Optional[str] = ..., active_ms: _Optional[int] = ...) -> None: ...

class RedoEditsResponse(_message.Message):
    __slots__ = ("record", "repeated")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    record: _edits_pb2.EditRecord
    repeated: bool
    def __init__(self, record: _Optional[_Union[_edits_pb2.EditRecord, _Mapping]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class RevertRecordRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "record", "reason", "active_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    record: int
    reason: str
    active_ms: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., record: _Optional[int] = ..., reason: _Optional[str] = ..., active_ms: _Optional[int] = ...) -> None: ...

class RevertRecordResponse(_message.Message):
    __slots__ = ("record", "repeated")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    record: _edits_pb2.EditRecord
    repeated: bool
    def __init__(self, record: _Optional[_Union[_edits_pb2.EditRecord, _Mapping]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class RebaseEditsRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "version", "reason", "active_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    version: str
    reason: str
    active_ms: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ..., active_ms: _Optional[int] = ...) -> None: ...

class Misfit(_message.Message):
    __slots__ = ("object_id", "new_id", "frames", "problem")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    NEW_ID_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    new_id: int
    frames: _containers.RepeatedScalarFieldContainer[int]
    problem: str
    def __init__(self, object_id: _Optional[int] = ..., new_id: _Optional[int] = ..., frames: _Optional[_Iterable[int]] = ..., problem: _Optional[str] = ...) -> None: ...

class RebaseEditsResponse(_message.Message):
    __slots__ = ("record", "new_ids", "misfits", "repeated")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    NEW_IDS_FIELD_NUMBER: _ClassVar[int]
    MISFITS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_FIELD_NUMBER: _ClassVar[int]
    record: _edits_pb2.EditRecord
    new_ids: _containers.RepeatedCompositeFieldContainer[NewObject]
    misfits: _containers.RepeatedCompositeFieldContainer[Misfit]
    repeated: bool
    def __init__(self, record: _Optional[_Union[_edits_pb2.EditRecord, _Mapping]] = ..., new_ids: _Optional[_Iterable[_Union[NewObject, _Mapping]]] = ..., misfits: _Optional[_Iterable[_Union[Misfit, _Mapping]]] = ..., repeated: _Optional[bool] = ...) -> None: ...

class GetHistoryRequest(_message.Message):
    __slots__ = ("sequence_id", "page_size", "page_token", "after_record", "object_id", "frame", "camera")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AFTER_RECORD_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    page_size: int
    page_token: str
    after_record: int
    object_id: int
    frame: int
    camera: str
    def __init__(self, sequence_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., after_record: _Optional[int] = ..., object_id: _Optional[int] = ..., frame: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class HistoryEntry(_message.Message):
    __slots__ = ("record", "in_effect")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    IN_EFFECT_FIELD_NUMBER: _ClassVar[int]
    record: _edits_pb2.EditRecord
    in_effect: bool
    def __init__(self, record: _Optional[_Union[_edits_pb2.EditRecord, _Mapping]] = ..., in_effect: _Optional[bool] = ...) -> None: ...

class GetHistoryResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[HistoryEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[HistoryEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DiffLabelsRequest(_message.Message):
    __slots__ = ("sequence_id", "before", "after")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    before: _frames_pb2.LabelsAt
    after: _frames_pb2.LabelsAt
    def __init__(self, sequence_id: _Optional[str] = ..., before: _Optional[_Union[_frames_pb2.LabelsAt, _Mapping]] = ..., after: _Optional[_Union[_frames_pb2.LabelsAt, _Mapping]] = ...) -> None: ...

class DiffLabelsResponse(_message.Message):
    __slots__ = ("before", "after", "difference")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    before: _frames_pb2.LabelsState
    after: _frames_pb2.LabelsState
    difference: _reasons_pb2.ObjectDifference
    def __init__(self, before: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., after: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., difference: _Optional[_Union[_reasons_pb2.ObjectDifference, _Mapping]] = ...) -> None: ...

class ExplainBoxRequest(_message.Message):
    __slots__ = ("sequence_id", "object_id", "frame", "camera")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    object_id: int
    frame: int
    camera: str
    def __init__(self, sequence_id: _Optional[str] = ..., object_id: _Optional[int] = ..., frame: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class ExplainBoxResponse(_message.Message):
    __slots__ = ("state", "reason")
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    state: _frames_pb2.LabelsState
    reason: _reasons_pb2.BoxReason
    def __init__(self, state: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., reason: _Optional[_Union[_reasons_pb2.BoxReason, _Mapping]] = ...) -> None: ...

class SaveVersionRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "name", "record")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    name: str
    record: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., name: _Optional[str] = ..., record: _Optional[int] = ...) -> None: ...

class SaveVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: LabelVersion
    def __init__(self, version: _Optional[_Union[LabelVersion, _Mapping]] = ...) -> None: ...

class WatchHeadRequest(_message.Message):
    __slots__ = ("sequence_id", "after_record")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_RECORD_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    after_record: int
    def __init__(self, sequence_id: _Optional[str] = ..., after_record: _Optional[int] = ...) -> None: ...

class WatchHeadResponse(_message.Message):
    __slots__ = ("head", "records", "watchers", "caller")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    WATCHERS_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    head: _frames_pb2.LabelsState
    records: _containers.RepeatedCompositeFieldContainer[_edits_pb2.EditRecord]
    watchers: _containers.RepeatedScalarFieldContainer[str]
    caller: str
    def __init__(self, head: _Optional[_Union[_frames_pb2.LabelsState, _Mapping]] = ..., records: _Optional[_Iterable[_Union[_edits_pb2.EditRecord, _Mapping]]] = ..., watchers: _Optional[_Iterable[str]] = ..., caller: _Optional[str] = ...) -> None: ...

class NextItemsRequest(_message.Message):
    __slots__ = ("sequence_ids", "count", "iou", "lease_s")
    SEQUENCE_IDS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    IOU_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    sequence_ids: _containers.RepeatedScalarFieldContainer[str]
    count: int
    iou: float
    lease_s: float
    def __init__(self, sequence_ids: _Optional[_Iterable[str]] = ..., count: _Optional[int] = ..., iou: _Optional[float] = ..., lease_s: _Optional[float] = ...) -> None: ...

class QueueItem(_message.Message):
    __slots__ = ("sequence_id", "object_id", "frame", "camera", "score", "fixes", "work_s", "wrong", "reason", "lease_until_ns")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    FIXES_FIELD_NUMBER: _ClassVar[int]
    WORK_S_FIELD_NUMBER: _ClassVar[int]
    WRONG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    object_id: int
    frame: int
    camera: str
    score: float
    fixes: float
    work_s: float
    wrong: float
    reason: str
    lease_until_ns: int
    def __init__(self, sequence_id: _Optional[str] = ..., object_id: _Optional[int] = ..., frame: _Optional[int] = ..., camera: _Optional[str] = ..., score: _Optional[float] = ..., fixes: _Optional[float] = ..., work_s: _Optional[float] = ..., wrong: _Optional[float] = ..., reason: _Optional[str] = ..., lease_until_ns: _Optional[int] = ...) -> None: ...

class QueueProgress(_message.Message):
    __slots__ = ("sequence_id", "boxes", "looked_at", "expected_wrong", "expected_wrong_share", "done", "escalated_object_ids")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_WRONG_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_WRONG_SHARE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    boxes: int
    looked_at: int
    expected_wrong: float
    expected_wrong_share: float
    done: bool
    escalated_object_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequence_id: _Optional[str] = ..., boxes: _Optional[int] = ..., looked_at: _Optional[int] = ..., expected_wrong: _Optional[float] = ..., expected_wrong_share: _Optional[float] = ..., done: _Optional[bool] = ..., escalated_object_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class NextItemsResponse(_message.Message):
    __slots__ = ("items", "progress")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[QueueItem]
    progress: _containers.RepeatedCompositeFieldContainer[QueueProgress]
    def __init__(self, items: _Optional[_Iterable[_Union[QueueItem, _Mapping]]] = ..., progress: _Optional[_Iterable[_Union[QueueProgress, _Mapping]]] = ...) -> None: ...

class ReleaseItemsRequest(_message.Message):
    __slots__ = ("sequence_id", "object_ids")
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    sequence_id: str
    object_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequence_id: _Optional[str] = ..., object_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ReleaseItemsResponse(_message.Message):
    __slots__ = ("released_object_ids",)
    RELEASED_OBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    released_object_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, released_object_ids: _Optional[_Iterable[int]] = ...) -> None: ...
