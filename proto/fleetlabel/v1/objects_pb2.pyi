from fleetlabel.v1 import boxes_pb2 as _boxes_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ObjectFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECT_FLAG_UNSPECIFIED: _ClassVar[ObjectFlag]
    OBJECT_FLAG_ABSENT: _ClassVar[ObjectFlag]
    OBJECT_FLAG_OCCLUSION: _ClassVar[ObjectFlag]
    OBJECT_FLAG_TRUNCATION: _ClassVar[ObjectFlag]
    OBJECT_FLAG_IGNORE: _ClassVar[ObjectFlag]
OBJECT_FLAG_UNSPECIFIED: ObjectFlag
OBJECT_FLAG_ABSENT: ObjectFlag
OBJECT_FLAG_OCCLUSION: ObjectFlag
OBJECT_FLAG_TRUNCATION: ObjectFlag
OBJECT_FLAG_IGNORE: ObjectFlag

class AttributeValue(_message.Message):
    __slots__ = ("bool_value", "int_value", "double_value", "string_value")
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    bool_value: bool
    int_value: int
    double_value: float
    string_value: str
    def __init__(self, bool_value: _Optional[bool] = ..., int_value: _Optional[int] = ..., double_value: _Optional[float] = ..., string_value: _Optional[str] = ...) -> None: ...

class ValueSpan(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "value")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    value: AttributeValue
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., value: _Optional[_Union[AttributeValue, _Mapping]] = ...) -> None: ...

class TrackSegment(_message.Message):
    __slots__ = ("camera", "track_id", "start_frame", "stop_frame")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    TRACK_ID_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    camera: str
    track_id: int
    start_frame: int
    stop_frame: int
    def __init__(self, camera: _Optional[str] = ..., track_id: _Optional[int] = ..., start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ...) -> None: ...

class CuboidKeyframe(_message.Message):
    __slots__ = ("frame", "center_m", "yaw_rad")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CENTER_M_FIELD_NUMBER: _ClassVar[int]
    YAW_RAD_FIELD_NUMBER: _ClassVar[int]
    frame: int
    center_m: _containers.RepeatedScalarFieldContainer[float]
    yaw_rad: float
    def __init__(self, frame: _Optional[int] = ..., center_m: _Optional[_Iterable[float]] = ..., yaw_rad: _Optional[float] = ...) -> None: ...

class PictureKeyframe(_message.Message):
    __slots__ = ("camera", "frame", "xyxy_px", "amodal_xyxy_px")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    XYXY_PX_FIELD_NUMBER: _ClassVar[int]
    AMODAL_XYXY_PX_FIELD_NUMBER: _ClassVar[int]
    camera: str
    frame: int
    xyxy_px: _containers.RepeatedScalarFieldContainer[float]
    amodal_xyxy_px: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, camera: _Optional[str] = ..., frame: _Optional[int] = ..., xyxy_px: _Optional[_Iterable[float]] = ..., amodal_xyxy_px: _Optional[_Iterable[float]] = ...) -> None: ...

class FlagSpans(_message.Message):
    __slots__ = ("flag", "camera", "spans")
    FLAG_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    flag: ObjectFlag
    camera: str
    spans: _containers.RepeatedCompositeFieldContainer[ValueSpan]
    def __init__(self, flag: _Optional[_Union[ObjectFlag, str]] = ..., camera: _Optional[str] = ..., spans: _Optional[_Iterable[_Union[ValueSpan, _Mapping]]] = ...) -> None: ...

class AttributeSpans(_message.Message):
    __slots__ = ("name", "spans")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spans: _containers.RepeatedCompositeFieldContainer[ValueSpan]
    def __init__(self, name: _Optional[str] = ..., spans: _Optional[_Iterable[_Union[ValueSpan, _Mapping]]] = ...) -> None: ...

class ClassSpan(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "class_name")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    class_name: str
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., class_name: _Optional[str] = ...) -> None: ...

class AcceptedSpan(_message.Message):
    __slots__ = ("start_frame", "stop_frame")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ...) -> None: ...

class ObjectNote(_message.Message):
    __slots__ = ("text", "frame")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    text: str
    frame: int
    def __init__(self, text: _Optional[str] = ..., frame: _Optional[int] = ...) -> None: ...

class LabelObject(_message.Message):
    __slots__ = ("object_id", "segments", "cuboid_keyframes", "picture_keyframes", "size_lwh_m", "stationary", "flipped", "start_frame", "stop_frame", "flags", "classes", "attributes", "accepted", "notes")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    CUBOID_KEYFRAMES_FIELD_NUMBER: _ClassVar[int]
    PICTURE_KEYFRAMES_FIELD_NUMBER: _ClassVar[int]
    SIZE_LWH_M_FIELD_NUMBER: _ClassVar[int]
    STATIONARY_FIELD_NUMBER: _ClassVar[int]
    FLIPPED_FIELD_NUMBER: _ClassVar[int]
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    segments: _containers.RepeatedCompositeFieldContainer[TrackSegment]
    cuboid_keyframes: _containers.RepeatedCompositeFieldContainer[CuboidKeyframe]
    picture_keyframes: _containers.RepeatedCompositeFieldContainer[PictureKeyframe]
    size_lwh_m: _containers.RepeatedScalarFieldContainer[float]
    stationary: bool
    flipped: bool
    start_frame: int
    stop_frame: int
    flags: _containers.RepeatedCompositeFieldContainer[FlagSpans]
    classes: _containers.RepeatedCompositeFieldContainer[ClassSpan]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeSpans]
    accepted: _containers.RepeatedCompositeFieldContainer[AcceptedSpan]
    notes: _containers.RepeatedCompositeFieldContainer[ObjectNote]
    def __init__(self, object_id: _Optional[int] = ..., segments: _Optional[_Iterable[_Union[TrackSegment, _Mapping]]] = ..., cuboid_keyframes: _Optional[_Iterable[_Union[CuboidKeyframe, _Mapping]]] = ..., picture_keyframes: _Optional[_Iterable[_Union[PictureKeyframe, _Mapping]]] = ..., size_lwh_m: _Optional[_Iterable[float]] = ..., stationary: _Optional[bool] = ..., flipped: _Optional[bool] = ..., start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., flags: _Optional[_Iterable[_Union[FlagSpans, _Mapping]]] = ..., classes: _Optional[_Iterable[_Union[ClassSpan, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[AttributeSpans, _Mapping]]] = ..., accepted: _Optional[_Iterable[_Union[AcceptedSpan, _Mapping]]] = ..., notes: _Optional[_Iterable[_Union[ObjectNote, _Mapping]]] = ...) -> None: ...

class ObjectImage(_message.Message):
    __slots__ = ("object_id", "object")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    object: LabelObject
    def __init__(self, object_id: _Optional[int] = ..., object: _Optional[_Union[LabelObject, _Mapping]] = ...) -> None: ...

class ObjectCuboids(_message.Message):
    __slots__ = ("boxes", "solved", "std_m_f64")
    BOXES_FIELD_NUMBER: _ClassVar[int]
    SOLVED_FIELD_NUMBER: _ClassVar[int]
    STD_M_F64_FIELD_NUMBER: _ClassVar[int]
    boxes: _boxes_pb2.Boxes3D
    solved: bool
    std_m_f64: bytes
    def __init__(self, boxes: _Optional[_Union[_boxes_pb2.Boxes3D, _Mapping]] = ..., solved: _Optional[bool] = ..., std_m_f64: _Optional[bytes] = ...) -> None: ...

class ObjectPictures(_message.Message):
    __slots__ = ("boxes", "solved", "std_px_f64")
    BOXES_FIELD_NUMBER: _ClassVar[int]
    SOLVED_FIELD_NUMBER: _ClassVar[int]
    STD_PX_F64_FIELD_NUMBER: _ClassVar[int]
    boxes: _boxes_pb2.Boxes2D
    solved: bool
    std_px_f64: bytes
    def __init__(self, boxes: _Optional[_Union[_boxes_pb2.Boxes2D, _Mapping]] = ..., solved: _Optional[bool] = ..., std_px_f64: _Optional[bytes] = ...) -> None: ...

class SolvedObject(_message.Message):
    __slots__ = ("object", "class_name", "cuboids", "pictures")
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    CUBOIDS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    object: LabelObject
    class_name: str
    cuboids: ObjectCuboids
    pictures: _containers.RepeatedCompositeFieldContainer[ObjectPictures]
    def __init__(self, object: _Optional[_Union[LabelObject, _Mapping]] = ..., class_name: _Optional[str] = ..., cuboids: _Optional[_Union[ObjectCuboids, _Mapping]] = ..., pictures: _Optional[_Iterable[_Union[ObjectPictures, _Mapping]]] = ...) -> None: ...
