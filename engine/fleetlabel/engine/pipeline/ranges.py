"""How a table's missing samples are cut into tasks."""

from __future__ import annotations

from collections.abc import Iterable

from fleetlabel.engine.pipeline.tasks import Key, Task
from fleetlabel.store import Table


def chunks(table: Table, chunk_frames: int) -> list[tuple[int, int]]:
    """Ranges of at most ``chunk_frames`` samples that fill the table's gaps and no more.

    What an earlier run committed stays, however it was cut: resuming with another chunk length is fine.
    """
    return [
        (start, min(start + chunk_frames, gap_stop))
        for gap_start, gap_stop in table.missing()
        for start in range(gap_start, gap_stop, chunk_frames)
    ]


def overlapping(tasks: Iterable[Task], start: int, stop: int) -> tuple[Key, ...]:
    """Keys of the tasks that make some of the frames ``start:stop``."""
    return tuple(task.key for task in tasks if task.start < stop and start < task.stop)


def is_done(table: Table, start: int, stop: int) -> bool:
    """Whether a task was done before: its worker died, or lost touch, before it could tell."""
    return (start, stop) in table.ranges()
