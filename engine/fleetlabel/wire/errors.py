"""Errors on the wire: one table of what each error of the tree is to a client, and back.

A call that fails ends with a gRPC status code and, in its trailing metadata, a serialized ``ErrorDetail`` under
:data:`DETAIL_TRAILER`. An operation that failed holds the same message. gRPC itself is not needed here, so that status
codes are :class:`Status`, with gRPC's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from fleetlabel.labels import Conflict
from fleetlabel.model.errors import (
    AccessError,
    CancelledOperationError,
    CatalogError,
    ClusterError,
    CorruptStoreError,
    EditError,
    FleetLabelError,
    InterruptedRunError,
    LimitError,
    ModelFileError,
    OperationNotFoundError,
    SourceError,
    StoreDeletedError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    StoreWriteError,
    UnknownTokenError,
    UnsafeFileError,
    UsageError,
)
from fleetlabel.model.errors import (
    RequestIdError as RequestIdError,
)
from fleetlabel.v1 import errors_pb2

# Key of the serialized ErrorDetail in the trailing metadata.
DETAIL_TRAILER = "fleetlabel-error-bin"

# Headers of all that a call sends may have 8 KiB, and base64 makes four bytes of three.
_MOST_BYTES = 5_000


class Status(IntEnum):
    """gRPC's status codes (grpc/doc/statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RequestError(UsageError):
    """A field of a request, or of an answer, is not what it has to be.

    Attributes:
        what: the field as a path, ``edits[2].set_keyframe_3d.center_m``.
        expected, found: what it should be, and what it is.
        remedy: what to do about it; may be empty.
    """

    def __init__(self, what: str, expected: str, found: str, remedy: str = "") -> None:
        super().__init__(f"{what}: expected {expected}, found {found}" + (f"; {remedy}" if remedy else ""))
        self.what, self.expected, self.found, self.remedy = what, expected, found, remedy

    def below(self, path: str) -> RequestError:
        """The same error of a message that is a field of another."""
        return RequestError(f"{path}.{self.what}", self.expected, self.found, self.remedy)


class ConflictError(FleetLabelError, RuntimeError):
    """Somebody changed the same objects after the labels that edits were made on; nothing was saved.

    Attributes:
        base_record: record that the edits were made on.
        head_record: last record of the sequence as it is now.
        conflicts: who changed what.
    """

    def __init__(self, base_record: int, head_record: int, conflicts: Sequence[Conflict]) -> None:
        first = conflicts[0]
        about = "all objects" if first.object_id is None else f"object {first.object_id}"
        more = f", and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        super().__init__(
            f"nothing was saved: after record {base_record}, which the edits were made on, {first.author} changed "
            f"{about} in record {first.sequence} ({', '.join(first.kinds)}){more}; "
            f"make the edits anew on the labels as they are now (record {head_record})"
        )
        self.base_record, self.head_record, self.conflicts = base_record, head_record, tuple(conflicts)


class UnavailableError(FleetLabelError, ConnectionError):
    """The engine cannot be reached, is shutting down or is busy; trying again may help."""


class DeadlineError(FleetLabelError, TimeoutError):
    """The engine did not answer in time; whether the request was carried out is not known."""


class EngineFaultError(FleetLabelError, RuntimeError):
    """The engine met a fault of its own, which its log tells more about."""


_K = errors_pb2.ErrorKind

# Error -> kind of cure and status code. An error that is not named is what the nearest of its bases is. Read the other
# way round, a kind is the first error that is listed with it.
TABLE: dict[type[FleetLabelError], tuple[errors_pb2.ErrorKind, Status]] = {
    UsageError: (_K.ERROR_KIND_USAGE, Status.INVALID_ARGUMENT),
    UnknownTokenError: (_K.ERROR_KIND_UNAUTHENTICATED, Status.UNAUTHENTICATED),
    AccessError: (_K.ERROR_KIND_PERMISSION, Status.PERMISSION_DENIED),
    StoreNotFoundError: (_K.ERROR_KIND_NOT_FOUND, Status.NOT_FOUND),
    OperationNotFoundError: (_K.ERROR_KIND_NOT_FOUND, Status.NOT_FOUND),
    StoreDeletedError: (_K.ERROR_KIND_DELETED, Status.NOT_FOUND),
    StoreExistsError: (_K.ERROR_KIND_EXISTS, Status.ALREADY_EXISTS),
    ConflictError: (_K.ERROR_KIND_CONFLICT, Status.ABORTED),
    EditError: (_K.ERROR_KIND_EDIT, Status.FAILED_PRECONDITION),
    StoreError: (_K.ERROR_KIND_STATE, Status.FAILED_PRECONDITION),
    SourceError: (_K.ERROR_KIND_SOURCE, Status.INVALID_ARGUMENT),
    UnsafeFileError: (_K.ERROR_KIND_UNSAFE_FILE, Status.INVALID_ARGUMENT),
    ModelFileError: (_K.ERROR_KIND_MODEL_FILE, Status.INVALID_ARGUMENT),
    ClusterError: (_K.ERROR_KIND_CLUSTER, Status.UNAVAILABLE),
    CorruptStoreError: (_K.ERROR_KIND_CORRUPT_STORE, Status.DATA_LOSS),
    StoreWriteError: (_K.ERROR_KIND_STORE_WRITE, Status.RESOURCE_EXHAUSTED),
    LimitError: (_K.ERROR_KIND_LIMIT, Status.RESOURCE_EXHAUSTED),
    UnavailableError: (_K.ERROR_KIND_UNAVAILABLE, Status.UNAVAILABLE),
    CatalogError: (_K.ERROR_KIND_UNAVAILABLE, Status.UNAVAILABLE),
    CancelledOperationError: (_K.ERROR_KIND_CANCELLED, Status.CANCELLED),
    InterruptedRunError: (_K.ERROR_KIND_CANCELLED, Status.CANCELLED),
    EngineFaultError: (_K.ERROR_KIND_UNSPECIFIED, Status.INTERNAL),
}

_ERROR_OF_KIND: dict[int, type[FleetLabelError]] = {}
for _error, (_kind, _) in TABLE.items():
    _ERROR_OF_KIND.setdefault(_kind, _error)

# For calls that ended before the engine could send a detail: gRPC's own refusals, and lines that broke.
_ERROR_OF_STATUS: dict[int, type[FleetLabelError]] = {
    Status.CANCELLED: CancelledOperationError,
    Status.INVALID_ARGUMENT: UsageError,
    Status.DEADLINE_EXCEEDED: DeadlineError,
    Status.PERMISSION_DENIED: AccessError,
    Status.RESOURCE_EXHAUSTED: LimitError,
    Status.UNIMPLEMENTED: UsageError,
    Status.UNAVAILABLE: UnavailableError,
    Status.UNAUTHENTICATED: UnknownTokenError,
}


def detail_of(error: BaseException, log_request_id: str = "") -> errors_pb2.ErrorDetail:
    """What a client is told of an error; of a fault of the engine, nothing but that it was one."""
    kind, status = _row_of(type(error))
    detail = _detail(kind, status, _told(error), log_request_id)
    if isinstance(error, RequestError):
        detail.what, detail.expected, detail.found = error.what, error.expected, _short(error.found)
        detail.remedy = error.remedy
    if isinstance(error, ConflictError):
        detail.conflict.base_record, detail.conflict.head_record = error.base_record, error.head_record
        for conflict in error.conflicts:
            _add_conflict(detail, conflict)
            if detail.ByteSize() > _MOST_BYTES:
                break
    return detail


def detail_of_kept(error_class: str, message: str) -> errors_pb2.ErrorDetail:
    """What a client is told of an error that is known by its class's name and its message, as the catalog keeps it."""
    known = {error.__name__: error for error in _with_all_below(FleetLabelError)}
    kind, status = _row_of(known.get(error_class, EngineFaultError))
    return _detail(kind, status, message, "")


def error_of(detail: errors_pb2.ErrorDetail) -> FleetLabelError:
    """The error that a client raises for what it was told."""
    error = _error_of(detail)
    if detail.log_request_id:
        error.add_note(f"the engine's log has more, under request id {detail.log_request_id}")
    return error


def error_of_status(status: int, message: str) -> FleetLabelError:
    """The error that a client raises for a call that ended without a detail."""
    return _ERROR_OF_STATUS.get(status, EngineFaultError)(message)


def _row_of(error: type[BaseException]) -> tuple[errors_pb2.ErrorKind, Status]:
    nearest = next((base for base in error.__mro__ if base in TABLE), EngineFaultError)
    return TABLE[nearest]


def _told(error: BaseException) -> str:
    if isinstance(error, FleetLabelError):
        return str(error)
    return f"the engine met a fault of its own ({type(error).__name__}), which its log tells more about"


def _detail(
    kind: errors_pb2.ErrorKind, status: Status, message: str, log_request_id: str
) -> errors_pb2.ErrorDetail:
    return errors_pb2.ErrorDetail(
        kind=kind, message=_short(message), status_code=status, log_request_id=log_request_id
    )


def _short(text: str, most_bytes: int = 1_500) -> str:
    """A text that fits into headers; also one that is no text (lone surrogates of a file's name)."""
    data = text.encode("utf-8", "backslashreplace")
    return data.decode() if len(data) <= most_bytes else data[: most_bytes - 3].decode(errors="ignore") + "…"


def _add_conflict(detail: errors_pb2.ErrorDetail, conflict: Conflict) -> None:
    detail.conflict.conflicts.add(
        object_id=conflict.object_id,
        record=conflict.sequence,
        author=conflict.author,
        saved_ns=conflict.at_ns,
        edit_kinds=conflict.kinds,
        reason=_short(conflict.reason, 200),
    )


def _error_of(detail: errors_pb2.ErrorDetail) -> FleetLabelError:
    conflict = detail.conflict
    if conflict.conflicts:
        found = [
            Conflict(
                each.object_id if each.HasField("object_id") else None,
                each.record,
                each.author,
                each.saved_ns,
                tuple(each.edit_kinds),
                each.reason,
            )
            for each in conflict.conflicts
        ]
        return ConflictError(conflict.base_record, conflict.head_record, found)
    if detail.kind == _K.ERROR_KIND_USAGE and detail.what:
        return RequestError(detail.what, detail.expected, detail.found, detail.remedy)
    error = _ERROR_OF_KIND.get(detail.kind, EngineFaultError)
    if error in (
        EngineFaultError,
        ConflictError,
    ):  # a kind that is newer than this client, or not as it should be
        return error_of_status(detail.status_code, detail.message)
    return error(detail.message)


def _with_all_below(error: type[FleetLabelError]) -> list[type[FleetLabelError]]:
    return [error, *(each for below in error.__subclasses__() for each in _with_all_below(below))]
