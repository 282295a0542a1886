"""Drives a schedule: gives workers what it says, tells it what came out, stops cleanly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.faults import Fault
from fleetlabel.engine.pipeline.schedule import End, Limits, Schedule, Start
from fleetlabel.engine.pipeline.tasks import Finished, Task, TaskResult, perform
from fleetlabel.model.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Landed:
    """A task that is off its worker: its result, or what went wrong."""

    start: Start
    result: TaskResult | Fault


class Workers(Protocol):
    """Whoever does the tasks."""

    def start(self, start: Start) -> None:
        """Begins a task, or queues it."""

    def wait(self) -> list[Landed]:
        """Tasks that have ended, at least one unless some seconds pass without."""

    def drain(self) -> None:
        """Drops what has not begun and waits for what has, so that it is committed."""


class ExecutorWorkers:
    """Workers of an executor of the standard library: threads of this process."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._running: dict[Future[TaskResult | Fault], Start] = {}

    def start(self, start: Start) -> None:
        """Begins a task, or queues it."""
        future = self._executor.submit(perform, start.task.work, start.attempt)
        self._running[future] = start

    def wait(self) -> list[Landed]:
        """Tasks that have ended."""
        ended = wait(self._running, return_when=FIRST_COMPLETED).done
        return [Landed(self._running.pop(future), future.result()) for future in ended]

    def drain(self) -> None:
        """Drops what has not begun and waits for what has."""
        for future in self._running:
            future.cancel()
        wait(self._running)
        self._running.clear()


# Finds the workers of a call, which a stack lets go: them, and how many tasks they are given at once.
Hire = Callable[[RunConfig, ExitStack], tuple[Workers, int]]


def hire_threads(config: RunConfig, stack: ExitStack) -> tuple[Workers, int]:
    """Threads of this process: as many as are configured, and as many again for tasks that mostly wait for the disk."""
    threads = 2 * config.workers
    executor = stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="fleetlabel"))
    return ExecutorWorkers(executor), threads


def busy_stages(config: RunConfig) -> dict[str, int]:
    """Tasks at once of the stages that keep a core busy, for threads of this process."""
    return dict.fromkeys(("ingest", "detect", "lift"), config.workers)


def drive(
    schedule: Schedule,
    workers: Workers,
    *,
    on_finished: Callable[[str, Finished], None],
    on_end: Callable[[End], None],
    on_turn: Callable[[], None] = lambda: None,
) -> None:
    """Runs a schedule to its end. On an error, or Ctrl-C, nothing more is started and what runs is waited for.

    Args:
        on_finished: called with a sequence and a task of it that is done.
        on_end: called for each sequence that is over; what it raises stops everything.
        on_turn: called once in a while.
    """
    try:
        while True:
            for start in schedule.take():
                workers.start(start)
            for end in schedule.ended():
                on_end(end)
            on_turn()
            if schedule.is_over():
                return
            for landed in workers.wait() if schedule.in_flight else ():
                if isinstance(landed.result, Fault):
                    schedule.failed(landed.start, landed.result)
                else:
                    schedule.done(landed.start, landed.result.more)
                    on_finished(landed.start.sequence, Finished(landed.start.task, landed.result))
    finally:
        workers.drain()


def execute(
    tasks: Sequence[Task],
    workers: Workers,
    *,
    in_flight: int,
    of_stage: Mapping[str, int] | None = None,
    on_finished: Callable[[Finished], None] | None = None,
) -> list[Finished]:
    """Runs the tasks of one sequence, each after those it depends on, earlier frames first.

    Args:
        in_flight: how many tasks they are given at most at once: what they have not got cannot fill their memory.
        of_stage: the same of single stages.
        on_finished: called in this thread after each task.

    Raises:
        The first error of a task, once those in flight have ended; nothing further is fed. So it is with Ctrl-C.
    """
    finished: list[Finished] = []

    def keep(_: str, done: Finished) -> None:
        finished.append(done)
        if on_finished:
            on_finished(done)

    def complain(end: End) -> None:
        if end.fault is not None:
            raise end.fault.error or ClusterError(end.fault.reason)

    schedule = Schedule([("", tasks)], Limits(in_flight, of_stage=of_stage or {}))
    drive(schedule, workers, on_finished=keep, on_end=complain)
    return finished
