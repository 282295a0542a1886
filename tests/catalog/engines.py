"""Engines without a wire, for processes of their own."""

from __future__ import annotations

import signal
from multiprocessing.connection import Connection
from pathlib import Path

from fleetlabel.engine.catalog import Catalog, Role
from fleetlabel.engine.serving import DataRoots, Operations, pipeline_work


def open_and_close(url: str) -> str:
    """Opens a catalog, writes to it, and says what."""
    with Catalog(url) as catalog:
        return catalog.tokens.create("ann", Role.VIEWER)[0].id


def run_until_killed(url: str, root: Path, pipe: Connection) -> None:
    """An engine that resumes what there is; starts what it is sent, and tells the id and each change."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (
        Catalog(url) as catalog,
        Operations(catalog, pipeline_work(DataRoots([root]), workers=1)) as operations,
    ):
        pipe.send("ready")
        kind, request = pipe.recv()
        operation = operations.start("ann", kind, request, request_id="once")
        for change in operations.watch(operation.id):
            pipe.send(change)
        pipe.recv()  # it ends when it is told to
