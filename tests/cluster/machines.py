"""Scheduler, workers and driver as processes of their own, which start at once and which tests may kill.

They are forked from a server that has the imports. What workers do is noted in a file, one line per task begun and
one per task done, so that tests can count what was done twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import logging
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

from fleetlabel.engine.cluster import connect
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.pipeline import tasks, warm_detectors
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


class SmallCluster:
    """A scheduler and workers of one thread, each a process; a context that kills them all.

    Args:
        folder: for each worker's notes, in ``<name>/notes``.
        host: address of the scheduler.
        namespace: network namespace that it is in.
        settings: of Dask, for all of them.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        namespace: str | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self._folder = folder
        self._place = (host, free_port(), namespace, settings or {})
        self.address = f"tcp://{host}:{self._place[1]}"
        self.scheduler = begin(serve_scheduler, *self._place)
        self.workers: dict[str, ForkServerProcess] = {}

    def __enter__(self) -> SmallCluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.join()

    def add_worker(
        self, name: str, *, host: str | None = None, namespace: str | None = None, **options: Any
    ) -> ForkServerProcess:
        """Starts a worker, or starts it again."""
        (self._folder / name).mkdir(exist_ok=True)
        place = (self.address, self._folder / name, host, namespace, self._place[3], options)
        self.workers[name] = begin(serve_worker, *place)
        return self.workers[name]

    def restart_scheduler(self) -> None:
        """Starts a scheduler that was killed, at the same address."""
        self.scheduler = begin(serve_scheduler, *self._place)

    def noted_bytes(self, name: str) -> int:
        """How much a worker noted."""
        file = self._folder / name / "notes"
        return file.stat().st_size if file.exists() else 0

    def notes(self, name: str) -> list[list[str]]:
        """What a worker noted: begun or done, name of the work, its key, frames."""
        file = self._folder / name / "notes"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def serve_scheduler(host: str, port: int, namespace: str | None, settings: dict[str, Any]) -> None:
    """A scheduler, until it is killed."""
    _prepare(namespace, settings)
    from distributed import Scheduler

    async def serve() -> None:
        async with Scheduler(host=host, port=port, dashboard_address=":0") as scheduler:
            await scheduler.finished()

    asyncio.run(serve())


def serve_worker(
    scheduler: str,
    scratch: Path,
    host: str | None,
    namespace: str | None,
    settings: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """A worker, until it is killed or its scheduler is gone; notes what it does."""
    _prepare(namespace, settings)
    tasks.perform = partial(_noted, scratch / "notes", tasks.perform)
    warm_detectors.Detector = partial(_noted_loading, scratch / "notes", warm_detectors.Detector)
    from distributed import Worker

    async def serve() -> None:
        async with Worker(
            scheduler,
            host=host,
            nthreads=1,
            memory_limit=0,
            local_directory=str(scratch),
            death_timeout=20,
            **options,
        ) as worker:
            await worker.finished()

    asyncio.run(serve())


def drive_fleet(source: Path, settings: dict[str, Any], log: Path) -> None:
    """A driver; how it ended is its exit code, and what it complained of is in the log."""
    _prepare(None, {})
    sys.modules[connect.__module__].REFUSED_S = 60.0  # type: ignore[attr-defined]  # a busy machine starts slowly
    try:
        run_fleet([source], load_config(None, settings))
    except FleetLabelError as error:
        log.write_text(str(error))
        sys.exit(LOST if isinstance(error, ClusterError) else COMPLAINED)


def redone(notes: list[list[str]]) -> tuple[int, int]:
    """Tasks that had to be done, and how often one was begun again that was not found done at once.

    Planning is left out: it is done at each start.
    """
    begun: Counter[str] = Counter()
    found_done: Counter[str] = Counter()
    for what, name, key, frames in notes:
        if name not in _PLANNING:
            begun[key] += what == "begun"
            found_done[key] += what == "done" and frames == "0"
    return len(begun), sum(max(0, count - found_done[key] - 1) for key, count in begun.items())


def wait_until(reached: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Waits for something."""
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until, f"{what} takes longer than {seconds:g} s"
        time.sleep(0.05)


def _noted(
    notes: Path, perform: Callable[..., TaskResult | Fault], work: Any, attempt: int = 1
) -> TaskResult | Fault:
    name = work.func.__name__
    key = hashlib.sha256(pickle.dumps(work)).hexdigest()[:16]
    _note(notes, f"begun {name} {key} -")
    result = perform(work, attempt)
    _note(notes, f"done {name} {key} {result.frames if isinstance(result, TaskResult) else -1}")
    return result


def _noted_loading(notes: Path, load: Callable[..., Any], *arguments: Any) -> Any:
    _note(notes, "loaded weights - -")
    return load(*arguments)


def _note(notes: Path, line: str) -> None:
    handle = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def _prepare(namespace: str | None, settings: dict[str, Any]) -> None:
    """Sets Dask up, enters a network namespace, and does not wait for disks unless that is asked for."""
    import dask

    dask.config.set({"logging": {"distributed": "critical"}, **settings})
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if os.environ.get("FLEETLABEL_SYNC") != "1":
        os.fsync = lambda handle: None  # type: ignore[assignment]
    if namespace is None:
        return
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns {namespace}")
    os.close(handle)
