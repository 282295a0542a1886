"""Operations that are open in this engine: how far each is, which one is next, and who waits for news of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fleetlabel.engine.catalog import Operation, State
from fleetlabel.model.errors import InterruptedRunError


class OpenOperation:
    """An operation that is open; changed within :class:`OpenOperations` only, but for the times.

    Attributes:
        operation: as it is now.
        cancelled: it was asked to end.
        lost: another engine has it.
        version: another one whenever there is news.
        noted_s, told_s: when its progress was last written down, and told.
    """

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.cancelled = operation.cancel_requested
        self.lost = False
        self.version = 0
        self.noted_s = self.told_s = 0.0


class OpenOperations:
    """All of them. Threads may share it.

    Attributes:
        stopping: the engine is being stopped.
    """

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._open: dict[str, OpenOperation] = {}
        self._queue: list[OpenOperation] = []
        self._busy: set[str] = set()
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self.stopping = False

    # --- coming and going -------------------------------------------------------------------------------------------

    def add(self, operation: Operation) -> OpenOperation:
        """Takes up an operation; it is not in the queue yet."""
        one = OpenOperation(operation)
        with self._news:
            self._open[operation.id] = one
        return one

    def queue(self, one: OpenOperation, first: bool = False) -> None:
        """Queues an operation, the last by default."""
        with self._news:
            self._queue.insert(0 if first else len(self._queue), one)
            self._news.notify_all()

    def next(self) -> OpenOperation | None:
        """The oldest operation at whose place nothing runs; waits for one. None: the engine is being stopped.

        Its place is taken until :meth:`vacate`.
        """
        with self._news:
            while not self.stopping:
                for one in self._queue:
                    if one.operation.place not in self._busy:
                        self._queue.remove(one)
                        self._busy.add(one.operation.place)
                        return one
                self._news.wait()
            return None

    def vacate(self, one: OpenOperation) -> None:
        """Nothing runs at its place any more."""
        with self._news:
            self._busy.discard(one.operation.place)
            self._news.notify_all()

    def cancel(self, operation_id: str) -> tuple[OpenOperation, bool] | None:
        """Notes that an operation is to end, and whether it waited and is out of the queue; None if it is over."""
        with self._news:
            one = self._open.get(operation_id)
            if one is None or one.operation.state.is_final:
                return None
            one.cancelled = True
            one.operation = replace(one.operation, cancel_requested=True)
            waits = one in self._queue
            if waits:
                self._queue.remove(one)
        return one, waits

    def forget(self, one: OpenOperation) -> None:
        """Leaves an operation to the catalog, which knows what became of it."""
        with self._news:
            self._open.pop(one.operation.id, None)
        self.tell(one)

    def stop(self) -> None:
        """Nothing is begun any more, and whoever waits for news is told so."""
        with self._news:
            self.stopping = True
            self._news.notify_all()
            listeners = [listener for each in self._listeners.values() for listener in each]
        for listener in listeners:
            listener()

    def refuse_stopping(self) -> None:
        """Complains once the engine is being stopped.

        Raises:
            InterruptedRunError: it is.
        """
        if self.stopping:
            raise InterruptedRunError("the engine is being stopped; ask again when it is back")

    # --- how far they are -------------------------------------------------------------------------------------------

    def get(self, operation_id: str) -> Operation | None:
        """An operation as it is now; None: the catalog knows."""
        with self._news:
            one = self._open.get(operation_id)
            return None if one is None else one.operation

    def newest(self, operation: Operation) -> Operation:
        """An operation that the catalog has, as it is now."""
        return self.get(operation.id) or operation

    def set(self, one: OpenOperation, **values: Any) -> Operation:
        """Changes what is known of an operation, and tells nobody; returns what was known before."""
        with self._news:
            before = one.operation
            one.operation = replace(before, **values)
        return before

    def change(self, one: OpenOperation, **values: Any) -> None:
        """Changes what is known of an operation, and tells who waits for news."""
        self.set(one, **values)
        self.tell(one)

    def tell(self, one: OpenOperation) -> None:
        """There is news of an operation."""
        with self._news:
            one.version += 1
            listeners = list(self._listeners.get(one.operation.id, ()))
            self._news.notify_all()
        for listener in listeners:
            listener()

    def version(self, operation_id: str) -> int:
        """A number that is another one when there is news of an operation."""
        with self._news:  # it may be taken again by who has it
            one = self._open.get(operation_id)
            return one.version if one else -1

    def await_news(self, operation_id: str, version: int, timeout_s: float | None) -> None:
        """Returns when there is other news than of ``version``, or at the latest after ``timeout_s``.

        Raises:
            InterruptedRunError: the engine is being stopped.
        """
        with self._news:
            if not self.stopping and self.version(operation_id) == version:
                self._news.wait(timeout_s)
        self.refuse_stopping()

    @contextmanager
    def listening(self, operation_id: str, listener: Callable[[], None]) -> Iterator[None]:
        """While the context lasts, a listener is called at each change, in some other thread; it must not block."""
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
        """How many wait and how many run."""
        with self._news:
            return {State.QUEUED: len(self._queue), State.RUNNING: len(self._open) - len(self._queue)}
