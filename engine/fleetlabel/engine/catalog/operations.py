"""Operations as the catalog keeps them; :mod:`fleetlabel.engine.serving.operations` runs them."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from fleetlabel.engine.catalog.database import reading, writing
from fleetlabel.engine.catalog.schema import OPERATIONS
from fleetlabel.model.errors import LimitError, OperationNotFoundError, RequestIdError, UsageError

MAX_PAGE = 1000
_MAX_REQUEST_ID = 200
_PAGE_TOKEN = re.compile(r"(\d{1,19})-([0-9a-f]{32})", re.ASCII)


class State(StrEnum):
    """How far an operation is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether it stays so."""
        return self not in _OPEN


_OPEN = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Progress:
    """What an operation is at.

    Attributes:
        stage: the earliest that is not done; the last one once all are.
        frames_done, frames_total: of that stage: camera pictures, sweeps or frames; in a resumed operation of what was
            left to do.
        frames_per_s: of that stage so far; 0 before its first frame.
    """

    stage: str = ""
    frames_done: int = 0
    frames_total: int = 0
    frames_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Operation:
    """Long work; times in ns since 1970.

    Attributes:
        id: 32 hexadecimal digits.
        kind: what it does, e.g. ``ingest``.
        owner: name of who started it.
        request_id: that the owner gave it, so that asking again starts nothing again.
        place: what it changes: a store, or a folder of them.
        request: what was asked, JSON-ready.
        result: what came of it, JSON-ready, once it has succeeded.
        error_kind, error: why it did not: name of the error's class, ``InternalError`` for a fault of the engine, and
            its message.
        cancel_requested: it will be cancelled once its running tasks are done.
        fruitless_starts: how often in a row it was started without getting a task done.
        begun: it has planned tasks, so its output is its own.
        started_ns: first time; it may have been resumed since.
        updated_ns: of the newest change.
    """

    id: str
    kind: str
    owner: str
    request_id: str | None
    place: str
    request: Mapping[str, Any]
    state: State
    progress: Progress
    result: Mapping[str, Any] | None
    error_kind: str | None
    error: str | None
    cancel_requested: bool
    fruitless_starts: int
    begun: bool
    created_ns: int
    started_ns: int | None
    updated_ns: int
    finished_ns: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some operations, and what to ask with for the next ones; empty: these were the last."""

    operations: tuple[Operation, ...]
    next_page_token: str


class OperationTable:
    """The operations of a catalog.

    Changes of what is going on name the runner, an engine's process. The newest engine takes all open operations over;
    what an earlier one that still lives wants to change then is not changed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        owner: str,
        kind: str,
        place: str,
        request: Mapping[str, Any],
        runner: str,
        *,
        request_id: str | None = None,
        most_open: int | None = None,
    ) -> tuple[Operation, bool]:
        """Keeps a new operation; or finds the one that was added with the same request id, and says True.

        Args:
            most_open: operations that the owner may have open, this one included.

        Raises:
            RequestIdError: the request id was used for something else.
            UsageError: it is none.
            LimitError: the owner has too many open.
        """
        if request_id is not None and not (
            0 < len(request_id) <= _MAX_REQUEST_ID and request_id.isprintable()
        ):
            raise UsageError(f"a request id has 1 to {_MAX_REQUEST_ID} printable characters")
        now = time.time_ns()
        values = {
            "id": uuid.uuid4().hex,
            "kind": kind,
            "owner": owner,
            "request_id": request_id,
            "place": _storable(place),
            "request": _json(request),
            "state": str(State.QUEUED),
            **_columns(Progress()),
            "cancel_requested": False,
            "runner": runner,
            "fruitless_starts": 0,
            "begun": False,
            "created_ns": now,
            "updated_ns": now,
        }
        mine = OPERATIONS.c.owner == owner
        try:
            with writing(self._engine) as connection:
                if request_id is not None:
                    earlier = _of_request(connection, owner, request_id, kind, request)
                    if earlier is not None:
                        return earlier, True
                if most_open is not None:
                    is_open = OPERATIONS.c.state.in_(_OPEN)
                    count = select(func.count()).select_from(OPERATIONS).where(mine, is_open)
                    n_open = connection.execute(count).scalar_one()
                    if n_open >= most_open:
                        raise LimitError(
                            f"{owner} has {n_open} operations open and may have {most_open}; wait for one or cancel it"
                        )
                row = connection.execute(OPERATIONS.insert().values(values).returning(OPERATIONS)).one()
                return _operation(row), False
        except (
            IntegrityError
        ):  # PostgreSQL has several writers, and another one was faster with the request id
            return self.add(owner, kind, place, request, runner, request_id=request_id, most_open=most_open)

    def of_request(
        self, owner: str, request_id: str, kind: str, request: Mapping[str, Any]
    ) -> Operation | None:
        """The operation that an owner started with a request id.

        Raises:
            RequestIdError: it was asked something else.
        """
        with reading(self._engine) as connection:
            return _of_request(connection, owner, request_id, kind, request)

    def get(self, operation_id: str) -> Operation:
        """An operation as it was last written.

        Raises:
            OperationNotFoundError: there is none (any more).
        """
        with reading(self._engine) as connection:
            row = connection.execute(select(OPERATIONS).where(OPERATIONS.c.id == operation_id)).one_or_none()
        if row is None:
            raise OperationNotFoundError(
                f"there is no operation {operation_id[:64]!r}; finished ones are forgotten after some weeks"
            )
        return _operation(row)

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
        """Operations, newest first; None and empty: any. What is added meanwhile shifts no page.

        Args:
            page_size: at most so many; more than 1000 count as 1000.
            page_token: of the page before.

        Raises:
            UsageError: the token is none, or the size is below 1.
        """
        if page_size < 1:
            raise UsageError(f"a page has at least one operation, not {page_size}")
        size = min(page_size, MAX_PAGE)
        wanted = (
            select(OPERATIONS)
            .order_by(OPERATIONS.c.created_ns.desc(), OPERATIONS.c.id.desc())
            .limit(size + 1)
        )
        if owner is not None:
            wanted = wanted.where(OPERATIONS.c.owner == owner)
        if place is not None:
            wanted = wanted.where(OPERATIONS.c.place == _storable(place))
        if kinds:
            wanted = wanted.where(OPERATIONS.c.kind.in_(list(kinds)))
        if states:
            wanted = wanted.where(OPERATIONS.c.state.in_([str(state) for state in states]))
        if page_token:
            match = _PAGE_TOKEN.fullmatch(page_token)
            if match is None or int(match[1]) >= 2**63:
                raise UsageError(
                    f"{page_token[:64]!r} is no page token; take the one that came with the page before"
                )
            age = tuple_(OPERATIONS.c.created_ns, OPERATIONS.c.id)
            wanted = wanted.where(age < tuple_(int(match[1]), match[2]))
        with reading(self._engine) as connection:
            found = [_operation(row) for row in connection.execute(wanted)]
        page = tuple(found[:size])
        return Page(page, f"{page[-1].created_ns}-{page[-1].id}" if len(found) > size else "")

    def adopt(self, runner: str) -> tuple[Operation, ...]:
        """Takes over all open operations, oldest first, for a runner that is the only one now."""
        is_open = OPERATIONS.c.state.in_(_OPEN)
        with writing(self._engine) as connection:
            values = {"runner": runner, "state": str(State.QUEUED)}
            rows = connection.execute(
                update(OPERATIONS).where(is_open).values(values).returning(OPERATIONS)
            ).all()
        return tuple(sorted(map(_operation, rows), key=lambda one: (one.created_ns, one.id)))

    def request_cancel(self, operation_id: str) -> Operation:
        """Writes down that somebody wants an operation cancelled; what is over stays as it is.

        Raises:
            OperationNotFoundError: there is none.
        """
        with writing(self._engine) as connection:
            concerned = (OPERATIONS.c.id == operation_id) & OPERATIONS.c.state.in_(_OPEN)
            connection.execute(
                update(OPERATIONS).where(concerned).values(cancel_requested=True, updated_ns=time.time_ns())
            )
        return self.get(operation_id)

    def start(self, operation_id: str, runner: str) -> bool:
        """An operation runs; False: it is another runner's now."""
        now = time.time_ns()
        return self._change(
            operation_id,
            runner,
            state=str(State.RUNNING),
            started_ns=func.coalesce(OPERATIONS.c.started_ns, now),
            fruitless_starts=OPERATIONS.c.fruitless_starts + 1,
        )

    def note(self, operation_id: str, runner: str, progress: Progress, *, fruitful: bool) -> bool:
        """How far an operation that has planned its tasks is; False: it is another runner's now.

        Args:
            fruitful: it has done a task since it was started.
        """
        fruit = {"fruitless_starts": 0} if fruitful else {}
        return self._change(operation_id, runner, begun=True, **_columns(progress), **fruit)

    def requeue(self, operation_id: str, runner: str) -> bool:
        """An operation was stopped in peace and goes on later; False: it is another runner's now."""
        return self._change(operation_id, runner, state=str(State.QUEUED), fruitless_starts=0)

    def finish(
        self,
        operation_id: str,
        runner: str,
        state: State,
        progress: Progress,
        *,
        result: Mapping[str, Any] | None = None,
        error_kind: str | None = None,
        error: str | None = None,
    ) -> bool:
        """An operation is over; False: it is another runner's now."""
        return self._change(
            operation_id,
            runner,
            state=str(state),
            **_columns(progress),
            result=None if result is None else _json(result),
            error_kind=error_kind,
            error=None if error is None else _storable(error),
            finished_ns=time.time_ns(),
        )

    def forget(self, finished_before_ns: int) -> int:
        """Deletes operations that were over before a time; says how many."""
        over = OPERATIONS.c.finished_ns < finished_before_ns
        with writing(self._engine) as connection:
            return connection.execute(delete(OPERATIONS).where(over)).rowcount

    def _change(self, operation_id: str, runner: str, **values: Any) -> bool:
        mine = (OPERATIONS.c.id == operation_id) & (OPERATIONS.c.runner == runner)
        change = update(OPERATIONS).where(mine, OPERATIONS.c.state.in_(_OPEN))
        with writing(self._engine) as connection:
            return connection.execute(change.values(updated_ns=time.time_ns(), **values)).rowcount == 1


def _of_request(
    connection: Connection, owner: str, request_id: str, kind: str, request: Mapping[str, Any]
) -> Operation | None:
    asked = select(OPERATIONS).where(OPERATIONS.c.owner == owner, OPERATIONS.c.request_id == request_id)
    row = connection.execute(asked).one_or_none()
    if row is None:
        return None
    earlier = _operation(row)
    if earlier.kind != kind or _json(earlier.request) != _json(request):
        raise RequestIdError(
            f"request {request_id!r} was answered by operation {earlier.id} ({earlier.kind}), which was asked "
            "something else; a new request takes a new id"
        )
    return earlier


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True)


def _storable(text: str) -> str:
    """Without what a database keeps no text with: NUL, and bytes of file names that are none of UTF-8."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _columns(progress: Progress) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in Progress.__dataclass_fields__}


def _operation(row: Row[Any]) -> Operation:
    values = dict(row._mapping)
    del values["runner"]
    progress = Progress(**{name: values.pop(name) for name in Progress.__dataclass_fields__})
    values["request"] = json.loads(values["request"])
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    return Operation(**values | {"state": State(values["state"]), "progress": progress})
