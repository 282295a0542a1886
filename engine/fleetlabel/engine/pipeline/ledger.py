"""The ledger of a run: where the time went, stage by stage."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.pipeline.tasks import Finished
from fleetlabel.store.durable import write_file


@dataclass(frozen=True, slots=True)
class StageLine:
    """One stage in the ledger.

    Attributes:
        stage: its name.
        frames: pictures, sweeps or frames handled in this call; what was committed before is not counted.
        boxes: boxes made.
        task_s: time its tasks took, added up over workers.
        cpu_s: core time of their threads.
        ms_per_frame: ``task_s`` per frame.
        share: of the time of all tasks.
    """

    stage: str
    frames: int
    boxes: int
    task_s: float
    cpu_s: float
    ms_per_frame: float
    share: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where the time of one call went.

    Attributes:
        sequence: name of the sequence.
        frames: frames of the sequence.
        wall_s: from start to end of the call.
        workers: tasks that could run at once.
        stages: in the order they first finished.
        machine: what it ran on.
        warnings: what people should know of the call.
    """

    sequence: str
    frames: int
    wall_s: float
    workers: int
    stages: tuple[StageLine, ...]
    machine: dict[str, Any]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Writes it as JSON, replacing an earlier one."""
        write_file(path, json.dumps(self.to_dict(), indent=1).encode())


def ledger_path(store: Path) -> Path:
    """Where a store's ledger is: beside it."""
    return store.with_name(f"{store.stem}.ledger.json")


def make_ledger(
    sequence: str,
    frames: int,
    wall_s: float,
    workers: int,
    finished: Sequence[Finished],
    warnings: Sequence[str],
) -> Ledger:
    """Sums finished tasks by stage."""
    stages = list(dict.fromkeys(done.task.stage for done in finished))
    whole_s = sum(done.result.wall_s for done in finished) or 1.0
    lines = []
    for stage in stages:
        results = [done.result for done in finished if done.task.stage == stage]
        frames_done = sum(result.frames for result in results)
        task_s = sum(result.wall_s for result in results)
        lines.append(
            StageLine(
                stage=stage,
                frames=frames_done,
                boxes=sum(result.boxes for result in results),
                task_s=task_s,
                cpu_s=sum(result.cpu_s for result in results),
                ms_per_frame=1e3 * task_s / max(frames_done, 1),
                share=task_s / whole_s,
            )
        )
    machine = {
        "cpu_count": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }
    return Ledger(sequence, frames, wall_s, workers, tuple(lines), machine, tuple(warnings))
