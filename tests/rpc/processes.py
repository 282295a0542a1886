"""``fleetlabel serve`` as a process that may be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from fleetlabel.engine.catalog import Catalog, Role
from rpc.api import Api
from rpc.servers import with_token


@dataclass(slots=True)
class Process:
    """An engine of its own.

    Attributes:
        process: that serves.
        said: where, as it printed it.
        log: file that it writes its log to.
    """

    process: subprocess.Popen[str]
    said: dict[str, Any]
    log: Path

    @contextmanager
    def api(self, token: str) -> Iterator[Api]:
        """Its API."""
        with grpc.insecure_channel(self.said["address"]) as channel:
            yield Api(with_token(channel, token))

    def log_lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def serve_process(folder: Path, root: Path, *options: str) -> Iterator[Process]:
    """``fleetlabel serve`` on a free port, with one worker; its catalog and scratch are below ``folder``."""
    log = folder / "engine.log"
    command = [
        sys.executable, "-m", "fleetlabel.engine.cli", "serve", "--data", str(root), "--catalog",
        str(folder / "catalog.sqlite"), "--scratch", str(folder / "scratch"), "--port", "0", "--workers", "1", "--json",
        *options,
    ]  # fmt: skip
    with (
        log.open("w") as stream,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, log.read_text()
            yield Process(process, json.loads(line), log)
        finally:
            process.kill()


def new_token(folder: Path, person: str, role: str) -> str:
    """A token of the catalog below ``folder``, made beside the engine."""
    with Catalog(str(folder / "catalog.sqlite")) as catalog:
        return catalog.tokens.create(person, Role(role))[1]
