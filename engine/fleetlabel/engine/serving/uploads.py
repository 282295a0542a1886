"""Drives that clients streamed: rig folders of the engine's own, kept until they are ingested."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from fleetlabel.store import durable

_ARRIVING = ".arriving-"


class Uploads:
    """The uploads of an engine. Threads may share it.

    Attributes:
        folder: the engine's own, in which every upload is a folder.
    """

    def __init__(self, folder: Path) -> None:
        """Makes the folder, and deletes what had not arrived when an engine was killed."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.remove_pending(folder)
        for left in folder.glob(f"{_ARRIVING}*"):
            shutil.rmtree(left)
        self.folder = folder
        self._arriving: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self, name: str) -> Path:
        """A folder for what comes, until :meth:`end`."""
        with self._lock:
            self._arriving[name] += 1
        folder = self.folder / f"{_ARRIVING}{uuid.uuid4().hex}"
        folder.mkdir()
        return folder

    def keep(self, name: str, folder: Path) -> None:
        """Makes what came the upload of that name; it is on the disk then. One that is there already stays.

        Raises:
            StoreWriteError: the file system refuses.
        """
        target = self.folder / name
        with durable.committed_folder(target, admit=lambda: not target.exists()) as pending:
            for entry in folder.iterdir():
                entry.rename(pending / entry.name)

    def end(self, name: str, folder: Path) -> None:
        """Deletes what came and was not kept. From now on an upload stays only if an operation is to ingest it."""
        shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            self._arriving[name] -= 1
            if not self._arriving[name]:
                del self._arriving[name]

    def forget_all_but(self, names: Collection[str]) -> None:
        """Deletes uploads that are neither arriving nor named: those that have been ingested, or never will be."""
        with self._lock:
            for path in self.folder.iterdir():
                wanted = path.name in names or path.name in self._arriving
                if not wanted and not path.name.startswith("."):
                    shutil.rmtree(path, ignore_errors=True)
