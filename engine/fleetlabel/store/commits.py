"""How a table's parts become committed: by the rename of a folder, or, on object storage, by an entry in an index.

On object storage a part's arrays are uploaded first, to a folder whose name nobody else has. Then the table's index,
``commits.json``, which names the folder of every committed part, is replaced on condition that it is still the version
that was read. So commits of a table have one order, parts can never overlap, and what a writer left that died before
is in no index: nobody sees it.
"""

from __future__ import annotations

import json
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from fleetlabel.model.errors import CorruptStoreError, StoreWriteError
from fleetlabel.store import buckets, durable
from fleetlabel.store.hierarchy import INDEX, is_part, part_name, part_ranges
from fleetlabel.store.object_path import ObjectPath

Range = tuple[int, int]

_LONGEST_UPLOAD_S = 6 * 3600.0
_LEFT_BEHIND = timedelta(hours=24)


class Commits(Protocol):
    """The committed parts of one table."""

    def ranges(self) -> list[Range]:
        """Samples of all committed parts, ascending."""

    def folder(self, part: Range) -> Path:
        """Where a part is, or, if it is not committed, would be."""

    def committing(self, part: Range, admit: Callable[[], bool]) -> AbstractContextManager[Path]:
        """A local scratch folder that becomes the part, whole and durable, when the block ends without an error.

        Args:
            admit: asked last, while no other part can be committed: whether the part is still wanted.
        """

    def clean(self) -> None:
        """Deletes what writers left that died."""


def commits_of(table: Path) -> Commits:
    """Those of the table in a folder."""
    return ObjectCommits(table) if isinstance(table, ObjectPath) else FolderCommits(table)


class FolderCommits:
    """Parts in a local or shared folder: one is committed once its folder has its name."""

    def __init__(self, table: Path) -> None:
        self._table = table

    def ranges(self) -> list[Range]:
        """Samples of all committed parts, ascending."""
        return part_ranges(self._table)

    def folder(self, part: Range) -> Path:
        """Where a part is, or would be."""
        return self._table / part_name(*part)

    def committing(self, part: Range, admit: Callable[[], bool]) -> AbstractContextManager[Path]:
        """A local scratch folder that becomes the part when the block ends without an error."""
        return durable.committed_folder(self.folder(part), admit)

    def clean(self) -> None:
        """Deletes scratch of writers that died."""
        durable.remove_pending(self._table)


class ObjectCommits:
    """Parts on object storage: one is committed once the table's index names its folder."""

    def __init__(self, table: ObjectPath) -> None:
        self._table = table
        self._index = table / INDEX
        self._known: dict[Range, str] = {}

    def ranges(self) -> list[Range]:
        """Samples of all committed parts, ascending."""
        return sorted(self._read()[0])

    def folder(self, part: Range) -> Path:
        """Where a part is, or would be."""
        if part not in self._known:
            self._read()
        return self._table / self._known.get(part, part_name(*part))

    @contextmanager
    def committing(self, part: Range, admit: Callable[[], bool]) -> Iterator[Path]:
        """A local scratch folder that becomes the part when the block ends without an error."""
        """A local scratch folder that becomes the part when the block ends without an error."""
        began_s = time.monotonic()
        folder = self._table / f"{part_name(*part)}-{secrets.token_hex(6)}"
        committed = False
        with tempfile.TemporaryDirectory(prefix="fleetlabel-") as scratch:
            yield Path(scratch)
            try:
                durable.upload(Path(scratch), folder)
                if time.monotonic() - began_s > _LONGEST_UPLOAD_S:
                    raise StoreWriteError(
                        f"{folder} took {_LONGEST_UPLOAD_S / 3600:g} h to write, so it may have been cleared away; "
                        "run it again with smaller --chunk-frames"
                    )
                committed = self._commit(part, folder.name, admit)
            finally:
                if not committed:
                    durable.discard(folder)

    def clean(self) -> None:
        """Deletes folders of parts that are in no index, once it is sure that nobody will commit them any more."""
        named = set(self._read()[0].values())
        before = datetime.now(UTC) - _LEFT_BEHIND
        left = []
        folders, _ = buckets.entries(self._table.bucket, self._table.key)
        for name in folders:
            if is_part(name) and name not in named:
                objects = buckets.below(self._table.bucket, (self._table / name).key)
                if all(written < before for _, _, written in objects):
                    left += [key for key, _, _ in objects]
        buckets.delete(self._table.bucket, left)

    def _commit(self, part: Range, name: str, admit: Callable[[], bool]) -> bool:
        pause_s = 0.02
        while True:
            parts, version = self._read()
            if parts.get(part) == name:
                return True  # a put of which the answer was lost
            if not admit():
                return False
            if buckets.put_if(*self._place, _document(parts | {part: name}), version):
                self._known[part] = name
                return True
            time.sleep(pause_s * random.random())  # others commit to this table at this moment
            pause_s = min(2 * pause_s, 2.0)

    def _read(self) -> tuple[dict[Range, str], str | None]:
        """Folders of committed parts, and the version of the index."""
        try:
            content, version = buckets.get(*self._place)
        except FileNotFoundError:
            self._known = {}
            return {}, None
        try:
            self._known = {_range_of(name): name for name in json.loads(content)["parts"]}
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptStoreError(
                f"{self._index} is damaged ({error}); restore it from a copy, or delete it to do its table again"
            ) from error
        return dict(self._known), version

    @property
    def _place(self) -> tuple[str, str]:
        return self._index.bucket, self._index.key


def _range_of(name: str) -> Range:
    start, stop, _ = name.split("-")
    return int(start), int(stop)


def _document(parts: Mapping[Range, str]) -> bytes:
    return json.dumps({"parts": [parts[key] for key in sorted(parts)]}, indent=0).encode()
