from fleetlabel.v1 import operations_pb2 as _operations_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StartTrackingRequest(_message.Message):
    __slots__ = ("request_id", "sequence_id", "version", "track", "chunk_frames")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TRACK_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FRAMES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    sequence_id: str
    version: str
    track: _struct_pb2.Struct
    chunk_frames: int
    def __init__(self, request_id: _Optional[str] = ..., sequence_id: _Optional[str] = ..., version: _Optional[str] = ..., track: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., chunk_frames: _Optional[int] = ...) -> None: ...

class StartTrackingResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: _operations_pb2.Operation
    def __init__(self, operation: _Optional[_Union[_operations_pb2.Operation, _Mapping]] = ...) -> None: ...
