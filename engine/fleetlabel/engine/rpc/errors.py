"""Errors as gRPC says them, by the one table (:data:`fleetlabel.wire.errors.TABLE`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from fleetlabel.model.errors import InterruptedRunError
from fleetlabel.v1 import errors_pb2
from fleetlabel.wire.errors import DETAIL_TRAILER, UnavailableError, detail_of

# Headers of all that a call sends may have 8 KiB. The detail takes most of it, and a character up to 12 bytes.
_MOST_CHARS = 150
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ends that fails.

    Attributes:
        code, message, trailers: for gRPC.
        kind: name of the table's line.
        reason: the message as the engine's log has it.
    """

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, bytes], ...]
    kind: str
    reason: str


def refusal_of(error: Exception, request_id: str, in_clients_words: Callable[[str], str]) -> Refusal:
    """What a client is told of an error.

    Args:
        request_id: names the call in the engine's log.
        in_clients_words: a text without what is no business of a client's.
    """
    if isinstance(error, InterruptedRunError):  # of a call, not of an operation
        error = UnavailableError("the engine is being stopped; ask again when it is back")
    detail = detail_of(error, request_id)
    reason = detail.message
    detail.message, detail.found = in_clients_words(reason), in_clients_words(detail.found)
    message = detail.message if detail.message.isascii() else detail.message[:_MOST_CHARS]
    kind = errors_pb2.ErrorKind.Name(detail.kind).removeprefix("ERROR_KIND_").lower()
    trailers = ((DETAIL_TRAILER, detail.SerializeToString()),)
    return Refusal(_CODES[detail.status_code], message, trailers, kind, reason)
