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

from fleetlabel.engine.catalog import Catalog
from fleetlabel.engine.rpc.settings import ServeSettings
from fleetlabel.engine.serving import DataRoots, Operations, pipeline_work
from fleetlabel.store import SequenceStore
from fleetlabel.store.groups import DOCUMENT
from fleetlabel.store.object_path import ObjectPath

T = TypeVar("T")

_OPEN_STORES = 256


class ServedEngine:
    """An engine with everything but the wire; a context that runs its operations.

    Attributes:
        settings: what it was told.
        catalog: operations and tokens.
        roots: what clients may touch.
        operations: long work.
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
        self.operations = Operations(
            self.catalog,
            pipeline_work(self.roots, workers=settings.workers, cluster=settings.cluster),
            workers=settings.operations,
            most_open=settings.max_operations,
        )
        self._threads = ThreadPoolExecutor(settings.threads, "fleetlabel-call")
        # Who somebody is can be said while all the others are busy reading.
        self._quick_threads = ThreadPoolExecutor(2, "fleetlabel-access")
        self._stores: OrderedDict[Path, tuple[tuple[int, int, int], SequenceStore]] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> ServedEngine:
        try:
            self._stack.enter_context(self.operations)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._quick_threads.shutdown(wait=False, cancel_futures=True)
        self._stack.close()

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
        with self._lock:
            known = self._stores.get(path)
            if known is not None and known[0] == state:
                self._stores.move_to_end(path)
                return known[1]
        opened = SequenceStore.open(path)
        with self._lock:
            self._stores[path] = (state, opened)
            while len(self._stores) > _OPEN_STORES:
                self._stores.popitem(last=False)
        return opened

    def sequence_id(self, path: Path) -> str:
        """The name that clients know a sequence by."""
        return self.roots.name_of(path)

    async def _on(self, threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(function))
