"""Processes that stay: each loads what it needs, tells, waits for the others, and works off a common list."""

from __future__ import annotations

import multiprocessing
import time
from collections import defaultdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.choice import CHOICES
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.detecting import settle_detector
from fleetlabel.engine.steps import recording
from gpu_drives import ingest_drive

DECODE_S = 1.5
DECODE_BATCH = 32


class Crew:
    """Processes beside this one.

    Args:
        n: how many.
        pictures: of the cameras, for a small drive each.
        folder: for those.
    """

    def __init__(self, n: int, pictures: dict[str, list[Path]], folder: Path) -> None:
        self._connections: list[Connection] = []
        self._todo: Any = multiprocessing.Queue()
        self._processes = []
        for number in range(n):
            mine, theirs = multiprocessing.Pipe()
            self._connections.append(mine)
            arguments = (theirs, self._todo, pictures, folder / f"warm_{number}")
            self._processes.append(multiprocessing.Process(target=_work, args=arguments, daemon=True))
            self._processes[-1].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.send(None)
        for process in self._processes:
            process.join()

    def label(self, processes: int, threads: int, stores: list[Path], config: RunConfig) -> dict[str, Any]:
        """Labels drives: wall time from the first start to the last end, and core time per step."""
        for store in [*stores, *[None] * processes]:
            self._todo.put(store)
        answers = self._together(processes, ("label", config.model_copy(update={"workers": threads})))
        core_s: defaultdict[str, float] = defaultdict(float)
        for answer in answers:
            for name, seconds in answer["core_s"].items():
                core_s[name] += seconds
        return {
            "wall_s": max(a["ended"] for a in answers) - min(a["started"] for a in answers),
            "drives_per_process": [a["drives"] for a in answers],
            "core_s": dict(core_s),
        }

    def decode(self, files: list[bytes]) -> dict[str, float]:
        """JPEGs per second that several processes decode on the GPU together."""
        rates = {}
        for processes in (4, 8):
            if processes <= len(self._connections):
                answers = self._together(processes, ("decode", files))
                rates[str(processes)] = sum(a["decoded"] for a in answers) / DECODE_S
        return rates

    def _together(self, processes: int, what: tuple[str, Any]) -> list[dict[str, Any]]:
        """Answers of some processes, which start when all of them are ready."""
        some = self._connections[:processes]
        for connection in some:
            connection.send(what)
        for connection in some:
            connection.recv()
        for connection in some:
            connection.send("go")
        answers = [connection.recv() for connection in some]
        for answer in answers:
            if "failed" in answer:
                raise SystemExit(answer["failed"])
        return answers


def _work(connection: Connection, todo: Any, pictures: dict[str, list[Path]], warm: Path) -> None:
    warm_store = ingest_drive(dict(list(pictures.items())[:1]), 64, warm)
    while (what := connection.recv()) is not None:
        name, argument = what
        try:
            work = _labelling(argument, todo, warm_store) if name == "label" else _decoding(argument)
            next(work)
            connection.send("ready")
            connection.recv()
            connection.send(next(work))
        except Exception as error:  # whatever it is, the one who asked must not wait for ever
            connection.send({"failed": repr(error)})


def _labelling(config: RunConfig, todo: Any, warm_store: Path) -> Any:
    assert config.model is not None
    # Once for all drives, as a fleet does it.
    settled = settle_detector(warm_store / CHOICES, config.model, config.detect)
    pipeline.label(warm_store, config, settled=settled)
    yield
    started, drives = time.time(), 0
    with recording() as steps:
        core = time.process_time()
        while (store := todo.get()) is not None:
            pipeline.label(store, config, settled=settled)
            drives += 1
    core_s: defaultdict[str, float] = defaultdict(float)
    for one in steps:
        core_s[one.name] += one.core_s
    core_s["all"] = time.process_time() - core
    yield {"started": started, "ended": time.time(), "drives": drives, "core_s": dict(core_s)}


def _decoding(files: list[bytes]) -> Any:
    import torch

    from fleetlabel.engine.detect.device_pictures import PictureLoader

    loader = PictureLoader(torch.device("cuda"), nvjpeg=True)
    batch = (files * (1 + DECODE_BATCH // len(files)))[:DECODE_BATCH]
    for _ in range(3):
        loader.load(batch, [1] * len(batch))
    yield
    decoded, end = 0, time.time() + DECODE_S
    while time.time() < end:
        loader.load(batch, [1] * len(batch))
        decoded += len(batch)
    yield {"decoded": decoded}
