from fleetlabel.v1 import objects_pb2 as _objects_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EditStep(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EDIT_STEP_UNSPECIFIED: _ClassVar[EditStep]
    EDIT_STEP_UNDO: _ClassVar[EditStep]
    EDIT_STEP_REDO: _ClassVar[EditStep]
EDIT_STEP_UNSPECIFIED: EditStep
EDIT_STEP_UNDO: EditStep
EDIT_STEP_REDO: EditStep

class Edit(_message.Message):
    __slots__ = ("object_id", "create_object", "delete_object", "set_keyframe_3d", "unset_keyframe_3d", "set_keyframe_2d", "unset_keyframe_2d", "set_absent", "clear_absent", "trim_start", "trim_end", "split", "merge", "change_identity", "swap_identities", "set_class", "set_attribute", "set_flags", "resize", "flip_heading", "set_stationary", "accept", "escalate", "settle", "restore")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_OBJECT_FIELD_NUMBER: _ClassVar[int]
    DELETE_OBJECT_FIELD_NUMBER: _ClassVar[int]
    SET_KEYFRAME_3D_FIELD_NUMBER: _ClassVar[int]
    UNSET_KEYFRAME_3D_FIELD_NUMBER: _ClassVar[int]
    SET_KEYFRAME_2D_FIELD_NUMBER: _ClassVar[int]
    UNSET_KEYFRAME_2D_FIELD_NUMBER: _ClassVar[int]
    SET_ABSENT_FIELD_NUMBER: _ClassVar[int]
    CLEAR_ABSENT_FIELD_NUMBER: _ClassVar[int]
    TRIM_START_FIELD_NUMBER: _ClassVar[int]
    TRIM_END_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SWAP_IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    SET_CLASS_FIELD_NUMBER: _ClassVar[int]
    SET_ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    SET_FLAGS_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    FLIP_HEADING_FIELD_NUMBER: _ClassVar[int]
    SET_STATIONARY_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    ESCALATE_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    create_object: CreateObjectEdit
    delete_object: DeleteObjectEdit
    set_keyframe_3d: SetKeyframe3DEdit
    unset_keyframe_3d: UnsetKeyframe3DEdit
    set_keyframe_2d: SetKeyframe2DEdit
    unset_keyframe_2d: UnsetKeyframe2DEdit
    set_absent: SetAbsentEdit
    clear_absent: ClearAbsentEdit
    trim_start: TrimStartEdit
    trim_end: TrimEndEdit
    split: SplitEdit
    merge: MergeEdit
    change_identity: ChangeIdentityEdit
    swap_identities: SwapIdentitiesEdit
    set_class: SetClassEdit
    set_attribute: SetAttributeEdit
    set_flags: SetFlagsEdit
    resize: ResizeEdit
    flip_heading: FlipHeadingEdit
    set_stationary: SetStationaryEdit
    accept: AcceptEdit
    escalate: EscalateEdit
    settle: SettleEdit
    restore: RestoreEdit
    def __init__(self, object_id: _Optional[int] = ..., create_object: _Optional[_Union[CreateObjectEdit, _Mapping]] = ..., delete_object: _Optional[_Union[DeleteObjectEdit, _Mapping]] = ..., set_keyframe_3d: _Optional[_Union[SetKeyframe3DEdit, _Mapping]] = ..., unset_keyframe_3d: _Optional[_Union[UnsetKeyframe3DEdit, _Mapping]] = ..., set_keyframe_2d: _Optional[_Union[SetKeyframe2DEdit, _Mapping]] = ..., unset_keyframe_2d: _Optional[_Union[UnsetKeyframe2DEdit, _Mapping]] = ..., set_absent: _Optional[_Union[SetAbsentEdit, _Mapping]] = ..., clear_absent: _Optional[_Union[ClearAbsentEdit, _Mapping]] = ..., trim_start: _Optional[_Union[TrimStartEdit, _Mapping]] = ..., trim_end: _Optional[_Union[TrimEndEdit, _Mapping]] = ..., split: _Optional[_Union[SplitEdit, _Mapping]] = ..., merge: _Optional[_Union[MergeEdit, _Mapping]] = ..., change_identity: _Optional[_Union[ChangeIdentityEdit, _Mapping]] = ..., swap_identities: _Optional[_Union[SwapIdentitiesEdit, _Mapping]] = ..., set_class: _Optional[_Union[SetClassEdit, _Mapping]] = ..., set_attribute: _Optional[_Union[SetAttributeEdit, _Mapping]] = ..., set_flags: _Optional[_Union[SetFlagsEdit, _Mapping]] = ..., resize: _Optional[_Union[ResizeEdit, _Mapping]] = ..., flip_heading: _Optional[_Union[FlipHeadingEdit, _Mapping]] = ..., set_stationary: _Optional[_Union[SetStationaryEdit, _Mapping]] = ..., accept: _Optional[_Union[AcceptEdit, _Mapping]] = ..., escalate: _Optional[_Union[EscalateEdit, _Mapping]] = ..., settle: _Optional[_Union[SettleEdit, _Mapping]] = ..., restore: _Optional[_Union[RestoreEdit, _Mapping]] = ...) -> None: ...

class CreateObjectEdit(_message.Message):
    __slots__ = ("class_name",)
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    class_name: str
    def __init__(self, class_name: _Optional[str] = ...) -> None: ...

class DeleteObjectEdit(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetKeyframe3DEdit(_message.Message):
    __slots__ = ("frame", "center_m", "yaw_rad", "size_lwh_m")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CENTER_M_FIELD_NUMBER: _ClassVar[int]
    YAW_RAD_FIELD_NUMBER: _ClassVar[int]
    SIZE_LWH_M_FIELD_NUMBER: _ClassVar[int]
    frame: int
    center_m: _containers.RepeatedScalarFieldContainer[float]
    yaw_rad: float
    size_lwh_m: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, frame: _Optional[int] = ..., center_m: _Optional[_Iterable[float]] = ..., yaw_rad: _Optional[float] = ..., size_lwh_m: _Optional[_Iterable[float]] = ...) -> None: ...

class UnsetKeyframe3DEdit(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: int
    def __init__(self, frame: _Optional[int] = ...) -> None: ...

class SetKeyframe2DEdit(_message.Message):
    __slots__ = ("frame", "camera", "xyxy_px", "amodal_xyxy_px")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    XYXY_PX_FIELD_NUMBER: _ClassVar[int]
    AMODAL_XYXY_PX_FIELD_NUMBER: _ClassVar[int]
    frame: int
    camera: str
    xyxy_px: _containers.RepeatedScalarFieldContainer[float]
    amodal_xyxy_px: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, frame: _Optional[int] = ..., camera: _Optional[str] = ..., xyxy_px: _Optional[_Iterable[float]] = ..., amodal_xyxy_px: _Optional[_Iterable[float]] = ...) -> None: ...

class UnsetKeyframe2DEdit(_message.Message):
    __slots__ = ("frame", "camera")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    frame: int
    camera: str
    def __init__(self, frame: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class SetAbsentEdit(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "camera")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    camera: str
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class ClearAbsentEdit(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "camera")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    camera: str
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class TrimStartEdit(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: int
    def __init__(self, frame: _Optional[int] = ...) -> None: ...

class TrimEndEdit(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: int
    def __init__(self, frame: _Optional[int] = ...) -> None: ...

class SplitEdit(_message.Message):
    __slots__ = ("frame", "new_id", "camera")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    NEW_ID_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    frame: int
    new_id: int
    camera: str
    def __init__(self, frame: _Optional[int] = ..., new_id: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class MergeEdit(_message.Message):
    __slots__ = ("other_id",)
    OTHER_ID_FIELD_NUMBER: _ClassVar[int]
    other_id: int
    def __init__(self, other_id: _Optional[int] = ...) -> None: ...

class ChangeIdentityEdit(_message.Message):
    __slots__ = ("frame", "other_id", "camera")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    OTHER_ID_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    frame: int
    other_id: int
    camera: str
    def __init__(self, frame: _Optional[int] = ..., other_id: _Optional[int] = ..., camera: _Optional[str] = ...) -> None: ...

class SwapIdentitiesEdit(_message.Message):
    __slots__ = ("frame", "other_id")
    FRAME_FIELD_NUMBER: _ClassVar[int]
    OTHER_ID_FIELD_NUMBER: _ClassVar[int]
    frame: int
    other_id: int
    def __init__(self, frame: _Optional[int] = ..., other_id: _Optional[int] = ...) -> None: ...

class SetClassEdit(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "class_name")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    class_name: str
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., class_name: _Optional[str] = ...) -> None: ...

class SetAttributeEdit(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "name", "value")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    name: str
    value: _objects_pb2.AttributeValue
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., name: _Optional[str] = ..., value: _Optional[_Union[_objects_pb2.AttributeValue, _Mapping]] = ...) -> None: ...

class SetFlagsEdit(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "camera", "occlusion", "truncation", "ignore")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    OCCLUSION_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    IGNORE_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    camera: str
    occlusion: int
    truncation: float
    ignore: bool
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., camera: _Optional[str] = ..., occlusion: _Optional[int] = ..., truncation: _Optional[float] = ..., ignore: _Optional[bool] = ...) -> None: ...

class ResizeEdit(_message.Message):
    __slots__ = ("size_lwh_m",)
    SIZE_LWH_M_FIELD_NUMBER: _ClassVar[int]
    size_lwh_m: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, size_lwh_m: _Optional[_Iterable[float]] = ...) -> None: ...

class FlipHeadingEdit(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetStationaryEdit(_message.Message):
    __slots__ = ("stationary",)
    STATIONARY_FIELD_NUMBER: _ClassVar[int]
    stationary: bool
    def __init__(self, stationary: _Optional[bool] = ...) -> None: ...

class AcceptEdit(_message.Message):
    __slots__ = ("start_frame", "stop_frame", "accepted")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    accepted: bool
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ..., accepted: _Optional[bool] = ...) -> None: ...

class EscalateEdit(_message.Message):
    __slots__ = ("text", "frame")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    text: str
    frame: int
    def __init__(self, text: _Optional[str] = ..., frame: _Optional[int] = ...) -> None: ...

class SettleEdit(_message.Message):
    __slots__ = ("text", "frame")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    text: str
    frame: int
    def __init__(self, text: _Optional[str] = ..., frame: _Optional[int] = ...) -> None: ...

class RestoreEdit(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[_objects_pb2.ObjectImage]
    def __init__(self, images: _Optional[_Iterable[_Union[_objects_pb2.ObjectImage, _Mapping]]] = ...) -> None: ...

class EditRecord(_message.Message):
    __slots__ = ("record", "sha256", "saved_ns", "author", "reason", "base_version", "active_ms", "request_id", "edits", "undoes", "redoes", "step")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SAVED_NS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    UNDOES_FIELD_NUMBER: _ClassVar[int]
    REDOES_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    record: int
    sha256: str
    saved_ns: int
    author: str
    reason: str
    base_version: str
    active_ms: int
    request_id: str
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    undoes: int
    redoes: int
    step: EditStep
    def __init__(self, record: _Optional[int] = ..., sha256: _Optional[str] = ..., saved_ns: _Optional[int] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., base_version: _Optional[str] = ..., active_ms: _Optional[int] = ..., request_id: _Optional[str] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., undoes: _Optional[int] = ..., redoes: _Optional[int] = ..., step: _Optional[_Union[EditStep, str]] = ...) -> None: ...
