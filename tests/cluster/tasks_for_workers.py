"""Work that tests give to real workers."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from fleetlabel.engine.pipeline.tasks import Task, TaskResult


def wait_a_little(notes: Path, name: str) -> TaskResult:
    """Notes that it was begun, and takes a moment."""
    with (notes / name).open("a") as file:
        file.write("begun\n")
    time.sleep(0.05)
    return TaskResult(frames=1)


def kill_its_process(notes: Path, name: str) -> TaskResult:
    """Takes its worker with it."""
    with (notes / name).open("a") as file:
        file.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return TaskResult()


def harmless(notes: Path, number: int) -> Task:
    return Task("detect", "all", number, number + 1, partial(wait_a_little, notes, f"harmless{number}"))


def deadly(notes: Path) -> Task:
    return Task("detect", "all", 0, 1, partial(kill_its_process, notes, "deadly"))
