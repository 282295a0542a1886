from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_KIND_UNSPECIFIED: _ClassVar[ErrorKind]
    ERROR_KIND_USAGE: _ClassVar[ErrorKind]
    ERROR_KIND_UNAUTHENTICATED: _ClassVar[ErrorKind]
    ERROR_KIND_PERMISSION: _ClassVar[ErrorKind]
    ERROR_KIND_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_DELETED: _ClassVar[ErrorKind]
    ERROR_KIND_EXISTS: _ClassVar[ErrorKind]
    ERROR_KIND_CONFLICT: _ClassVar[ErrorKind]
    ERROR_KIND_EDIT: _ClassVar[ErrorKind]
    ERROR_KIND_STATE: _ClassVar[ErrorKind]
    ERROR_KIND_SOURCE: _ClassVar[ErrorKind]
    ERROR_KIND_UNSAFE_FILE: _ClassVar[ErrorKind]
    ERROR_KIND_MODEL_FILE: _ClassVar[ErrorKind]
    ERROR_KIND_CLUSTER: _ClassVar[ErrorKind]
    ERROR_KIND_CORRUPT_STORE: _ClassVar[ErrorKind]
    ERROR_KIND_STORE_WRITE: _ClassVar[ErrorKind]
    ERROR_KIND_LIMIT: _ClassVar[ErrorKind]
    ERROR_KIND_UNAVAILABLE: _ClassVar[ErrorKind]
    ERROR_KIND_CANCELLED: _ClassVar[ErrorKind]
ERROR_KIND_UNSPECIFIED: ErrorKind
ERROR_KIND_USAGE: ErrorKind
ERROR_KIND_UNAUTHENTICATED: ErrorKind
ERROR_KIND_PERMISSION: ErrorKind
ERROR_KIND_NOT_FOUND: ErrorKind
ERROR_KIND_DELETED: ErrorKind
ERROR_KIND_EXISTS: ErrorKind
ERROR_KIND_CONFLICT: ErrorKind
ERROR_KIND_EDIT: ErrorKind
ERROR_KIND_STATE: ErrorKind
ERROR_KIND_SOURCE: ErrorKind
ERROR_KIND_UNSAFE_FILE: ErrorKind
ERROR_KIND_MODEL_FILE: ErrorKind
ERROR_KIND_CLUSTER: ErrorKind
ERROR_KIND_CORRUPT_STORE: ErrorKind
ERROR_KIND_STORE_WRITE: ErrorKind
ERROR_KIND_LIMIT: ErrorKind
ERROR_KIND_UNAVAILABLE: ErrorKind
ERROR_KIND_CANCELLED: ErrorKind

class ErrorDetail(_message.Message):
    __slots__ = ("kind", "message", "what", "expected", "found", "remedy", "status_code", "log_request_id", "conflict")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    STATUS_CODE_FIELD_NUMBER: _ClassVar[int]
    LOG_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    kind: ErrorKind
    message: str
    what: str
    expected: str
    found: str
    remedy: str
    status_code: int
    log_request_id: str
    conflict: ConflictDetail
    def __init__(self, kind: _Optional[_Union[ErrorKind, str]] = ..., message: _Optional[str] = ..., what: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ..., remedy: _Optional[str] = ..., status_code: _Optional[int] = ..., log_request_id: _Optional[str] = ..., conflict: _Optional[_Union[ConflictDetail, _Mapping]] = ...) -> None: ...

class ConflictDetail(_message.Message):
    __slots__ = ("base_record", "head_record", "conflicts")
    BASE_RECORD_FIELD_NUMBER: _ClassVar[int]
    HEAD_RECORD_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    base_record: int
    head_record: int
    conflicts: _containers.RepeatedCompositeFieldContainer[Conflict]
    def __init__(self, base_record: _Optional[int] = ..., head_record: _Optional[int] = ..., conflicts: _Optional[_Iterable[_Union[Conflict, _Mapping]]] = ...) -> None: ...

class Conflict(_message.Message):
    __slots__ = ("object_id", "record", "author", "saved_ns", "edit_kinds", "reason")
    OBJECT_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    SAVED_NS_FIELD_NUMBER: _ClassVar[int]
    EDIT_KINDS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    object_id: int
    record: int
    author: str
    saved_ns: int
    edit_kinds: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, object_id: _Optional[int] = ..., record: _Optional[int] = ..., author: _Optional[str] = ..., saved_ns: _Optional[int] = ..., edit_kinds: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...
