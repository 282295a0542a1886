"""Runs operations: some at a time, each to its end, over restarts of the engine.

An operation is in the catalog before its id is told. An engine that starts takes over what its predecessor left open,
and runs it again: the pipeline finds what is committed and does the rest. An operation that brings the engine down
again and again before it gets a task done is failed. One engine runs the operations of a catalog at a time.

Threads do the work, those of the pipeline's own below them. Cancelling and stopping take effect when a task ends.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any

from fleetlabel.engine.catalog import Catalog, Operation, Page, Progress, State
from fleetlabel.engine.serving.work import Report, Work
from fleetlabel.model.errors import (
    CancelledOperationError,
    CatalogError,
    FleetLabelError,
    InterruptedRunError,
    UsageError,
)

FRUITLESS_STARTS = 5
KEPT_S = 30 * 86_400.0
_NOTE_S = 0.5  # between two writes of one operation's progress
_NEWS_S = 0.2  # between two pieces of news for those who watch
_FORGET_S = 3600.0
_PATIENCE_S = 60.0  # with a catalog that does not take an operation's end
_log = logging.getLogger(__name__)


class Operations:
    """The operations of an engine; a context that runs them. Threads may share it."""

    def __init__(
        self,
        catalog: Catalog,
        kinds: Mapping[str, Work],
        *,
        workers: int = 1,
        most_open: int | None = None,
        kept_s: float = KEPT_S,
    ) -> None:
        """Prepares to run.

        Args:
            kinds: what operations there may be, by name.
            workers: operations that run at a time; each has workers of its own for its tasks.
            most_open: operations that one owner may have open; None: any number.
            kept_s: how long finished ones are remembered.
        """
        self._table = catalog.operations
        self._catalog = catalog
        self._kinds = kinds
        self._most_open = most_open
        self._kept_s = kept_s
        self._runner = uuid.uuid4().hex
        self._news = threading.Condition()
        self._queue: list[_Live] = []
        self._busy: set[str] = set()
        self._live: dict[str, _Live] = {}
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._stopping = False
        self._forgot_s = 0.0
        self._stack = ExitStack()
        self._threads = [
            threading.Thread(target=self._work, name=f"fleetlabel-operation-{number}", daemon=True)
            for number in range(workers)
        ]

    def __enter__(self) -> Operations:
        """Takes over what was left open.

        Raises:
            CatalogError: another engine runs on the catalog, or it cannot be used.
        """
        with ExitStack() as stack:
            stack.enter_context(self._catalog.sole_engine())
            for operation in self._table.adopt(self._runner):
                self._enqueue(operation)
            self._stack = stack.pop_all()
        self._forget()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout_s: float | None = None) -> bool:
        """Starts nothing more, lets running tasks end, and leaves what is open for the next engine.

        Returns:
            False if some task did not end in time: the engine may end all the same, what is lost is that task.
        """
        with self._news:
            self._stopping = True
            self._news.notify_all()
            listeners = [listener for each in self._listeners.values() for listener in each]
        for listener in listeners:
            listener()
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(None if until is None else max(0.0, until - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._threads)
        if ended:
            self._stack.close()
        return ended

    # --- asked from outside -----------------------------------------------------------------------------------------

    def start(
        self, owner: str, kind: str, request: Mapping[str, Any], request_id: str | None = None
    ) -> Operation:
        """Starts an operation, or queues it; once this returns it is on the disk.

        Args:
            request_id: chosen by the owner; the same one again gives the same operation, whatever became of it.

        Raises:
            UsageError: there is no such kind, or the request id was used for something else.
            LimitError: the owner has too many open.
            InterruptedRunError: the engine is being stopped.
            FleetLabelError: the request cannot be done; see the kind's ``check``.
        """
        work = self._kinds.get(kind)
        if work is None:
            raise UsageError(
                f"there is no operation {kind[:64]!r}; expected one of {', '.join(sorted(self._kinds))}"
            )
        self._refuse_stopping()
        if request_id is not None:  # what was done already need not be possible once more
            earlier = self.of_request(owner, kind, request, request_id)
            if earlier is not None:
                return earlier
        work.check(request)
        operation, repeated = self._table.add(
            owner,
            kind,
            work.place(request),
            request,
            self._runner,
            request_id=request_id,
            most_open=self._most_open,
        )
        if repeated:
            return self._newest(operation)
        self._enqueue(operation)
        return operation

    def of_request(
        self, owner: str, kind: str, request: Mapping[str, Any], request_id: str
    ) -> Operation | None:
        """The operation that an owner started with a request id, if there is one.

        Raises:
            RequestIdError: it was used for something else.
        """
        earlier = self._table.of_request(owner, request_id, kind, request)
        return None if earlier is None else self._newest(earlier)

    def get(self, operation_id: str) -> Operation:
        """An operation as it is now.

        Raises:
            OperationNotFoundError: there is none (any more).
        """
        with self._news:
            live = self._live.get(operation_id)
            if live is not None:
                return live.operation
        return self._table.get(operation_id)

    def list(
        self,
        *,
        owner: str | None = None,
        place: str | None = None,
        kinds: Collection[str] = (),
        states: Collection[State] = (),
        page_size: int = 100,
        page_token: str = "",
    ) -> Page:
        """Operations, newest first; see :meth:`fleetlabel.engine.catalog.OperationTable.list`."""
        page = self._table.list(
            owner=owner, place=place, kinds=kinds, states=states, page_size=page_size, page_token=page_token
        )
        return replace(page, operations=tuple(map(self._newest, page.operations)))

    def cancel(self, operation_id: str) -> Operation:
        """Asks for the end of an operation: at once if it waits, else when its running tasks are done.

        Raises:
            OperationNotFoundError: there is none (any more).
        """
        asked = self._table.request_cancel(operation_id)
        with self._news:
            live = self._live.get(operation_id)
            if live is None or live.operation.state.is_final:
                return live.operation if live else asked
            live.cancelled = True
            live.operation = replace(live.operation, cancel_requested=True)
            waits = live in self._queue
            if waits:
                self._queue.remove(live)
        if waits:
            self._finish(live, State.CANCELLED, error=CancelledOperationError("cancelled before it began"))
        else:
            self._tell(live)
        return self.get(operation_id)

    def wait(self, operation_id: str, timeout_s: float | None = None) -> Operation:
        """The operation once it is over; as it is then if that takes longer than ``timeout_s``.

        Raises:
            OperationNotFoundError: there is none (any more).
            InterruptedRunError: the engine is being stopped.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            operation, version = self._look(operation_id)
            left_s = None if until is None else until - time.monotonic()
            if operation.state.is_final or (left_s is not None and left_s <= 0):
                return operation
            self._await_news(operation_id, version, left_s)

    def watch(
        self, operation_id: str, alive: Callable[[], bool] = lambda: True, ask_s: float = 1.0
    ) -> Iterator[Operation]:
        """The operation as it is now and at each change, a few times a second at most, until it is over.

        Args:
            alive: whether anybody still looks; asked at least every ``ask_s``.

        Raises:
            OperationNotFoundError: there is none (any more).
            InterruptedRunError: the engine is being stopped.
        """
        told: Operation | None = None
        while alive():
            operation, version = self._look(operation_id)
            if operation != told:
                told = operation
                yield operation
            if operation.state.is_final:
                return
            self._await_news(operation_id, version, ask_s)

    @contextmanager
    def listening(self, operation_id: str, listener: Callable[[], None]) -> Iterator[None]:
        """While the context lasts, a listener is called at each change, in some other thread; it must not block.

        For event loops: ``lambda: loop.call_soon_threadsafe(changed.set)``, then :meth:`get`.
        """
        with self._news:
            self._listeners.setdefault(operation_id, []).append(listener)
        try:
            yield
        finally:
            with self._news:
                self._listeners[operation_id].remove(listener)
                if not self._listeners[operation_id]:
                    del self._listeners[operation_id]

    @property
    def counts(self) -> Mapping[State, int]:
        """How many wait and how many run, for metrics."""
        with self._news:
            return {State.QUEUED: len(self._queue), State.RUNNING: len(self._live) - len(self._queue)}

    # --- the workers ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (live := self._next()) is not None:
            try:
                self._run(live)
            except Exception as error:
                _log.exception("operation %s could not be run", live.operation.id)
                self._finish(live, State.FAILED, error=error)
            finally:
                with self._news:
                    self._busy.discard(live.operation.place)
                    self._news.notify_all()
            self._forget()

    def _next(self) -> _Live | None:
        """The oldest operation at whose place nothing runs; waits for one. None: the engine is being stopped."""
        with self._news:
            while not self._stopping:
                for live in self._queue:
                    if live.operation.place not in self._busy:
                        self._queue.remove(live)
                        self._busy.add(live.operation.place)
                        return live
                self._news.wait()
            return None

    def _run(self, live: _Live) -> None:
        operation = live.operation
        if live.cancelled:
            self._finish(live, State.CANCELLED, error=CancelledOperationError("cancelled before it went on"))
            return
        if operation.fruitless_starts >= FRUITLESS_STARTS:
            reason = (
                f"the engine ended {operation.fruitless_starts} times in a row while this ran, before one task was "
                "done; see its log and the machine's memory, then start it anew"
            )
            self._finish(live, State.FAILED, error=InterruptedRunError(reason))
            return
        work = self._kinds[operation.kind]
        started = self._patiently(lambda: self._table.start(operation.id, self._runner))
        if started is None:
            with self._news:
                self._queue.insert(0, live)
            return
        if not started:
            self._lose(live)
            return
        now = time.time_ns()
        self._change(
            live,
            state=State.RUNNING,
            started_ns=operation.started_ns or now,
            updated_ns=now,
            fruitless_starts=operation.fruitless_starts + 1,
        )
        _log.info("operation %s: %s of %s begins", operation.id, operation.kind, operation.owner)
        report = Report(
            operation.id,
            operation.started_ns is not None,
            operation.begun,
            lambda progress, fruitful: self._on_news(live, progress, fruitful),
            lambda: self._check(live),
        )
        try:
            work.check(operation.request)
            result = work.run(operation.request, report)
        except Exception as error:
            self._on_error(live, error)
            return
        self._finish(live, State.SUCCEEDED, result=result)

    def _on_error(self, live: _Live, error: Exception) -> None:
        if live.lost:
            self._lose(live)
        elif live.cancelled:
            reason = "cancelled; what was done is kept"
            self._finish(live, State.CANCELLED, error=CancelledOperationError(reason))
        elif self._stopping and isinstance(error, InterruptedRunError):
            _log.info("operation %s goes on with the next engine", live.operation.id)
            self._patiently(lambda: self._table.requeue(live.operation.id, self._runner))
        else:
            if not isinstance(error, FleetLabelError):
                _log.error("operation %s met a fault", live.operation.id, exc_info=error)
            self._finish(live, State.FAILED, error=error)

    def _check(self, live: _Live) -> None:
        if live.cancelled:
            raise CancelledOperationError("cancelled")
        if self._stopping:
            raise InterruptedRunError(
                "the engine is being stopped; the operation goes on when it is started again"
            )
        if live.lost:
            raise InterruptedRunError("another engine has taken the operation over")

    def _on_news(self, live: _Live, progress: Progress, fruitful: bool) -> None:
        now_s = time.monotonic()
        with self._news:
            operation = live.operation
            live.operation = replace(
                operation,
                progress=progress,
                begun=True,
                fruitless_starts=0 if fruitful else operation.fruitless_starts,
                updated_ns=time.time_ns(),
            )
        # At once: that the place is its own, and that it is not what brings engines down.
        first = not operation.begun or (fruitful and operation.fruitless_starts != 0)
        if first or now_s - live.noted_s >= _NOTE_S:
            live.noted_s = now_s
            try:
                live.lost = not self._table.note(operation.id, self._runner, progress, fruitful=fruitful)
            except CatalogError as error:
                _log.warning("progress of operation %s was not kept: %s", operation.id, error)
        if now_s - live.told_s >= _NEWS_S:
            live.told_s = now_s
            self._tell(live)

    def _finish(
        self,
        live: _Live,
        state: State,
        *,
        result: Mapping[str, Any] | None = None,
        error: Exception | None = None,
    ) -> None:
        operation = live.operation
        kind, message = _described(error)
        kept = self._patiently(
            lambda: self._table.finish(
                operation.id,
                self._runner,
                state,
                operation.progress,
                result=result,
                error_kind=kind,
                error=message,
            )
        )
        _log.info("operation %s: %s%s", operation.id, state, f" ({message})" if message else "")
        if kept is None:
            # It is over, and said so to whoever asks; the next engine does again what is to be done, which is nothing.
            now = time.time_ns()
            self._change(
                live,
                state=state,
                result=result,
                error_kind=kind,
                error=message,
                updated_ns=now,
                finished_ns=now,
            )
            return
        self._lose(live)

    def _lose(self, live: _Live) -> None:
        """Leaves an operation to the catalog, which knows what became of it."""
        with self._news:
            self._live.pop(live.operation.id, None)
        self._tell(live)

    def _patiently(self, write: Callable[[], bool]) -> bool | None:
        """What a write says; None if the catalog takes none for a long time."""
        until, pause_s = time.monotonic() + _PATIENCE_S, 0.1
        while True:
            try:
                return write()
            except CatalogError as error:
                if time.monotonic() > until or self._stopping:
                    _log.error("the catalog does not take what became of an operation: %s", error)
                    return None
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 5.0)

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _enqueue(self, operation: Operation) -> None:
        live = _Live(operation)
        with self._news:
            self._live[operation.id] = live
        if operation.kind not in self._kinds:  # of a version that could do more
            reason = f"this engine has no operation {operation.kind!r}, and so could not resume it"
            self._finish(live, State.FAILED, error=UsageError(reason))
            return
        with self._news:
            self._queue.append(live)
            self._news.notify_all()

    def _change(self, live: _Live, **values: Any) -> None:
        with self._news:
            live.operation = replace(live.operation, **values)
        self._tell(live)

    def _tell(self, live: _Live) -> None:
        with self._news:
            live.version += 1
            listeners = list(self._listeners.get(live.operation.id, ()))
            self._news.notify_all()
        for listener in listeners:
            listener()

    def _look(self, operation_id: str) -> tuple[Operation, int]:
        """An operation, and a number that is another one when there is news of it."""
        version = self._version(operation_id)
        return self.get(operation_id), version

    def _await_news(self, operation_id: str, version: int, timeout_s: float | None) -> None:
        with self._news:
            if not self._stopping and self._version(operation_id) == version:
                self._news.wait(timeout_s)
        self._refuse_stopping()

    def _version(self, operation_id: str) -> int:
        with self._news:  # it may be taken again by who has it
            live = self._live.get(operation_id)
            return live.version if live else -1

    def _newest(self, operation: Operation) -> Operation:
        with self._news:
            live = self._live.get(operation.id)
            return live.operation if live else operation

    def _refuse_stopping(self) -> None:
        if self._stopping:
            raise InterruptedRunError("the engine is being stopped; ask again when it is back")

    def _forget(self) -> None:
        now_s = time.monotonic()
        with self._news:
            if self._forgot_s and now_s - self._forgot_s < _FORGET_S:
                return
            self._forgot_s = now_s
        try:
            self._table.forget(time.time_ns() - int(self._kept_s * 1e9))
        except CatalogError as error:
            _log.warning("finished operations were not forgotten: %s", error)


class _Live:
    """An operation that is open."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.cancelled = operation.cancel_requested
        self.lost = False
        self.version = 0
        self.noted_s = self.told_s = 0.0


def _described(error: Exception | None) -> tuple[str | None, str | None]:
    if error is None:
        return None, None
    if isinstance(error, FleetLabelError):
        return type(error).__name__, str(error)
    if isinstance(error, OSError):
        return "OSError", f"the operating system refused: {error}"
    return "InternalError", f"a fault of the engine, told in its log: {type(error).__name__}"
