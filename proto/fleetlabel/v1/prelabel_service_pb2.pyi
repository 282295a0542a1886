from fleetlabel.v1 import operations_pb2 as _operations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DetectSettings(_message.Message):
    __slots__ = ("imgsz_px", "tile_columns", "tile_rows", "conf", "nms_iou", "max_detections", "interpolation", "dct_scaling", "backend", "device", "precision", "batch")
    IMGSZ_PX_FIELD_NUMBER: _ClassVar[int]
    TILE_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TILE_ROWS_FIELD_NUMBER: _ClassVar[int]
    CONF_FIELD_NUMBER: _ClassVar[int]
    NMS_IOU_FIELD_NUMBER: _ClassVar[int]
    MAX_DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    INTERPOLATION_FIELD_NUMBER: _ClassVar[int]
    DCT_SCALING_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    imgsz_px: int
    tile_columns: int
    tile_rows: int
    conf: float
    nms_iou: float
    max_detections: int
    interpolation: str
    dct_scaling: bool
    backend: str
    device: str
    precision: str
    batch: int
    def __init__(self, imgsz_px: _Optional[int] = ..., tile_columns: _Optional[int] = ..., tile_rows: _Optional[int] = ..., conf: _Optional[float] = ..., nms_iou: _Optional[float] = ..., max_detections: _Optional[int] = ..., interpolation: _Optional[str] = ..., dct_scaling: _Optional[bool] = ..., backend: _Optional[str] = ..., device: _Optional[str] = ..., precision: _Optional[str] = ..., batch: _Optional[int] = ...) -> None: ...

class StartPrelabelRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "model", "detections2d", "detect", "chunk_frames")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS2D_FIELD_NUMBER: _ClassVar[int]
    DETECT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FRAMES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    model: str
    detections2d: str
    detect: DetectSettings
    chunk_frames: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., model: _Optional[str] = ..., detections2d: _Optional[str] = ..., detect: _Optional[_Union[DetectSettings, _Mapping]] = ..., chunk_frames: _Optional[int] = ...) -> None: ...

class StartPrelabelResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operations_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operations_pb2.Operation, _Mapping]] = ...) -> None: ...

class StartLiftRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "detections3d", "lift", "chunk_frames")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS3D_FIELD_NUMBER: _ClassVar[int]
    LIFT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FRAMES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    detections3d: str
    lift: _struct_pb2.Struct
    chunk_frames: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., detections3d: _Optional[str] = ..., lift: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., chunk_frames: _Optional[int] = ...) -> None: ...

class StartLiftResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operations_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operations_pb2.Operation, _Mapping]] = ...) -> None: ...
