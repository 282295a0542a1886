"""Scheduler, workers and driver as processes of their own, which start at once and which tests may kill.

They are forked from a server that has the imports. What workers do is noted in a file, one line per task begun and
one per task done, so that tests can count what was done twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import multiprocessing
import os
import pickle
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.pipeline import tasks
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.engine.pipeline.faults import Fault
from fleetlabel.engine.pipeline.tasks import TaskResult
from fleetlabel.model.errors import ClusterError, FleetLabelError

DONE, LOST, COMPLAINED = 0, 75, 76
_PRELOADED = [
    "distributed",
    "fleetlabel.engine.cluster",
    "fleetlabel.engine.fleet.run",
    "fleetlabel.engine.ingest",
    "fleetlabel.engine.pipeline.labelling",
]
_PLANNING = ("_open", "_plan", "_close")
_CLONE_NEWNET = 0x40000000


def begin(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Starts a process that calls a function of this module."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def serve_scheduler(host: str, port: int, file: Path | None = None, namespace: str | None = None) -> None:
    """A scheduler, until it is killed; its address goes to a file."""
    _enter(namespace)
    from distributed import Scheduler

    async def serve() -> None:
        scheduler_file = None if file is None else str(file)
        async with Scheduler(
            host=host, port=port, dashboard=False, scheduler_file=scheduler_file
        ) as scheduler:
            await scheduler.finished()

    asyncio.run(serve())


def serve_worker(
    scheduler: str, scratch: Path, host: str | None = None, namespace: str | None = None, **options: Any
) -> None:
    """A worker of one thread, until it is killed or its scheduler is gone; notes what it does."""
    _enter(namespace)
    tasks.perform = partial(_noted, scratch / "notes", tasks.perform)
    from distributed import Worker

    async def serve() -> None:
        async with Worker(
            scheduler,
            host=host,
            nthreads=1,
            memory_limit=0,
            dashboard=False,
            local_directory=str(scratch),
            death_timeout=20,
            **options,
        ) as worker:
            await worker.finished()

    asyncio.run(serve())


def drive_fleet(source: Path, settings: dict[str, Any], log: Path, namespace: str | None = None) -> None:
    """A driver; how it ended is its exit code, and what it complained of is in the log."""
    _enter(namespace)
    try:
        run_fleet([source], load_config(None, settings))
    except FleetLabelError as error:
        log.write_text(str(error))
        sys.exit(LOST if isinstance(error, ClusterError) else COMPLAINED)


def redone(notes: Path) -> tuple[int, int]:
    """Tasks that had to be done, and how many times one of them was begun again without need having been met before.

    Planning is left out: it is done again at each start. So is what was found done: it took no time.
    """
    begun: Counter[str] = Counter()
    idle: Counter[str] = Counter()
    for line in notes.read_text().splitlines():
        what, name, key, frames = line.split()
        if name in _PLANNING:
            continue
        if what == "begun":
            begun[key] += 1
        elif frames == "0":
            idle[key] += 1
    return len(begun), sum(count - max(idle[key], 0) - 1 for key, count in begun.items() if count > 1)


def lines_of(notes: Path) -> int:
    """How much was noted."""
    return notes.read_bytes().count(b"\n") if notes.exists() else 0


def wait_until(reached: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Waits for something."""
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until, f"{what} takes longer than {seconds:g} s"
        time.sleep(0.005)


def _noted(
    notes: Path, perform: Callable[..., TaskResult | Fault], work: Any, attempt: int = 1
) -> TaskResult | Fault:
    name = work.func.__name__
    key = hashlib.sha256(pickle.dumps(work)).hexdigest()[:16]
    _note(notes, f"begun {name} {key} -")
    result = perform(work, attempt)
    _note(notes, f"done {name} {key} {result.frames if isinstance(result, TaskResult) else -1}")
    return result


def _note(notes: Path, line: str) -> None:
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def _enter(namespace: str | None) -> None:
    """Moves this process to a network namespace; without waiting for disks unless that is asked for."""
    if os.environ.get("FLEETLABEL_SYNC") != "1":
        os.fsync = lambda handle: None  # type: ignore[assignment]
    if namespace is None:
        return
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(handle)
