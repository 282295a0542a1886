"""Runs one operation at a time, each to its end, and writes down how far it is and what becomes of it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from fleetlabel.engine.catalog import Catalog, Progress, State
from fleetlabel.engine.serving.open_operations import OpenOperation, OpenOperations
from fleetlabel.engine.serving.work import Report, Work
from fleetlabel.model.errors import (
    CancelledOperationError,
    CatalogError,
    FleetLabelError,
    InterruptedRunError,
)

FRUITLESS_STARTS = 5
_NOTE_S = 0.5  # between two writes of one operation's progress
_NEWS_S = 0.2  # between two pieces of news for those who watch
_PATIENCE_S = 60.0  # with a catalog that does not take an operation's end
_log = logging.getLogger(__name__)


class Runner:
    """Runs operations of some kinds. Threads may share it.

    Attributes:
        name: of this engine in the rows of the catalog that it changes.
    """

    def __init__(self, catalog: Catalog, kinds: Mapping[str, Work], operations: OpenOperations) -> None:
        self.name = uuid.uuid4().hex
        self._table = catalog.operations
        self._kinds = kinds
        self._open = operations

    def run(self, one: OpenOperation) -> None:
        """Runs an operation to its end, or until it is cancelled or the engine is being stopped."""
        operation = one.operation
        if one.cancelled:
            self.finish(one, State.CANCELLED, error=CancelledOperationError("cancelled before it went on"))
            return
        if operation.fruitless_starts >= FRUITLESS_STARTS:
            reason = (
                f"the engine ended {operation.fruitless_starts} times in a row while this ran, before one task was "
                "done; see its log and the machine's memory, then start it anew"
            )
            self.finish(one, State.FAILED, error=InterruptedRunError(reason))
            return
        work = self._kinds[operation.kind]
        started = self._patiently(lambda: self._table.start(operation.id, self.name))
        if started is None:
            self._open.queue(one, first=True)
            return
        if not started:
            self._open.forget(one)
            return
        now = time.time_ns()
        self._open.change(
            one,
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
            lambda progress, fruitful: self._on_news(one, progress, fruitful),
            lambda: self._check(one),
        )
        try:
            work.check(operation.request)
            result = work.run(operation.request, report)
        except Exception as error:
            self._on_error(one, error)
            return
        self.finish(one, State.SUCCEEDED, result=result)

    def _on_error(self, one: OpenOperation, error: Exception) -> None:
        if one.lost:
            self._open.forget(one)
        elif one.cancelled:
            reason = "cancelled; what was done is kept"
            self.finish(one, State.CANCELLED, error=CancelledOperationError(reason))
        elif self._open.stopping and isinstance(error, InterruptedRunError):
            _log.info("operation %s goes on with the next engine", one.operation.id)
            self._patiently(lambda: self._table.requeue(one.operation.id, self.name))
        else:
            if not isinstance(error, FleetLabelError):
                _log.error("operation %s met a fault", one.operation.id, exc_info=error)
            self.finish(one, State.FAILED, error=error)

    def _check(self, one: OpenOperation) -> None:
        if one.cancelled:
            raise CancelledOperationError("cancelled")
        if self._open.stopping:
            raise InterruptedRunError(
                "the engine is being stopped; the operation goes on when it is started again"
            )
        if one.lost:
            raise InterruptedRunError("another engine has taken the operation over")

    def _on_news(self, one: OpenOperation, progress: Progress, fruitful: bool) -> None:
        now_s = time.monotonic()
        fruits = {"fruitless_starts": 0} if fruitful else {}
        operation = self._open.set(one, progress=progress, begun=True, updated_ns=time.time_ns(), **fruits)
        # At once: that the place is its own, and that it is not what brings engines down.
        first = not operation.begun or (fruitful and operation.fruitless_starts != 0)
        if first or now_s - one.noted_s >= _NOTE_S:
            one.noted_s = now_s
            try:
                one.lost = not self._table.note(operation.id, self.name, progress, fruitful=fruitful)
            except CatalogError as error:
                _log.warning("progress of operation %s was not kept: %s", operation.id, error)
        if now_s - one.told_s >= _NEWS_S:
            one.told_s = now_s
            self._open.tell(one)

    def finish(
        self,
        one: OpenOperation,
        state: State,
        *,
        result: Mapping[str, Any] | None = None,
        error: Exception | None = None,
    ) -> None:
        """An operation is over: writes down how it ended, and tells who waits for that."""
        operation = one.operation
        kind, message = _described(error)
        kept = self._patiently(
            lambda: self._table.finish(
                operation.id,
                self.name,
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
            self._open.change(
                one,
                state=state,
                result=result,
                error_kind=kind,
                error=message,
                updated_ns=now,
                finished_ns=now,
            )
            return
        self._open.forget(one)

    def _patiently(self, write: Callable[[], bool]) -> bool | None:
        """What a write says; None if the catalog takes none for a long time."""
        until, pause_s = time.monotonic() + _PATIENCE_S, 0.1
        while True:
            try:
                return write()
            except CatalogError as error:
                if time.monotonic() > until or self._open.stopping:
                    _log.error("the catalog does not take what became of an operation: %s", error)
                    return None
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 5.0)


def _described(error: Exception | None) -> tuple[str | None, str | None]:
    if error is None:
        return None, None
    if isinstance(error, FleetLabelError):
        return type(error).__name__, str(error)
    if isinstance(error, OSError):
        return "OSError", f"the operating system refused: {error}"
    return "InternalError", f"a fault of the engine, told in its log: {type(error).__name__}"
