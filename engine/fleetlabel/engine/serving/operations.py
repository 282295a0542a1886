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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any

from fleetlabel.engine.catalog import Catalog, Operation, Page, State
from fleetlabel.engine.serving.open_operations import OpenOperations
from fleetlabel.engine.serving.running import Runner
from fleetlabel.engine.serving.work import Work
from fleetlabel.model.errors import CancelledOperationError, CatalogError, UsageError

KEPT_S = 30 * 86_400.0
_FORGET_S = 3600.0
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
        self._open = OpenOperations()
        self._runner = Runner(catalog, kinds, self._open)
        self._forgetting = threading.Lock()
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
            for operation in self._table.adopt(self._runner.name):
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
        self._open.stop()
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
        self._open.refuse_stopping()
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
            self._runner.name,
            request_id=request_id,
            most_open=self._most_open,
        )
        if repeated:
            return self._open.newest(operation)
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
        return None if earlier is None else self._open.newest(earlier)

    def get(self, operation_id: str) -> Operation:
        """An operation as it is now.

        Raises:
            OperationNotFoundError: there is none (any more).
        """
        return self._open.get(operation_id) or self._table.get(operation_id)

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
        return replace(page, operations=tuple(map(self._open.newest, page.operations)))

    def cancel(self, operation_id: str) -> Operation:
        """Asks for the end of an operation: at once if it waits, else when its running tasks are done.

        Raises:
            OperationNotFoundError: there is none (any more).
        """
        asked = self._table.request_cancel(operation_id)
        found = self._open.cancel(operation_id)
        if found is None:
            return self._open.newest(asked)
        one, waited = found
        if waited:
            self._runner.finish(
                one, State.CANCELLED, error=CancelledOperationError("cancelled before it began")
            )
        else:
            self._open.tell(one)
        return self.get(operation_id)

    def wait(self, operation_id: str, timeout_s: float | None = None) -> Operation:
        """The operation once it is over; as it is then if that takes longer than ``timeout_s``.

        Raises:
            OperationNotFoundError: there is none (any more).
            InterruptedRunError: the engine is being stopped.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            version = self._open.version(operation_id)
            operation = self.get(operation_id)
            left_s = None if until is None else until - time.monotonic()
            if operation.state.is_final or (left_s is not None and left_s <= 0):
                return operation
            self._open.await_news(operation_id, version, left_s)

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
            version = self._open.version(operation_id)
            operation = self.get(operation_id)
            if operation != told:
                told = operation
                yield operation
            if operation.state.is_final:
                return
            self._open.await_news(operation_id, version, ask_s)

    @contextmanager
    def listening(self, operation_id: str, listener: Callable[[], None]) -> Iterator[None]:
        """While the context lasts, a listener is called at each change, in some other thread; it must not block.

        For event loops: ``lambda: loop.call_soon_threadsafe(changed.set)``, then :meth:`get`.
        """
        with self._open.listening(operation_id, listener):
            yield

    @property
    def counts(self) -> Mapping[State, int]:
        """How many wait and how many run, for metrics."""
        return self._open.counts

    # --- within -----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (one := self._open.next()) is not None:
            try:
                self._runner.run(one)
            except Exception as error:
                _log.exception("operation %s could not be run", one.operation.id)
                self._runner.finish(one, State.FAILED, error=error)
            finally:
                self._open.vacate(one)
            self._forget()

    def _enqueue(self, operation: Operation) -> None:
        one = self._open.add(operation)
        if operation.kind not in self._kinds:  # of a version that could do more
            reason = f"this engine has no operation {operation.kind!r}, and so could not resume it"
            self._runner.finish(one, State.FAILED, error=UsageError(reason))
            return
        self._open.queue(one)

    def _forget(self) -> None:
        now_s = time.monotonic()
        with self._forgetting:
            if self._forgot_s and now_s - self._forgot_s < _FORGET_S:
                return
            self._forgot_s = now_s
        try:
            self._table.forget(time.time_ns() - int(self._kept_s * 1e9))
        except CatalogError as error:
            _log.warning("finished operations were not forgotten: %s", error)
