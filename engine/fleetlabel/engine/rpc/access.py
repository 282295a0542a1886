"""What happens around every call: who asks, what they may, limits, errors by the table, log and metrics.

Calls are read and parsed here, not by gRPC, so that a message that is none, or too large, or never comes, is answered
with a status of the table and logged like every other refusal, and nobody without a token has anything parsed.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from fleetlabel.engine.catalog import Principal
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.errors import Refusal, refusal_of
from fleetlabel.engine.rpc.logs import REQUEST_ID, told
from fleetlabel.engine.rpc.methods import RULES, Rule
from fleetlabel.engine.rpc.metrics import Metrics
from fleetlabel.engine.rpc.stalls import StallWatch
from fleetlabel.model.errors import LimitError, UnknownTokenError, UsageError
from fleetlabel.wire.errors import UnavailableError

Context = grpc.aio.ServicerContext[Any, Any]

_STALL_S = 120.0  # in which a client has to take an answer, or send the next piece
_GOODBYE_S = 5.0
_TRUSTED_S = 30.0  # since a token was looked at: streams that go on outlive none that is revoked
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Call:
    """A call that is going on.

    Attributes:
        method: as ``/package.Service/Method``.
        request_id: names it in the log.
        peer: address of the client.
        principal: who asks, once that is known.
        received, sent: messages.
        since_s, trusted_s: when it began, and when it was last seen that the token is good.
    """

    method: str
    rule: Rule
    peer: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    principal: Principal | None = None
    received: int = 0
    sent: int = 0
    since_s: float = field(default_factory=time.monotonic)
    trusted_s: float = 0.0


_CALL: ContextVar[Call] = ContextVar("call")


def caller() -> Principal:
    """Who asks, in the course of a call."""
    principal = _CALL.get().principal
    assert principal is not None, "the method asks for no token, so nobody is known"
    return principal


class Access(grpc.aio.ServerInterceptor):
    """The interceptor of all calls."""

    def __init__(self, engine: ServedEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._streams: Counter[str] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Puts all of this around a method."""
        method = handler_call_details.method
        handler: Any = await continuation(handler_call_details)
        rule = RULES.get(method)
        if handler is None or rule is None:
            _log.warning("there is no method %.200r", method)
            return None  # UNIMPLEMENTED
        streams = handler.request_streaming or handler.response_streaming
        parse, serialize = handler.request_deserializer, handler.response_serializer

        if handler.response_streaming:

            async def answer_all(_: object, context: Context) -> None:
                async def work(call: Call) -> None:
                    if handler.request_streaming:
                        answers = handler.stream_stream(self._received(call, context, parse), context)
                    else:
                        answers = handler.unary_stream(await self._only(call, context, parse), context)
                    if isinstance(answers, AsyncGenerator):
                        await self._send(call, context, answers)
                    else:  # the standard health service writes its answers itself
                        await self._unless_stopped(rule, answers)

                await self._around(method, rule, context, streams, work)

            return grpc.stream_stream_rpc_method_handler(answer_all, None, serialize)

        async def answer(_: object, context: Context) -> Any:
            async def work(call: Call) -> Message:
                if handler.request_streaming:
                    answered = handler.stream_unary(self._received(call, context, parse), context)
                else:
                    answered = handler.unary_unary(await self._only(call, context, parse), context)
                result: Message = await self._unless_stopped(rule, answered)
                call.sent = 1
                return result

            return await self._around(method, rule, context, streams, work)

        return grpc.stream_unary_rpc_method_handler(answer, None, serialize)

    # --- around a call ----------------------------------------------------------------------------------------------

    async def _around(
        self,
        method: str,
        rule: Rule,
        context: Context,
        streams: bool,
        work: Callable[[Call], Awaitable[Any]],
    ) -> Any:
        call = Call(method, rule, context.peer())
        _CALL.set(call)
        REQUEST_ID.set(call.request_id)
        name = ""
        refusal: Refusal | None = None
        code = grpc.StatusCode.CANCELLED
        self._metrics.open_calls.labels(method).inc()
        try:
            try:
                await self._still_trusted(call, context)
                if streams:
                    name = self._count_stream(call.principal)
                result = await work(call)
                code = grpc.StatusCode.OK
                return result
            except grpc.aio.AbortError:  # the standard services' way
                code = context.code()
                raise
            except Exception as error:
                refusal = refusal_of(error, call.request_id, self._engine.in_clients_words)
                code = refusal.code
                if code is grpc.StatusCode.INTERNAL:
                    _log.error("%s met a fault", method, exc_info=error)
        finally:
            if name:
                self._streams[name] -= 1
                if not self._streams[name]:
                    del self._streams[name]
            self._metrics.open_calls.labels(method).dec()
            self._tell(call, code, refusal)
        async with asyncio.timeout(_GOODBYE_S):  # a client that takes nothing does not take this either
            await context.abort(refusal.code, refusal.message, refusal.trailers)
        return None

    async def _still_trusted(self, call: Call, context: Context) -> None:
        """Looks at the caller's token, if that was not done a moment ago.

        Raises:
            UnknownTokenError, AccessError: it is none, or lets nobody do this (any more).
        """
        now_s = time.monotonic()
        if call.rule.role is not None and (call.principal is None or now_s - call.trusted_s > _TRUSTED_S):
            call.principal = await self._authenticated(context)
            call.principal.require(call.rule.role)
            call.trusted_s = now_s

    async def _authenticated(self, context: Context) -> Principal:
        given = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
        text = given[0] if len(given) == 1 and isinstance(given[0], str) else ""
        scheme, _, token = text.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise UnknownTokenError(
                "this takes a token: send the metadata `authorization: Bearer fl_...`, once"
            )
        tokens = self._engine.catalog.tokens
        return await self._engine.in_quick_thread(lambda: tokens.authenticate(token.strip()))

    def _count_stream(self, principal: Principal | None) -> str:
        name = principal.name if principal else ""
        most = self._engine.settings.max_streams
        if self._streams[name] >= most:
            raise LimitError(f"{name} has {most} streams open and may have no more; end one of them")
        self._streams[name] += 1
        return name

    def _tell(self, call: Call, code: grpc.StatusCode, refusal: Refusal | None) -> None:
        took_s = time.monotonic() - call.since_s
        self._metrics.ended(call.method, code.name, took_s)
        self._metrics.messages.labels(call.method, "received").inc(call.received)
        self._metrics.messages.labels(call.method, "sent").inc(call.sent)
        fields: dict[str, Any] = {
            "method": call.method,
            "status": code.name,
            "peer": call.peer,
            "took_ms": round(took_s * 1e3, 3),
            "received": call.received,
            "sent": call.sent,
        }
        if call.principal is not None:
            fields |= {"principal": call.principal.name, "token": call.principal.token_id}
        if refusal is not None:
            fields |= {"error": refusal.kind, "reason": refusal.reason}
        level = logging.INFO
        if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            level = logging.WARNING
        elif call.rule.role is None:  # probes come every few seconds
            level = logging.DEBUG
        _log.log(level, "call", extra=told(**fields))

    # --- messages ---------------------------------------------------------------------------------------------------

    async def _read(self, call: Call, context: Context, parse: Callable[[bytes], Message]) -> Message | None:
        try:
            async with asyncio.timeout(_STALL_S):
                data = await context.read()
        except TimeoutError as error:
            raise LimitError(
                f"nothing came from the client for {_STALL_S:g} s; open the stream anew"
            ) from error
        if not isinstance(data, bytes):
            return None
        call.received += 1
        await self._still_trusted(call, context)
        try:
            return parse(data)
        except DecodeError as error:
            raise UsageError(
                f"message {call.received} of {len(data)} bytes is not what the method takes; make it with the .proto "
                "files of this version"
            ) from error

    async def _only(self, call: Call, context: Context, parse: Callable[[bytes], Message]) -> Message:
        request = await self._read(call, context, parse)
        if request is None:
            # gRPC has told a client whose message is too large already, and tells us nothing.
            most = self._engine.settings.max_message_mib
            raise LimitError(
                "no request came that could be read: the client ended the call, or the request is larger than "
                f"{most} MiB"
            )
        return request

    async def _received(
        self, call: Call, context: Context, parse: Callable[[bytes], Message]
    ) -> AsyncIterator[Message]:
        while (message := await self._read(call, context, parse)) is not None:
            yield message

    async def _send(self, call: Call, context: Context, answers: AsyncGenerator[Any]) -> None:
        """Sends what a method yields: messages, or lists of them."""
        watch = StallWatch(_STALL_S)
        try:
            while True:
                try:
                    answer = await self._unless_stopped(call.rule, anext(answers))
                except StopAsyncIteration:
                    return
                await self._still_trusted(call, context)
                waiting = answer[::-1] if isinstance(answer, list) else [answer]
                del answer
                while waiting:  # what is sent is let go of
                    watch.waits()
                    await context.write(waiting.pop())
                    watch.goes_on()
                    call.sent += 1
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not watch.expired or task is None or task.uncancel():
                raise
            raise LimitError(
                f"the client took nothing for {_STALL_S:g} s; ask again from where it was"
            ) from error
        finally:
            watch.close()
            await answers.aclose()

    async def _unless_stopped(self, rule: Rule, work: Awaitable[Any]) -> Any:
        """What a method gives next; if it only watches, an error once the engine is being stopped."""
        if not rule.watches:
            return await work
        next_ = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._engine.stopping.wait())
        try:
            await asyncio.wait((next_, stopped), return_when=asyncio.FIRST_COMPLETED)
            if next_.done():
                return next_.result()
            raise UnavailableError("the engine is being stopped; ask again when it is back")
        finally:
            stopped.cancel()
            if not next_.done():
                next_.cancel()
                await asyncio.wait((next_,))  # what it holds is let go of before anybody closes it
