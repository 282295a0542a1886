"""Runs a graph of tasks on an executor: feeds what is ready, bounds what is in flight, stops cleanly."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from fleetlabel.store.table import Quarantined


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task tells its driver: little, whatever it moved.

    Attributes:
        frames: camera pictures, sweeps or frames that it handled.
        wall_s, cpu_s: time the work took, and the core time of its thread.
        boxes: boxes that it made.
        quarantined: samples that it could not use.
    """

    frames: int
    wall_s: float = 0.0
    cpu_s: float = 0.0
    boxes: int = 0
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work: one stage, one sensor, one range of frames.

    Attributes:
        stage, sensor: what it belongs to.
        start, stop: its frames.
        work: does it; returns at once if it is already committed.
        after: tasks that must be done before.
    """

    stage: str
    sensor: str
    start: int
    stop: int
    work: Callable[[], TaskResult]
    after: tuple[Task, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        """Unique within a run."""
        return (self.stage, self.sensor, self.start)


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that is done, and what it told."""

    task: Task
    result: TaskResult


def execute(
    tasks: Sequence[Task],
    executor: Executor,
    *,
    in_flight: int,
    on_finished: Callable[[Finished], None] | None = None,
) -> list[Finished]:
    """Runs all tasks, each after those it depends on, earlier in ``tasks`` first.

    Args:
        executor: threads, processes or a cluster's; anything of the standard contract.
        in_flight: how many tasks it is given at most at once: what it has not got cannot fill its memory.
        on_finished: called in this thread after each task.

    Raises:
        The first error of a task, once those in flight have ended; nothing further is fed. So it is with Ctrl-C.
    """
    graph = TopologicalSorter({task.key: [before.key for before in task.after] for task in tasks})
    graph.prepare()
    rank = {task.key: place for place, task in enumerate(tasks)}
    ready: list[int] = []
    running: dict[Future[TaskResult], Task] = {}
    finished: list[Finished] = []
    try:
        while graph.is_active():
            ready = sorted({*ready, *(rank[key] for key in graph.get_ready())})
            while ready and len(running) < in_flight:
                task = tasks[ready.pop(0)]
                running[executor.submit(_timed, task.work)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                finished.append(Finished(task, future.result()))
                graph.done(task.key)
                if on_finished:
                    on_finished(finished[-1])
    finally:
        for future in running:
            future.cancel()
        wait(running)
    return finished


def _timed(work: Callable[[], TaskResult]) -> TaskResult:
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    result = work()
    return replace(result, wall_s=time.perf_counter() - wall_s, cpu_s=time.thread_time() - cpu_s)
