"""The service that tells of long work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import grpc

from fleetlabel.engine.catalog import Operation, Page, Role, State
from fleetlabel.engine.rpc.access import Context, caller
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.operation_messages import KINDS, STATES, message_of
from fleetlabel.engine.rpc.requests import page_size_of
from fleetlabel.v1 import operation_service_pb2 as pb
from fleetlabel.v1 import operation_service_pb2_grpc as services
from fleetlabel.wire.errors import RequestError

_PATIENCE_S = 60.0  # with a call that has no deadline
_LEAD_S = 0.5  # before a call's deadline
_NEWS_S = 0.25  # between two messages of one stream


class OperationService(services.OperationServiceServicer):
    """See operation_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine
        self._operations = engine.operations

    async def GetOperation(self, request: pb.GetOperationRequest, _: Context) -> pb.GetOperationResponse:
        """One operation as it is now."""
        operation = await self._get(request.operation_id)
        return pb.GetOperationResponse(operation=message_of(operation, self._engine))

    async def ListOperations(
        self, request: pb.ListOperationsRequest, _: Context
    ) -> pb.ListOperationsResponse:
        """Operations, newest first."""
        size = page_size_of(request.page_size)
        kinds = [name for name, kind in KINDS.items() if kind in set(request.kinds)]
        states = {state for state, value in STATES.items() if value in set(request.states)}
        if len(kinds) < len(set(request.kinds)):
            raise RequestError("kinds", "values of OperationKind but UNSPECIFIED", str(list(request.kinds)))
        if len(states) < len(set(request.states)):
            raise RequestError(
                "states", "values of OperationState but UNSPECIFIED", str(list(request.states))
            )
        if request.HasField("done"):
            states = {state for state in states or State if state.is_final == request.done}
            if not states:
                return pb.ListOperationsResponse()

        def look() -> Page:
            place = str(self._engine.place(request.sequence_id)) if request.sequence_id else None
            return self._operations.list(
                place=place, kinds=kinds, states=states, page_size=size, page_token=request.page_token
            )

        page = await self._engine.in_thread(look)
        return pb.ListOperationsResponse(
            operations=[message_of(one, self._engine) for one in page.operations],
            next_page_token=page.next_page_token,
        )

    async def CancelOperation(
        self, request: pb.CancelOperationRequest, _: Context
    ) -> pb.CancelOperationResponse:
        """Asks an operation to end: one's own; an admin, any."""
        operation = await self._get(request.operation_id)
        if operation.owner != caller().name:
            caller().require(Role.ADMIN)
        cancelled = await self._engine.in_thread(lambda: self._operations.cancel(operation.id))
        return pb.CancelOperationResponse(operation=message_of(cancelled, self._engine))

    async def WaitOperation(
        self, request: pb.WaitOperationRequest, context: Context
    ) -> pb.WaitOperationResponse:
        """Waits for the end of an operation, or of a time."""
        if request.timeout_ms < 0:
            raise RequestError("timeout_ms", "0 or more", str(request.timeout_ms))
        left_s = context.time_remaining()
        patience_s = _PATIENCE_S if left_s is None else max(0.0, left_s - min(_LEAD_S, left_s / 4))
        if request.timeout_ms:
            asked_s = request.timeout_ms / 1000
            patience_s = asked_s if left_s is None else min(asked_s, patience_s)
        operation = await self._get(request.operation_id)
        try:
            async with asyncio.timeout(patience_s):
                async with aclosing(self._changes(request.operation_id)) as changes:
                    async for operation in changes:  # noqa: B007 - the last one is what is answered
                        pass
        except TimeoutError:
            pass
        return pb.WaitOperationResponse(operation=message_of(operation, self._engine))

    async def WatchOperation(
        self, request: pb.WatchOperationRequest, _: Context
    ) -> AsyncGenerator[pb.WatchOperationResponse]:
        """An operation whenever it changed, until it is done."""
        async with aclosing(self._changes(request.operation_id)) as changes:
            async for operation in changes:
                yield pb.WatchOperationResponse(operation=message_of(operation, self._engine))
                if not operation.state.is_final:
                    await asyncio.sleep(_NEWS_S)

    async def _changes(self, operation_id: str) -> AsyncGenerator[Operation]:
        """An operation as it is now and after changes; what comes while nobody asks is one change."""
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        with self._operations.listening(operation_id, wake):
            told: Operation | None = None
            while True:
                changed.clear()
                operation = await self._get(operation_id)
                if operation != told:
                    told = operation
                    yield operation
                if operation.state.is_final:
                    return
                await changed.wait()

    async def _get(self, operation_id: str) -> Operation:
        return await self._engine.in_thread(lambda: self._operations.get(operation_id))


def add_operation_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    services.add_OperationServiceServicer_to_server(OperationService(engine), server)
    return "fleetlabel.v1.OperationService"
