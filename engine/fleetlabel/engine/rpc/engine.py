"""What the services share: catalog, data roots, operations, opened sequences, and threads for what takes time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from fleetlabel.engine.catalog import Catalog, State
from fleetlabel.engine.fleet.indexing import Entry, entry_of, fingerprint
from fleetlabel.engine.rpc.settings import ServeSettings
from fleetlabel.engine.serving import DataRoots, Exports, Operations, Uploads, pipeline_work
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import CameraReader, SequenceStore, resident
from fleetlabel.store.groups import DOCUMENT
from fleetlabel.store.object_path import ObjectPath

K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")

_KEPT = 256
_DAY_S = 86_400.0


class ServedEngine:
    """An engine with everything but the wire; a context that runs its operations.

    Attributes:
        settings: what it was told.
        catalog: operations and tokens.
        roots: what clients may touch.
        operations: long work.
        uploads, exports: what clients sent, and what they may fetch.
        stopping: set once the engine is being stopped; who watches something ends then.
    """

    def __init__(self, settings: ServeSettings) -> None:
        """Opens the catalog.

        Raises:
            UsageError: a data root is no folder, or the catalog's URL is none.
            CatalogError: the catalog cannot be used.
        """
        self.settings = settings
        self.roots = DataRoots(settings.data)
        self.stopping = asyncio.Event()
        self._stack = ExitStack()
        self.catalog = self._stack.enter_context(Catalog(settings.catalog))
        self.uploads = Uploads(settings.scratch / "uploads")
        self.exports = Exports(self.roots, settings.scratch / "exports", settings.export_days * _DAY_S)
        kinds = pipeline_work(
            self.roots, uploads=self.uploads.folder, workers=settings.workers, cluster=settings.cluster
        )
        self.operations = Operations(
            self.catalog,
            {**kinds, "export": self.exports},
            workers=settings.operations,
            most_open=settings.max_operations,
        )
        self._threads = ThreadPoolExecutor(settings.threads, "fleetlabel-call")
        # Who somebody is can be said while all the others are busy reading.
        self._quick_threads = ThreadPoolExecutor(2, "fleetlabel-access")
        self._stores: OrderedDict[Path, tuple[tuple[int, int, int], SequenceStore]] = OrderedDict()
        self._entries: OrderedDict[Path, tuple[str, Entry]] = OrderedDict()
        self._cameras: OrderedDict[tuple[Path, str], tuple[object, CameraReader]] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> ServedEngine:
        try:
            self.operations.__enter__()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._quick_threads.shutdown(wait=False, cancel_futures=True)
        if self.stop_operations(0.0):
            self._stack.close()

    def stop_operations(self, timeout_s: float) -> bool:
        """Starts no more tasks and lets running ones end; blocks.

        Returns:
            False if one did not end in time. Then threads are at work that only the end of the process ends.
        """
        return self.operations.close(timeout_s)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """What a function that takes time returns, from a thread of the pool; the event loop goes on meanwhile."""
        return await self._on(self._threads, function)

    async def in_quick_thread(self, function: Callable[[], T]) -> T:
        """Likewise of what takes about a millisecond, and must not wait for those who read stores."""
        return await self._on(self._quick_threads, function)

    def store(self, sequence_id: str) -> SequenceStore:
        """A sequence by the name that clients know; blocks.

        Raises:
            OutsideRootsError: it is elsewhere, or no name.
            StoreNotFoundError: there is none, or it was deleted.
        """
        path = self.roots.store(sequence_id)
        if isinstance(path, ObjectPath):
            return SequenceStore.open(path)
        document = (path / DOCUMENT).stat()
        state = (document.st_ino, document.st_mtime_ns, document.st_size)
        return self._kept(self._stores, path, state, lambda: SequenceStore.open(path))

    def camera(self, store: SequenceStore, name: str) -> CameraReader:
        """A reader of a camera's pictures, with what others have opened of it; blocks."""
        reader = store.camera(name)
        if isinstance(store.root, ObjectPath):
            return reader
        state = tuple(folder.stat().st_ino for folder in reader.part_folders())
        return self._kept(self._cameras, (store.root, name), state, lambda: reader)

    def entry(self, path: Path) -> Entry:
        """What the list of sequences says of a store as it is now; blocks."""
        return self._kept(self._entries, path, fingerprint(path), lambda: entry_of(path))

    def place(self, sequence_id: str) -> Path:
        """Where a sequence is, or would be if there were one; blocks.

        Raises:
            OutsideRootsError: it is elsewhere, or no name.
            UsageError: it is no name of a store.
        """
        try:
            return self.roots.store(sequence_id)
        except StoreNotFoundError:
            return self.roots.new_store(sequence_id)

    def sequence_id(self, path: Path) -> str:
        """The name that clients know a sequence by."""
        return self.roots.name_of(path)

    def in_clients_words(self, text: str) -> str:
        """A text, of an error say, without the names of the engine's own folders."""
        return self.roots.in_clients_words(text.replace(f"{self.settings.scratch}/", ""))

    def tidy(self) -> None:
        """Deletes uploads that have been ingested, or never will be, and exports that were kept long enough.

        Files of pictures that were deleted are let go of, too.
        """
        resident.let_go()
        wanted, token = set(), ""
        while True:
            page = self.operations.list(
                kinds=("upload",), states=(State.QUEUED, State.RUNNING), page_size=1000, page_token=token
            )
            wanted |= {str(one.request["source"]).partition("/")[0] for one in page.operations}
            token = page.next_page_token
            if not token:
                break
        self.uploads.forget_all_but(wanted)
        self.exports.forget_old()

    def _kept(self, kept: OrderedDict[K, tuple[S, T]], key: K, state: S, make: Callable[[], T]) -> T:
        """What was made of something in its state, once; what was not asked for in a long time is made anew."""
        with self._lock:
            known = kept.get(key)
            if known is not None and known[0] == state:
                kept.move_to_end(key)
                return known[1]
        made = make()
        with self._lock:
            kept[key] = (state, made)
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        return made

    async def _on(self, threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(function))
