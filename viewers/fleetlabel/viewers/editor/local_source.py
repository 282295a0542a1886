"""A store on this machine as the app's source."""

from __future__ import annotations

from collections.abc import Sequence

from fleetlabel.labels import Commit, Edit, Item, Labels, Leases, Queue, next_items
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor.labels_source import LabelsSource
from fleetlabel.viewers.editor.source import News, Standing
from fleetlabel.viewers.sensors import SensorFrames


class LocalSource(LabelsSource):
    """A store on this machine; see :class:`~fleetlabel.viewers.editor.source.Source`."""

    has_news = False
    standing = Standing()

    def __init__(self, store: SequenceStore, author: str, base: str | None = None) -> None:
        super().__init__(Labels.open(store, base), author)
        self.store = store
        self.info = store.info
        self.sensors = SensorFrames(store)
        self._queue: Queue | None = None
        self._leases = Leases(store)

    # --- editing ----------------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        """An id for an object that an edit makes."""
        return self.labels.new_id()

    def commit(self, edits: Sequence[Edit], *, active_ms: int, request_id: str) -> Commit:
        """Saves edits to the store's journal, which is on the disk when this returns."""
        return self.labels.commit(edits, author=self.author, active_ms=active_ms, request_id=request_id)

    def give_up(self, request_id: str) -> None:
        """Nothing is kept of edits that were refused."""

    def undo(self) -> Commit | None:
        """Takes back the author's last edits; None if there are none."""
        return self.labels.undo(self.author)

    def redo(self) -> Commit | None:
        """Does again what undo took back; None if there is nothing."""
        return self.labels.redo(self.author)

    def refresh(self) -> News:
        """Takes up what others have saved."""
        records = self.labels.refresh()
        return News({object_id: record.author for record in records for object_id in record.objects})

    # --- working together -------------------------------------------------------------------------------------------

    def build_queue(self) -> None:
        """Ranks everything."""
        queue = Queue(self.labels)
        queue.items(1)
        self._queue = queue

    @property
    def queue_ready(self) -> bool:
        """Whether everything is ranked."""
        return self._queue is not None

    def next_item(self) -> Item | None:
        """Where a look is worth most, leased to the author."""
        if self._queue is None:
            return None
        found = next_items([self._queue], self.author, 1)
        return found[0] if found else None

    def others(self) -> tuple[str, ...]:
        """Who else is at work here: holds a lease, or saved something in the last minutes."""
        names = {lease.person for lease in self._leases.held()} | self.recent_authors()
        return tuple(sorted(names - {self.author}))

    def close(self) -> None:
        """There are no threads."""
