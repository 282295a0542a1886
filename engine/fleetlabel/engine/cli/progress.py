"""Progress bars on a terminal, silence elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fleetlabel.engine.pipeline.tasks import Finished
from fleetlabel.engine.pipeline.tasks import Task as PipelineTask

if TYPE_CHECKING:
    from fleetlabel.client import Operation


class _RateColumn(ProgressColumn):
    """Frames per second of the stage so far."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.1f} frames/s", style="cyan")


class StageBars:
    """One bar per stage, with frames/s and time left; draws nothing when stderr is not a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> StageBars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def planned(self, tasks: list[PipelineTask]) -> None:
        """Adds the frames of planned tasks to the bars of their stages."""
        for task in tasks:
            bar = self._ids.get(task.stage)
            if bar is None:
                self._ids[task.stage] = self._bars.add_task(task.stage, total=task.stop - task.start)
            else:
                total = self._bars.tasks[bar].total or 0
                self._bars.update(bar, total=total + task.stop - task.start)

    def shown(self, operation: Operation) -> None:
        """Shows how far an engine's operation is: its stage, and those before it in full."""
        if not operation.stage:
            return
        bar = self._ids.get(operation.stage)
        if bar is None:
            for before in self._ids.values():
                self._bars.update(before, completed=self._bars.tasks[before].total)
            bar = self._ids[operation.stage] = self._bars.add_task(operation.stage, total=None)
        self._bars.update(bar, total=operation.frames_total, completed=operation.frames_done)

    def finished(self, done: Finished) -> None:
        """Moves the bar of a finished task's stage."""
        self._bars.advance(self._ids[done.task.stage], done.task.stop - done.task.start)


@contextmanager
def part_bar(total: int, name: str) -> Iterator[Progress]:
    """One bar that counts ``total`` steps; its only task is number 0."""
    console = Console(stderr=True)
    with Progress(
        TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        bar.add_task(name, total=total)
        yield bar
