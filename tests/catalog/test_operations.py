"""Operations: queued, run, watched, cancelled, stopped and resumed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fleetlabel.engine.catalog import Catalog, State
from fleetlabel.engine.pipeline.tasks import Finished, Task, TaskResult
from fleetlabel.engine.serving import Operations, Report
from fleetlabel.engine.serving.running import FRUITLESS_STARTS
from fleetlabel.model.errors import (
    CatalogError,
    InterruptedRunError,
    LimitError,
    OperationNotFoundError,
    SourceError,
    UsageError,
)

PATIENCE_S = 60.0


class Steps:
    """Work that does a task whenever a test lets it, and remembers what it did."""

    def __init__(self, tasks: int = 3) -> None:
        self.tasks = [Task("detect", "front", n, n + 2, TaskResult) for n in range(0, 2 * tasks, 2)]
        self.allowed = threading.Semaphore(0)
        self.began: list[Any] = []
        self.begins = threading.Semaphore(0)
        self.running = self.most_running = 0
        self.fault: Exception | None = None
        self.done: set[int] = set()
        self._lock = threading.Lock()

    def check(self, request: Mapping[str, Any]) -> None:
        if "bad" in request:
            raise SourceError("bad indeed")

    def place(self, request: Mapping[str, Any]) -> str:
        return str(request.get("place"))

    def run(self, request: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        with self._lock:
            self.began.append((request, report.resumed, report.begun))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.begins.release()
        try:
            left = [task for task in self.tasks if task.start not in self.done]
            report.planned(left)
            for task in left:
                assert self.allowed.acquire(timeout=PATIENCE_S)
                if self.fault:
                    raise self.fault
                self.done.add(task.start)
                report.finished(Finished(task, TaskResult(frames=2, wall_s=0.5)))
            return {"did": len(left)}
        finally:
            with self._lock:
                self.running -= 1


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def allow_all(steps: Steps) -> Callable[[], None]:
    return lambda: steps.allowed.release(1000)


def test_an_operation_runs_to_its_end_and_says_how_far_it_is(catalog: Catalog, steps: Steps) -> None:
    with Operations(catalog, {"steps": steps}) as operations:
        started = operations.start("ann", "steps", {"place": "a"})
        assert catalog.operations.get(started.id).request == {"place": "a"}  # on the disk when its id is told
        changes = operations.watch(started.id)
        seen = [next(changes)]
        for number in range(3):
            steps.allowed.release()
            while seen[-1].progress.frames_done < 2 * (number + 1) and not seen[-1].state.is_final:
                seen.append(next(changes))
        seen += list(changes)
        last = seen[-1]
        assert (last.state, last.result, last.error) == (State.SUCCEEDED, {"did": 3}, None)
        assert (last.progress.stage, last.progress.frames_done, last.progress.frames_total) == (
            "detect",
            6,
            6,
        )
        assert last.progress.frames_per_s > 0
        done = [one.progress.frames_done for one in seen]
        assert done == sorted(done)
        assert last == operations.get(started.id) == operations.wait(started.id)
        assert last.finished_ns is not None and last.started_ns is not None
        assert last.created_ns <= last.started_ns <= last.finished_ns
        assert operations.list().operations == (last,)
        assert dict(operations.counts) == {State.QUEUED: 0, State.RUNNING: 0}


def test_a_request_that_is_repeated_starts_nothing_again(
    catalog: Catalog, steps: Steps, allow_all: Callable[[], None]
) -> None:
    allow_all()
    with Operations(catalog, {"steps": steps}) as operations:
        first = operations.start("ann", "steps", {"place": "a"}, request_id="x")
        again = operations.start("ann", "steps", {"place": "a"}, request_id="x")
        assert again.id == first.id
        operations.wait(first.id, PATIENCE_S)
        # What would not be possible any more was done already.
        steps.check = lambda request: pytest.fail("asked again")  # type: ignore[method-assign]
        assert operations.start("ann", "steps", {"place": "a"}, request_id="x").state is State.SUCCEEDED
        assert len(steps.began) == 1


def test_what_cannot_be_done_is_refused_at_once_and_kept_nowhere(catalog: Catalog, steps: Steps) -> None:
    with Operations(catalog, {"steps": steps}, most_open=1) as operations:
        with pytest.raises(UsageError, match="no operation 'fly'; expected one of steps"):
            operations.start("ann", "fly", {})
        with pytest.raises(SourceError, match="bad indeed"):
            operations.start("ann", "steps", {"bad": 1})
        assert operations.list().operations == ()
        operations.start("ann", "steps", {})
        with pytest.raises(LimitError):
            operations.start("ann", "steps", {})
        for ask in (operations.get, operations.cancel, operations.wait):
            with pytest.raises(OperationNotFoundError):
                ask("f" * 32)
        steps.allowed.release(100)


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (SourceError("drive/7.jpg is no picture"), "SourceError", "drive/7.jpg is no picture"),
        (OSError(28, "No space left on device"), "OSError", "the operating system refused: .*No space"),
        (KeyError("hush"), "InternalError", "a fault of the engine, told in its log: KeyError$"),
    ],
)
def test_what_fails_says_why(
    catalog: Catalog, steps: Steps, fault: Exception, kind: str, message: str
) -> None:
    steps.fault = fault
    steps.allowed.release()
    with Operations(catalog, {"steps": steps}) as operations:
        failed = operations.wait(operations.start("ann", "steps", {}).id, PATIENCE_S)
        assert (failed.state, failed.error_kind) == (State.FAILED, kind)
        assert failed.error is not None
        assert re.match(message, failed.error)
        steps.fault = None
        steps.allowed.release(100)
        assert operations.wait(operations.start("ann", "steps", {}).id, PATIENCE_S).state is State.SUCCEEDED


def test_so_many_run_at_a_time_and_one_at_each_place(catalog: Catalog) -> None:
    steps = Steps(tasks=1)
    with Operations(catalog, {"steps": steps}, workers=2) as operations:
        ids = [operations.start("ann", "steps", {"place": place}).id for place in "aaabbc"]
        for _ in range(2):
            assert steps.begins.acquire(timeout=PATIENCE_S)
        assert sorted(request["place"] for request, *_ in steps.began) == ["a", "b"]  # not the two oldest
        assert dict(operations.counts) == {State.QUEUED: 4, State.RUNNING: 2}
        steps.allowed.release(100)
        assert {operations.wait(one, PATIENCE_S).state for one in ids} == {State.SUCCEEDED}
        assert steps.most_running == 2


def test_cancelling_ends_what_waits_at_once_and_what_runs_after_its_task(
    catalog: Catalog, steps: Steps
) -> None:
    with Operations(catalog, {"steps": steps}) as operations:
        runs = operations.start("ann", "steps", {"place": "a"}).id
        waits = operations.start("ann", "steps", {"place": "b"}).id
        assert steps.begins.acquire(timeout=PATIENCE_S)
        assert operations.cancel(waits).state is State.CANCELLED
        asked = operations.cancel(runs)
        assert (asked.state, asked.cancel_requested) == (State.RUNNING, True)
        steps.allowed.release(100)
        ended = operations.wait(runs, PATIENCE_S)
        assert (ended.state, ended.error_kind) == (State.CANCELLED, "CancelledOperationError")
        assert steps.done in ({0}, set())  # at most the one that ran
        assert operations.cancel(runs) == ended  # once it is over, it stays so


def test_an_engine_that_is_stopped_leaves_its_work_to_the_next_one(catalog: Catalog, steps: Steps) -> None:
    with Operations(catalog, {"steps": steps}) as operations:
        runs = operations.start("ann", "steps", {"place": "a"}).id
        waits = operations.start("ann", "steps", {"place": "a"}).id
        cancelled = operations.start("ann", "steps", {"place": "a"}).id
        assert steps.begins.acquire(timeout=PATIENCE_S)
        told = threading.Event()
        with operations.listening(runs, told.set):
            assert operations.close(timeout_s=0.0) is False  # its task has not ended
            assert told.is_set()
        with pytest.raises(InterruptedRunError, match="being stopped"):
            operations.start("ann", "steps", {})
        with pytest.raises(InterruptedRunError, match="being stopped"):
            operations.wait(runs)
        steps.allowed.release()
        assert operations.close(PATIENCE_S) is True
    assert [catalog.operations.get(one).state for one in (runs, waits)] == [State.QUEUED] * 2
    catalog.operations.request_cancel(cancelled)
    steps.allowed.release(100)
    with Operations(catalog, {"steps": steps}) as operations:
        ended = operations.wait(runs, PATIENCE_S)
        assert (ended.state, ended.result) == (State.SUCCEEDED, {"did": 2})
        assert operations.wait(waits, PATIENCE_S).state is State.SUCCEEDED
        assert operations.wait(cancelled, PATIENCE_S).state is State.CANCELLED
    assert [(resumed, begun) for _, resumed, begun in steps.began] == [
        (False, False),
        (True, True),
        (False, False),
    ]


def test_what_brings_engines_down_is_given_up_and_what_gets_on_is_not(catalog: Catalog, steps: Steps) -> None:
    poison, _ = catalog.operations.add("ann", "steps", "a", {"place": "a"}, "dead")
    slow, _ = catalog.operations.add("ann", "steps", "b", {"place": "b"}, "dead")
    for number in range(FRUITLESS_STARTS):
        for one in catalog.operations.adopt(f"dead{number}"):
            catalog.operations.start(one.id, f"dead{number}")
        catalog.operations.note(slow.id, f"dead{number}", slow.progress, fruitful=number == 2)
    steps.allowed.release(100)
    with Operations(catalog, {"steps": steps}) as operations:
        ended = operations.wait(poison.id, PATIENCE_S)
        assert ended.state is State.FAILED
        assert (
            ended.error is not None and f"the engine ended {FRUITLESS_STARTS} times in a row" in ended.error
        )
        assert operations.wait(slow.id, PATIENCE_S).state is State.SUCCEEDED


def test_what_an_engine_cannot_resume_fails_with_the_reason(catalog: Catalog) -> None:
    unknown, _ = catalog.operations.add("ann", "fly", "a", {}, "dead")

    class Gone(Steps):
        def check(self, request: Mapping[str, Any]) -> None:
            raise SourceError("deleted meanwhile")

    gone, _ = catalog.operations.add("ann", "gone", "a", {}, "dead")
    with Operations(catalog, {"gone": Gone()}) as operations:
        for one, reason in ((unknown, "no operation 'fly'"), (gone, "deleted meanwhile")):
            ended = operations.wait(one.id, PATIENCE_S)
            assert ended.state is State.FAILED
            assert ended.error is not None
            assert reason in ended.error


def test_a_second_engine_is_refused_while_the_first_runs(
    catalog: Catalog, catalog_url: str, steps: Steps
) -> None:
    with Operations(catalog, {"steps": steps}), Catalog(catalog_url) as other:
        second = Operations(other, {"steps": steps})
        with pytest.raises(CatalogError, match="another engine"):
            second.__enter__()
    with Operations(catalog, {"steps": steps}):
        pass


def test_who_stops_looking_holds_nothing(catalog: Catalog, steps: Steps) -> None:
    with Operations(catalog, {"steps": steps}) as operations:
        one = operations.start("ann", "steps", {}).id
        looks = iter([True, True, False])
        assert len(list(operations.watch(one, lambda: next(looks), ask_s=0.01))) in (1, 2)
        assert operations.wait(one, timeout_s=0.0).state in (State.QUEUED, State.RUNNING)
        steps.allowed.release(100)


def test_a_catalog_that_fails_for_a_while_loses_nothing(
    catalog: Catalog, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([True] * 3)

    def flaky(write: Callable[..., bool]) -> Callable[..., bool]:
        def call(*arguments: Any, **options: Any) -> bool:
            if next(failures, False):
                raise CatalogError("away for a moment")
            return write(*arguments, **options)

        return call

    for name in ("note", "finish"):
        monkeypatch.setattr(catalog.operations, name, flaky(getattr(catalog.operations, name)))
    steps.allowed.release(100)
    with Operations(catalog, {"steps": steps}) as operations:
        ended = operations.wait(operations.start("ann", "steps", {}).id, PATIENCE_S)
        assert ended.state is State.SUCCEEDED
    assert catalog.operations.get(ended.id).state is State.SUCCEEDED
