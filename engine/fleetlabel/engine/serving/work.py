"""What an operation does, and whom it tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fleetlabel.engine.catalog import Progress
from fleetlabel.engine.pipeline.tasks import Finished, Task


class Work(Protocol):
    """A kind of operation. It may be started again after any end of the process, and then goes on."""

    def check(self, request: Mapping[str, Any]) -> None:
        """Complains of a request that cannot be done, quickly, before it becomes an operation."""

    def place(self, request: Mapping[str, Any]) -> str:
        """What it changes: of operations with one place, one runs at a time."""

    def run(self, request: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        """Does it; the result is JSON-ready. Calls of ``report`` may raise, and then it has to end."""


@dataclass(slots=True)
class _Stage:
    """Frames of one stage."""

    done: int = 0
    total: int = 0
    began_s: float = 0.0
    newest_s: float = 0.0


class Report:
    """Hears of an operation's tasks (it is the pipeline's ``Observer``) and of whole fleets; stops both on demand.

    Attributes:
        operation_id: the operation's.
        resumed: the operation was started before.
        begun: it had planned tasks then, so what is at its place is its own.
    """

    def __init__(
        self,
        operation_id: str,
        resumed: bool,
        begun: bool,
        on_news: Callable[[Progress, bool], None],
        check: Callable[[], None],
    ) -> None:
        """Makes one.

        Args:
            on_news: is told what is going on, and whether a task was done.
            check: raises if the operation is to end; asked with every call, and by whoever has no tasks to tell of.
        """
        self.operation_id = operation_id
        self.resumed = resumed
        self.begun = begun
        self.progress = Progress()
        self._on_news = on_news
        self.check = check
        self._stages: dict[str, _Stage] = {}

    def planned(self, tasks: Sequence[Task]) -> None:
        """These tasks will be done."""
        self.check()
        for task in tasks:
            self._stages.setdefault(task.stage, _Stage()).total += task.stop - task.start
        if tasks:
            self._tell(False)

    def finished(self, done: Finished) -> None:
        """One of them is."""
        stage = self._stages[done.task.stage]
        stage.newest_s = time.monotonic()
        if not stage.began_s:
            stage.began_s = stage.newest_s - done.result.wall_s
        stage.done += done.task.stop - done.task.start
        self._tell(True)
        self.check()

    def turn(self, snapshot: Mapping[str, Any]) -> None:
        """So far a fleet is; see ``fleetlabel.engine.fleet.progress``."""
        self.progress = Progress(
            "fleet", int(snapshot["frames"]), int(snapshot["frames_total"]), float(snapshot["frames_per_s"])
        )
        self._on_news(self.progress, snapshot["frames"] > 0)
        if snapshot["state"] in ("starting", "running"):
            self.check()

    def _tell(self, fruitful: bool) -> None:
        names = list(self._stages)
        name = next((name for name in names if self._stages[name].done < self._stages[name].total), names[-1])
        stage = self._stages[name]
        took_s = stage.newest_s - stage.began_s
        rate = stage.done / took_s if stage.done and took_s > 0 else 0.0
        self.progress = Progress(name, stage.done, stage.total, round(rate, 3))
        self._on_news(self.progress, fruitful)
