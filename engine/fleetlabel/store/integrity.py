"""What a store holds, its content hash, and whether every committed byte is still what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.model.errors import CorruptStoreError, StoreError
from fleetlabel.store import buckets, durable
from fleetlabel.store.description import EGO, FRAMES
from fleetlabel.store.groups import DOCUMENT, canonical_json, is_untouched, read_group
from fleetlabel.store.hierarchy import walk_groups
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.sequence import SequenceStore
from fleetlabel.store.table import Table, state_digest


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table at a glance.

    Attributes:
        path: inside the store.
        samples, committed: declared length, and how many samples are committed.
        rows: flat rows (bytes, points, boxes) committed.
        parts: number of parts.
        quarantined: samples that could not be used.
        content_hash: of the committed samples, the same for every way of cutting them into parts.
    """

    path: str
    samples: int
    committed: int
    rows: int
    parts: int
    quarantined: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A store at a glance; ``content_hash`` covers every table and the sequence's description.

    ``tombstones`` say what people deleted of it.
    """

    name: str
    schema: int
    frames: int
    sensors: tuple[dict[str, Any], ...]
    label_versions: tuple[str, ...]
    bytes_on_disk: int
    tables: tuple[TableInfo, ...]
    content_hash: str
    tombstones: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def describe(store: SequenceStore) -> StoreInfo:
    """Everything :class:`StoreInfo` says, from commit records and stored digests; no picture or point is read.

    Raises:
        CorruptStoreError: a record or a declaration is damaged.
    """
    tables, content_hash = content_of(store)
    head = read_group(store.root) or {}
    return StoreInfo(
        name=store.info.name,
        schema=head["schema"],
        frames=store.info.n_frames,
        sensors=tuple({"name": s.name, "kind": s.kind.value} for s in store.info.sensors),
        label_versions=store.label_versions(),
        bytes_on_disk=sum(file_sizes(store.root)),
        tables=tables,
        content_hash=content_hash,
        tombstones=tuple(tombstone.to_dict() for tombstone in store.tombstones()),
    )


def content_of(store: SequenceStore) -> tuple[tuple[TableInfo, ...], str]:
    """Tables and content hash of a store, as :func:`describe` tells them; files are not counted.

    Raises:
        CorruptStoreError: a record or a declaration is damaged.
    """
    tables = tuple(_table_info(table) for table in tables_of(store.root))
    digest = hashlib.sha256(canonical_json(read_group(store.root) or {}).encode())
    for table in tables:
        digest.update(f"{table.path} {table.content_hash}\n".encode())
    return tables, digest.hexdigest()


def input_hash(store: SequenceStore) -> str:
    """Content hash of what machine stages start from: sensors' data, ego poses, frames and calibration."""
    head = read_group(store.root) or {}
    digest = hashlib.sha256(head["calibration"].encode())
    for table in tables_of(store.root):
        if is_input(table.path):
            digest.update(f"{table.path} {_table_info(table).content_hash}\n".encode())
    return digest.hexdigest()


def is_input(table: str) -> bool:
    """Whether a table, by its path, is one of those that :func:`input_hash` covers."""
    return table in (FRAMES, EGO) or table.startswith("sensors/")


def labels_hash(store: SequenceStore, name: str) -> str:
    """Content hash of a label version, with that of the version that it changes some objects of; not of its name.

    Raises:
        StoreNotFoundError: there is none of that name.
        CorruptStoreError: a record or a declaration is damaged.
    """
    version = store.labels(name)
    declared = {
        "class_names": version.class_names,
        "cameras": version.cameras,
        "cuboids": version.has_boxes3d,
        "base": None if version.base is None else labels_hash(store, version.base),
    }
    digest = hashlib.sha256(canonical_json(declared).encode())
    for path in sorted(version.table_paths):
        content = _table_info(store.table(path)).content_hash
        digest.update(f"{path.removeprefix(f'labels/{name}/')} {content}\n".encode())
    return digest.hexdigest()


def verify(
    store: SequenceStore,
    on_part: Callable[[int, int], None] | None = None,
    only: Callable[[str], bool] = lambda path: True,
) -> list[str]:
    """Reads and hashes all committed data again.

    Args:
        on_part: called after each part with how many are done, and how many there are.
        only: takes the path of each table whose parts are to be read.

    Returns:
        What is wrong, in words, one line per damaged part, group or label version; empty if everything is as it was
        committed. Samples that are not committed yet are no damage, except in what the store says is finished.
    """
    problems, parts = [], []
    for folder, _, is_table in walk_groups(store.root):
        path = folder.relative_to(store.root).as_posix()
        try:
            if read_group(folder) is None:
                if is_table or _has_document(folder):  # else it is a folder of somebody else's
                    problems.append(
                        f"{path}: its {DOCUMENT} is gone or not FleetLabel's; restore it from a copy"
                    )
            elif is_table and only(path):
                table = Table(store.root, path)
                parts += [(table, start, stop) for start, stop in table.ranges()]
        except StoreError as error:
            problems.append(str(error))
    for done, (table, start, stop) in enumerate(parts, start=1):
        problem = _damage(table, start, stop)
        if problem:
            problems.append(f"{table.path} {start}..{stop}: {problem}")
        if on_part:
            on_part(done, len(parts))
    try:
        store.journal().read()
    except StoreError as error:
        problems.append(str(error))
    begun = [
        f"{tombstone.what}: its deletion is not finished; run the same `fleetlabel delete` again"
        for tombstone in store.tombstones()
        if not tombstone.finished
    ]
    return problems + _losses(store) + begun


def _damage(table: Table, start: int, stop: int) -> str | None:
    """What is wrong with a part: first its files, so that nothing damaged is ever decoded, then what they mean."""
    folder = table.part_folder(start, stop)
    try:
        record = table.record(start, stop)
        if not is_untouched(folder):
            return f"its {DOCUMENT} changed since it was committed"
        if durable.tree_digest(folder, but=DOCUMENT) != record.files_sha256:
            return "its files changed since they were committed; delete the part's folder and resume"
        part, stored = table.read_part(record), table.digests(record)
    except (StoreError, OSError) as error:
        return f"cannot be read ({error})"
    if hashlib.sha256(stored.tobytes()).hexdigest() != record.sha256:
        return "its digests are not those that were committed"
    changed = np.flatnonzero((part.digests() != stored).any(axis=1))
    if len(changed):
        return f"content of {len(changed)} samples is not what was committed, first {start + changed[0]}"
    if record.state_sha256 is not None and state_digest(part.state) != record.state_sha256:
        return "its checkpoint is not what was committed"
    return None


def _losses(store: SequenceStore) -> list[str]:
    """Tables of finished label versions that are not there, or not whole."""
    problems = []
    for name in store.label_versions():
        for path in store.labels(name).table_paths:
            missing = store.table(path).missing() if store.has_table(path) else [(0, store.info.n_frames)]
            if missing:
                problems.append(f"{path}: the label version is finished, but frames {missing} are gone")
    return problems


def tables_of(root: Path) -> list[Table]:
    """All tables below a folder, by path."""
    found = [folder for folder, _, is_table in walk_groups(root) if is_table]
    return [Table(root, path) for path in sorted(folder.relative_to(root).as_posix() for folder in found)]


def _table_info(table: Table) -> TableInfo:
    records = table.records()
    columns = records[0].content_columns if records else {}
    declared = {"length": table.length, "attributes": table.attributes, "columns": columns}
    digest = hashlib.sha256(canonical_json(declared).encode())
    for record in records:
        stored = table.digests(record)
        if len(stored) != record.stop - record.start:
            raise CorruptStoreError(
                f"{table.path} {record.start}..{record.stop}: {len(stored)} digests; run `fleetlabel verify`"
            )
        places = np.arange(record.start, record.stop, dtype="<i8").view(np.uint8).reshape(-1, 8)
        digest.update(np.concatenate([places, stored], axis=1).tobytes())
    return TableInfo(
        path=table.path,
        samples=table.length,
        committed=sum(record.stop - record.start for record in records),
        rows=sum(record.rows for record in records),
        parts=len(records),
        quarantined=sum(len(record.quarantined) for record in records),
        content_hash=digest.hexdigest(),
    )


def _has_document(folder: Path) -> bool:
    if isinstance(folder, ObjectPath):
        return any(key.endswith(f"/{DOCUMENT}") for key, _, _ in buckets.below(folder.bucket, folder.key))
    return any(folder.rglob(DOCUMENT))


def file_sizes(root: Path) -> Iterator[int]:
    """Sizes of all files; those that a writer takes away meanwhile are none."""
    if isinstance(root, ObjectPath):
        yield from (size for _, size, _ in buckets.below(root.bucket, root.key))
        return
    with suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield from file_sizes(Path(entry.path))
                elif entry.is_file():
                    yield entry.stat().st_size
