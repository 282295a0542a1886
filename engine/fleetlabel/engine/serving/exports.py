"""Exports that clients fetch: made by an operation, kept for some days in a folder of the engine's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from fleetlabel.engine.exchange import StoredLabels, export_labels, writable_format
from fleetlabel.engine.serving.requests import check_words, text
from fleetlabel.engine.serving.roots import DataRoots
from fleetlabel.engine.serving.work import Report
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import SequenceStore

_FILES, _PLACE = "files", "sequence"
_BLOCK_BYTES = 1 << 20


class Exports:
    """The exports of an engine; also the work of the operations that make them.

    Request: ``store``, ``format``, ``labels``. Result: ``version``, ``files`` (``path``, ``size_bytes``, ``sha256``),
    ``notes``.
    """

    def __init__(self, roots: DataRoots, folder: Path, kept_s: float) -> None:
        """Makes the folder.

        Args:
            folder: the engine's own.
            kept_s: how long exports are kept at least.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._roots = roots
        self._folder = folder
        self._kept_s = kept_s

    def check(self, request: Mapping[str, Any]) -> None:
        """See :class:`Work`."""
        check_words(request, "store", "format", optional=("labels",))
        writable_format(text(request, "format"))
        self._version(request)

    def place(self, request: Mapping[str, Any]) -> str:
        """See :class:`Work`."""
        return str(self._roots.store(text(request, "store")))

    def run(self, request: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        """See :class:`Work`."""
        self.forget_old()
        store, version = self._version(request)
        folder = self._folder / report.operation_id
        shutil.rmtree(folder, ignore_errors=True)  # of an engine that was killed
        (folder / _FILES).mkdir(parents=True)
        (folder / _PLACE).write_text(str(store.root))
        labels, out = _ToldLabels(store, version, report), folder / _FILES
        told = export_labels(labels, writable_format(text(request, "format")), out, version).report
        lost = [
            f"{loss['column']} of {loss['boxes']:,} boxes ({loss['of']}): {loss['how']}"
            for loss in told["lost"]
        ]
        return {
            "version": version,
            "files": list(_listed(out)),
            "notes": [*told["notes"], *lost],
        }

    def open_file(self, operation_id: str, path: str) -> BinaryIO:
        """One of the files that an export's result lists.

        Raises:
            StoreNotFoundError: it is not kept any more.
        """
        try:
            return (self._folder / operation_id / _FILES / path).open("rb")
        except OSError as error:
            raise StoreNotFoundError(
                f"{path} of export {operation_id} is not kept any more; export anew"
            ) from error

    def forget_old(self) -> None:
        """Deletes exports that have been kept long enough."""
        for folder in self._folder.iterdir():
            if time.time() - folder.stat().st_mtime > self._kept_s:
                shutil.rmtree(folder, ignore_errors=True)

    def forget_sequence(self, store: Path) -> None:
        """Deletes all exports of a sequence's labels."""
        for folder in self._folder.iterdir():
            if (folder / _PLACE).read_text() == str(store):
                shutil.rmtree(folder)

    def _version(self, request: Mapping[str, Any]) -> tuple[SequenceStore, str]:
        store = SequenceStore.open(self._roots.store(text(request, "store")))
        version = text(request, "labels", optional=True)
        found = store.latest_labels() if version is None else store.labels(version)
        return store, found.name


class _ToldLabels(StoredLabels):
    """Labels that ask before each block whether the operation is to end."""

    def __init__(self, store: SequenceStore, version: str, report: Report) -> None:
        super().__init__(store, version)
        self._report = report

    def pictures(self, camera: str, start: int, stop: int) -> Boxes2D:
        """See the base class."""
        self._report.check()
        return super().pictures(camera, start, stop)

    def cuboids(self, start: int, stop: int) -> Boxes3D:
        """See the base class."""
        self._report.check()
        return super().cuboids(start, stop)


def _listed(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
            size = os.fstat(file.fileno()).st_size
        yield {"path": path.relative_to(folder).as_posix(), "size_bytes": size, "sha256": digest.hexdigest()}
