"""Tasks, the units of work that threads, processes and clusters are given, and what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleetlabel.engine.pipeline.faults import Fault, fault_of
from fleetlabel.store.table import Quarantined

Key = tuple[str, str, int]
"""Stage, sensor and first frame: a task's name within its sequence."""

_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a task tells its driver: little, whatever it moved.

    Attributes:
        frames: camera pictures, sweeps or frames that it handled.
        wall_s, cpu_s: time the work took, and the core time of its thread.
        boxes: boxes that it made.
        quarantined: samples that it could not use.
        more: tasks that are to be done now that it is: planning is a task, too.
        facts: what else its driver should know; little, too.
    """

    frames: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    boxes: int = 0
    quarantined: tuple[Quarantined, ...] = ()
    more: tuple[Task, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work: one stage, one sensor, one range of frames.

    Attributes:
        stage, sensor: what it belongs to.
        start, stop: its frames.
        work: does it; returns at once if it is already committed.
        after: keys of the tasks of its sequence that must be done before.
        n_bytes: about how much memory it holds at most.
    """

    stage: str
    sensor: str
    start: int
    stop: int
    work: Callable[[], TaskResult]
    after: tuple[Key, ...] = ()
    n_bytes: int = 0

    @property
    def key(self) -> Key:
        """Unique within a sequence."""
        return (self.stage, self.sensor, self.start)


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that is done, and what it told."""

    task: Task
    result: TaskResult


def keys(tasks: Iterable[Task]) -> tuple[Key, ...]:
    """Keys of tasks."""
    return tuple(task.key for task in tasks)


def perform(work: Callable[[], TaskResult], attempt: int = 1) -> TaskResult | Fault:
    """Does a task's work and takes its time; later attempts wait a little before they begin. Raises nothing."""
    if attempt > 1:
        time.sleep(_PAUSE_S * 2 ** (attempt - 2))
    wall_s, cpu_s = time.perf_counter(), time.thread_time()
    try:
        result = work()
    except Exception as error:
        return fault_of(error)
    return replace(result, wall_s=time.perf_counter() - wall_s, cpu_s=time.thread_time() - cpu_s)
