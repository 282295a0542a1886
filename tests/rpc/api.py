"""The API as generated code offers it, for tests: stubs, and what a refusal says."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from fleetlabel.v1 import (
    errors_pb2,
    export_service_pb2,
    export_service_pb2_grpc,
    frame_service_pb2,
    label_service_pb2,
    label_service_pb2_grpc,
    operation_service_pb2,
    operation_service_pb2_grpc,
    operations_pb2,
    prelabel_service_pb2,
    prelabel_service_pb2_grpc,
    sequence_service_pb2,
    sequence_service_pb2_grpc,
    tracking_service_pb2,
    tracking_service_pb2_grpc,
)

_FILES: tuple[ModuleType, ...] = (
    sequence_service_pb2,
    prelabel_service_pb2,
    tracking_service_pb2,
    label_service_pb2,
    frame_service_pb2,
    export_service_pb2,
    operation_service_pb2,
)
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
_NUMBERS = itertools.count()


class Api:
    """Stubs of a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.sequences = sequence_service_pb2_grpc.SequenceServiceStub(channel)
        self.prelabel = prelabel_service_pb2_grpc.PrelabelServiceStub(channel)
        self.tracking = tracking_service_pb2_grpc.TrackingServiceStub(channel)
        self.labels = label_service_pb2_grpc.LabelServiceStub(channel)
        self.exports = export_service_pb2_grpc.ExportServiceStub(channel)
        self.operations = operation_service_pb2_grpc.OperationServiceStub(channel)
        self.channel = channel

    def ingest(self, source: str, sequence_id: str, **more: Any) -> operations_pb2.Operation:
        """Starts an ingest."""
        asked = {"request_id": request_id(), "source": source, "sequence_id": sequence_id} | more
        return self.sequences.IngestSequence(sequence_service_pb2.IngestSequenceRequest(**asked)).operation

    def ended(self, operation: operations_pb2.Operation) -> operations_pb2.Operation:
        """An operation once it is over."""
        asked = operation_service_pb2.WaitOperationRequest(
            operation_id=operation.operation_id, timeout_ms=300_000
        )
        return self.operations.WaitOperation(asked).operation

    def done(self, operation: operations_pb2.Operation) -> operations_pb2.Operation:
        """An operation once it has succeeded."""
        ended = self.ended(operation)
        assert ended.state == operations_pb2.OPERATION_STATE_SUCCEEDED, ended.error
        return ended

    def send(self, method: str, request: Any) -> list[Any]:
        """Whatever a method answers to one request, which may be bytes, or a list of requests to any method."""
        descriptor = METHODS[method]
        answer_type = message_factory.GetMessageClass(descriptor.output_type)
        requests = request if isinstance(request, list) else [request]
        call = self.channel.stream_stream(method, _bytes, answer_type.FromString)
        return list(call(iter(requests), timeout=60))


def _bytes(request: Any) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def request_id() -> str:
    """Another one at each call."""
    return f"request-{next(_NUMBERS)}"


def request_types(method: MethodDescriptor) -> Any:
    """The class of a method's requests."""
    return message_factory.GetMessageClass(method.input_type)


@contextmanager
def refused(code: grpc.StatusCode, kind: str = "", match: str = "") -> Iterator[list[errors_pb2.ErrorDetail]]:
    """The block's call has to fail like this; yields a list that gets the error's detail."""
    found: list[errors_pb2.ErrorDetail] = []
    with pytest.raises(grpc.RpcError) as error:
        yield found
    assert error.value.code() is code, error.value
    detail = detail_of(error.value)
    if detail is not None:
        assert detail.status_code == code.value[0]
        found.append(detail)
    if kind:
        assert detail is not None, f"{error.value} has no detail"
        assert errors_pb2.ErrorKind.Name(detail.kind) == f"ERROR_KIND_{kind}"
    assert match in (error.value.details() or "")


def detail_of(error: Any) -> errors_pb2.ErrorDetail | None:
    """What a refusal's trailer says."""
    for key, value in error.trailing_metadata() or ():
        if key == "fleetlabel-error-bin":
            return errors_pb2.ErrorDetail.FromString(value)
    return None


Opened = Callable[[str], Api]
