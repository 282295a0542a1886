"""Engines that are killed under people who edit: every acknowledged edit is there, none is there twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from client.annotators import Annotator, check_journal
from client.processes import serve_until_killed
from fleetlabel.client import Engine
from fleetlabel.engine.catalog import Catalog, Role
from fleetlabel.store import SequenceStore, verify
from labels.scenes import open_labels

# `make soak` sets it to 200.
KILLS = int(os.environ.get("FLEETLABEL_SOAK_KILLS", "10"))
_CLIENTS = 16


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_killed_engine_loses_and_repeats_nothing(
    catalog_url: str, store: SequenceStore, tmp_path: Path
) -> None:
    people = [Annotator(f"person{number}", number) for number in range(_CLIENTS)]
    with Catalog(catalog_url) as catalog:
        tokens = {p.name: catalog.tokens.create(p.name, Role.ANNOTATOR)[1] for p in people}
    engine = _Process(tmp_path, catalog_url)
    ended = threading.Event()
    faults: list[BaseException] = []

    def work(person: Annotator) -> None:
        try:
            with Engine(f"127.0.0.1:{engine.port}", token=tokens[person.name], patience_s=2.0) as client:
                person.work(client, lambda: not ended.is_set())
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    rng = random.Random(7)
    try:
        for _ in range(KILLS):
            before = _saved(people)
            while (
                _saved(people) < before + rng.randrange(1, 120) and not faults
            ):  # somewhere in the middle of the work
                ended.wait(0.001)
            engine.kill()
            engine.begin()
        before = _saved(people)
        while _saved(people) < before + _CLIENTS and not faults:
            ended.wait(0.01)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        engine.kill()
    assert not faults, faults[0]
    assert verify(SequenceStore.open(store.root)) == []
    check_journal(open_labels(store.root), people)
    with Catalog(catalog_url) as catalog:
        for person in people:
            assert catalog.tokens.authenticate(tokens[person.name]).name == person.name


class _Process:
    """An engine in a process of its own, always on the same port."""

    def __init__(self, folder: Path, catalog: str) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["client.processes"])
        self._folder, self._catalog = folder, catalog
        self.port = 0
        self.begin()

    def begin(self) -> None:
        """Serves again."""
        mine, theirs = self._context.Pipe()
        self._process: BaseProcess = self._context.Process(
            target=serve_until_killed, args=(self._folder, self._catalog, self.port, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self.port = _port(mine)

    def kill(self) -> None:
        """Kills it, in the middle of whatever it does."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()


def _port(pipe: Connection) -> int:
    port: int = pipe.recv()
    return port


def _saved(people: list[Annotator]) -> int:
    return sum(len(person.saved) for person in people)
