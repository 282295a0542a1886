"""What a store holds, its content hash, and whether every committed byte is still what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError, StoreError
from fleetlabel.store.groups import read_group
from fleetlabel.store.sequence import SequenceStore
from fleetlabel.store.table import CommitRecord, Table, state_digest


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
    """A store at a glance; ``content_hash`` covers every table and the sequence's description."""

    name: str
    schema: int
    frames: int
    sensors: tuple[dict[str, Any], ...]
    label_versions: tuple[str, ...]
    bytes_on_disk: int
    tables: tuple[TableInfo, ...]
    content_hash: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def describe(store: SequenceStore) -> StoreInfo:
    """Everything :class:`StoreInfo` says, from commit records and stored digests; no picture or point is read."""
    tables = tuple(_table_info(table) for table in _tables(store.root))
    head = read_group(store.root) or {}
    digest = hashlib.sha256(repr(sorted((key, head[key]) for key in head)).encode())
    for table in tables:
        digest.update(f"{table.path} {table.content_hash}\n".encode())
    return StoreInfo(
        name=store.info.name,
        schema=head["schema"],
        frames=store.info.n_frames,
        sensors=tuple({"name": s.name, "kind": s.kind.value} for s in store.info.sensors),
        label_versions=store.label_versions(),
        bytes_on_disk=sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file()),
        tables=tables,
        content_hash=digest.hexdigest(),
    )


def input_hash(store: SequenceStore) -> str:
    """Content hash of what machine stages start from: sensors' data, ego poses, frames and calibration."""
    head = read_group(store.root) or {}
    digest = hashlib.sha256(head["calibration"].encode())
    for table in _tables(store.root):
        if table.path in ("ego", "frames") or table.path.startswith("sensors/"):
            digest.update(f"{table.path} {_table_info(table).content_hash}\n".encode())
    return digest.hexdigest()


def verify(store: SequenceStore, on_part: Callable[[str, CommitRecord], None] | None = None) -> list[str]:
    """Reads and hashes all committed data again.

    Args:
        on_part: called with the table's path and the record after each part, for progress.

    Returns:
        What is wrong, in words, one line per damaged part; empty if everything is as it was committed.
    """
    problems = []
    for table in _tables(store.root):
        for record in table.records():
            problem = _damage(table, record)
            if problem:
                problems.append(f"{table.path} {record.start}..{record.stop}: {problem}")
            if on_part:
                on_part(table.path, record)
    return problems


def _damage(table: Table, record: CommitRecord) -> str | None:
    try:
        part = table.read_part(record)
        stored: AnyArray = np.asarray(table.open_part(record)["digests"][:])
        digests = part.digests()
    except (StoreError, OSError, ValueError, KeyError, RuntimeError) as error:
        return f"cannot be read ({error})"
    if hashlib.sha256(stored.tobytes()).hexdigest() != record.sha256:
        return "its digests are not those that were committed"
    changed = np.flatnonzero((digests != stored).any(axis=1))
    if len(changed):
        return f"content of {len(changed)} samples changed since it was committed, first {record.start + changed[0]}"
    if record.state_sha256 is not None and state_digest(part.state) != record.state_sha256:
        return "its checkpoint changed since it was committed"
    return None


def _tables(root: Path) -> list[Table]:
    """All tables below a folder, by path; tables do not nest, so the thousands of files below one are not visited."""
    found = []
    for folder, children, _ in os.walk(root):
        attributes = read_group(Path(folder))
        if attributes is not None and "length" in attributes:
            found.append(Table(root, Path(folder).relative_to(root).as_posix()))
            children.clear()
    return sorted(found, key=lambda table: table.path)


def _table_info(table: Table) -> TableInfo:
    records = table.records()
    digests = table.digests()
    if len(digests) != sum(record.stop - record.start for record in records):
        raise CorruptStoreError(
            f"{table.path}: {len(digests)} digests for its committed samples; run `fleetlabel verify`"
        )
    names = sorted(table.open_part(records[0])) if records else []
    columns = [name for name in names if name.startswith(("samples.", "flat."))]
    return TableInfo(
        path=table.path,
        samples=table.length,
        committed=len(digests),
        rows=sum(record.rows for record in records),
        parts=len(records),
        quarantined=sum(len(record.quarantined) for record in records),
        content_hash=hashlib.sha256(" ".join(columns).encode() + digests.tobytes()).hexdigest(),
    )
