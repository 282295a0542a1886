from fleetlabel.v1 import boxes_pb2 as _boxes_pb2
from fleetlabel.v1 import edits_pb2 as _edits_pb2
from fleetlabel.v1 import objects_pb2 as _objects_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ObjectChange(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_CHANGE_UNSPECIFIED: _ClassVar[ObjectChange]
    OBJECT_CHANGE_ADDED: _ClassVar[ObjectChange]
    OBJECT_CHANGE_REMOVED: _ClassVar[ObjectChange]
    OBJECT_CHANGE_CHANGED: _ClassVar[ObjectChange]
OBJECT_CHANGE_UNSPECIFIED: ObjectChange
OBJECT_CHANGE_ADDED: ObjectChange
OBJECT_CHANGE_REMOVED: ObjectChange
OBJECT_CHANGE_CHANGED: ObjectChange

class BoxesDifference(_message.Message):
    __slots__ = ("camera", "added", "removed", "changed")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    camera: str
    added: int
    removed: int
    changed: int
    def __init__(self, camera: _Optional[str] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...

class ObjectDifference(_message.Message):
    __slots__ = ("object_id", "change", "boxes", "said")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    change: ObjectChange
    boxes: _containers.RepeatedCompositeFieldContainer[BoxesDifference]
    said: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, object_id: _Optional[int] = ..., change: _Optional[_Union[ObjectChange, str]] = ..., boxes: _Optional[_Iterable[_Union[BoxesDifference, _Mapping]]] = ..., said: _Optional[_Iterable[str]] = ...) -> None: ...

class DescribedBox(_message.Message):
    __slots__ = ("class_name", "source", "score", "center_m", "size_lwh_m", "q_wxyz", "xyxy_px", "amodal_xyxy_px")
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CENTER_M_FIELD_NUMBER: _ClassVar[int]
    SIZE_LWH_M_FIELD_NUMBER: _ClassVar[int]
    Q_WXYZ_FIELD_NUMBER: _ClassVar[int]
    XYXY_PX_FIELD_NUMBER: _ClassVar[int]
    AMODAL_XYXY_PX_FIELD_NUMBER: _ClassVar[int]
    class_name: str
    source: _boxes_pb2.BoxSource
    score: float
    center_m: _containers.RepeatedScalarFieldContainer[float]
    size_lwh_m: _containers.RepeatedScalarFieldContainer[float]
    q_wxyz: _containers.RepeatedScalarFieldContainer[float]
    xyxy_px: _containers.RepeatedScalarFieldContainer[float]
    amodal_xyxy_px: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, class_name: _Optional[str] = ..., source: _Optional[_Union[_boxes_pb2.BoxSource, str]] = ..., score: _Optional[float] = ..., center_m: _Optional[_Iterable[float]] = ..., size_lwh_m: _Optional[_Iterable[float]] = ..., q_wxyz: _Optional[_Iterable[float]] = ..., xyxy_px: _Optional[_Iterable[float]] = ..., amodal_xyxy_px: _Optional[_Iterable[float]] = ...) -> None: ...

class BoxReason(_message.Message):
    __slots__ = ("object_id", "frame", "camera", "box", "detection", "detection_row", "keyframes", "slips", "tracks", "solver", "runs", "records")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    DETECTION_FIELD_NUMBER: _ClassVar[int]
    DETECTION_ROW_FIELD_NUMBER: _ClassVar[int]
    KEYFRAMES_FIELD_NUMBER: _ClassVar[int]
    SLIPS_FIELD_NUMBER: _ClassVar[int]
    TRACKS_FIELD_NUMBER: _ClassVar[int]
    SOLVER_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    frame: int
    camera: str
    box: DescribedBox
    detection: DescribedBox
    detection_row: int
    keyframes: _containers.RepeatedScalarFieldContainer[int]
    slips: _containers.RepeatedScalarFieldContainer[int]
    tracks: _containers.RepeatedCompositeFieldContainer[_objects_pb2.TrackSegment]
    solver: str
    runs: _struct_pb2.Struct
    records: _containers.RepeatedCompositeFieldContainer[_edits_pb2.EditRecord]
    def __init__(self, object_id: _Optional[int] = ..., frame: _Optional[int] = ..., camera: _Optional[str] = ..., box: _Optional[_Union[DescribedBox, _Mapping]] = ..., detection: _Optional[_Union[DescribedBox, _Mapping]] = ..., detection_row: _Optional[int] = ..., keyframes: _Optional[_Iterable[int]] = ..., slips: _Optional[_Iterable[int]] = ..., tracks: _Optional[_Iterable[_Union[_objects_pb2.TrackSegment, _Mapping]]] = ..., solver: _Optional[str] = ..., runs: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., records: _Optional[_Iterable[_Union[_edits_pb2.EditRecord, _Mapping]]] = ...) -> None: ...
