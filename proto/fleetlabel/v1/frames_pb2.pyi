from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class FrameRange(_message.Message):
    __slots__ = ("start_frame", "stop_frame")
    START_FRAME_FIELD_NUMBER: _ClassVar[int]
    STOP_FRAME_FIELD_NUMBER: _ClassVar[int]
    start_frame: int
    stop_frame: int
    def __init__(self, start_frame: _Optional[int] = ..., stop_frame: _Optional[int] = ...) -> None: ...

class LabelsAt(_message.Message):
    __slots__ = ("version", "record")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    version: str
    record: int
    def __init__(self, version: _Optional[str] = ..., record: _Optional[int] = ...) -> None: ...

class LabelsState(_message.Message):
    __slots__ = ("version", "base_version", "record", "record_sha256")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BASE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    RECORD_SHA256_FIELD_NUMBER: _ClassVar[int]
    version: str
    base_version: str
    record: int
    record_sha256: str
    def __init__(self, version: _Optional[str] = ..., base_version: _Optional[str] = ..., record: _Optional[int] = ..., record_sha256: _Optional[str] = ...) -> None: ...
