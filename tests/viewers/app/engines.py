"""An engine that serves towns, and is killed and begun again on the same port; apps that people have open on it."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from fleetlabel.client import Engine
from fleetlabel.labels import Labels
from fleetlabel.labels import edits as e
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor.editor import Editor
from fleetlabel.viewers.editor.keys import KeyTable
from fleetlabel.viewers.remote.source import RemoteSource
from rpc.processes import new_token, serve_process
from viewers.app.mistakes import MIDDLE, TRACK

_LONG_S = 60.0


class Stand:
    """An engine of its own, in a process.

    Attributes:
        address: that it always has.
        data: its root.
    """

    def __init__(self, folder: Path, town: Path) -> None:
        self._folder, self._town = folder, town
        self.data = folder / "data"
        self.data.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"127.0.0.1:{self.port}"
        self._tokens: dict[str, str] = {}
        self._running = ExitStack()
        self._count = 0
        self.begin()

    def begin(self) -> None:
        """Starts it, if it is not running."""
        if not self.is_running:
            options = ("--port", str(self.port))
            self._process = self._running.enter_context(serve_process(self._folder, self.data, *options))

    @property
    def is_running(self) -> bool:
        return hasattr(self, "_process") and self._process.process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.process.kill()
        self._running.close()

    def close(self) -> None:
        self._running.close()

    def new_town(self) -> str:
        """A fresh sequence, full of mistakes."""
        self._count += 1
        name = f"town-{self._count}.zarr"
        shutil.copytree(self._town, self.data / name)
        return name

    def token(self, person: str) -> str:
        """Lets an annotator in."""
        if person not in self._tokens:
            self._tokens[person] = new_token(self._folder, person, "annotator")
        return self._tokens[person]

    def connect(self, person: str, timeout_s: float, patience_s: float) -> Engine:
        """A connection of theirs."""
        return Engine(self.address, token=self.token(person), timeout_s=timeout_s, patience_s=patience_s)


class Town:
    """One sequence of the engine's, and apps that people have open on it.

    Attributes:
        name: of the sequence.
        folder: each person's state is in one of their own below it.
    """

    def __init__(self, stand: Stand, folder: Path) -> None:
        self.stand, self.name, self.folder = stand, stand.new_town(), folder
        self._editors: list[Editor] = []

    def open(self, person: str = "ann") -> Editor:
        """Somebody's app, without its window, in the middle of the sequence."""

        def connect(timeout_s: float, patience_s: float) -> Engine:
            return self.stand.connect(person, timeout_s, patience_s)

        editor = Editor(RemoteSource(connect, self.name, self.folder / person), KeyTable())
        editor.go(MIDDLE)
        self._editors.append(editor)
        return editor

    def close(self, editor: Editor) -> None:
        """Closes an app."""
        self._editors.remove(editor)
        editor.close()

    def close_all(self) -> None:
        for editor in list(self._editors):
            self.close(editor)

    @property
    def labels(self) -> Labels:
        """What is on the engine's disk."""
        return Labels.open(SequenceStore.open(self.stand.data / self.name))

    def done(self) -> list[tuple[str, list[str]]]:
        """Who did what, by the engine's disk; nothing is there twice."""
        records = self.labels.history.records
        assert len({record.request_id for record in records}) == len(records)
        return [(record.author, [edit.kind for edit in record.edits]) for record in records]


def edit_and_wait(address: str, token: str, name: str, folder: str) -> None:
    """An app in a process of its own: two edits once it is told to, then nothing for ever."""

    def connect(timeout_s: float, patience_s: float) -> Engine:
        return Engine(address, token=token, timeout_s=timeout_s, patience_s=patience_s)

    source = RemoteSource(connect, name, Path(folder))
    print("open", flush=True)
    sys.stdin.readline()
    object_id = source.new_id()
    new = (
        e.CreateObject(object_id=object_id, class_name="car"),
        e.SetKeyframe3D(
            object_id=object_id, frame=3, center_m=(1.0, 2.0, 0.8), yaw_rad=0.0, size_lwh_m=(4, 2, 1.5)
        ),
    )
    standing = e.SetStationary(object_id=TRACK["drifting"], stationary=True)
    source.commit(new, active_ms=5, request_id="first")
    source.commit([standing], active_ms=5, request_id="second")
    print("saved", flush=True)
    sys.stdin.readline()


def tick_until(editor: Editor, holds: Callable[[], bool]) -> None:
    """Lets time go on in an app until something holds."""
    end_s = time.monotonic() + _LONG_S
    while True:
        editor.tick(time.monotonic())
        assert editor.last_fault is None, editor.last_fault
        if holds():
            return
        assert time.monotonic() < end_s, (editor.session.message, editor.source.standing)
        time.sleep(0.01)


def all_sent(editor: Editor) -> bool:
    """Whether the engine has everything, and the app knows it."""
    return (
        editor.source.standing.unsent == 0 and not editor.source.standing.away and not editor.source.has_news
    )
