"""A table of the store: declared once, written in parts by many tasks, read as one.

On disk a table is a Zarr group; each part is a group below it, named by its range of samples, with one array per
column. The part's own ``zarr.json`` is its commit record: arrays are written to a scratch folder, synced, and the
folder is renamed into place, so a part is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError, ScratchTakenError, StoreError, StoreNotFoundError
from fleetlabel.store import buckets, durable
from fleetlabel.store.arrays import open_arrays, read_arrays, write_arrays
from fleetlabel.store.commits import commits_of
from fleetlabel.store.groups import DOCUMENT, document, read_group, write_group
from fleetlabel.store.hierarchy import add_group
from fleetlabel.store.object_path import ObjectPath
from fleetlabel.store.part import Part
from fleetlabel.store.tombstones import blanked, deleted_frames


class SampleStatus(IntEnum):
    """What a sample is: data, a gap in the source, or data that could not be used (its bytes are kept)."""

    OK = 0
    MISSING = 1
    QUARANTINED = 2


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A sample that could not be used.

    Attributes:
        sample: row of the table (its frame).
        reason: in words, naming the source's file where there is one.
    """

    sample: int
    reason: str


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """What a committed part holds, and how it came to be.

    Attributes:
        table: path of its table, so that a part cannot be taken for another table's.
        start, stop: its samples.
        rows: total rows of its flat columns.
        columns: array -> (dtype, trailing shape), e.g. ``flat.points`` -> ``("<f4", (4,))``.
        sha256: of the samples' digests, in order.
        files_sha256: over names and bytes of all its files but the record itself.
        state_sha256: of the checkpoint, if it has one.
        duration_s: wall time of the task that made it.
        host: machine that made it.
        provenance: what made it: run, stage, algorithm version, backend, ... as the stage says.
        quarantined: samples that could not be used.
    """

    table: str
    start: int
    stop: int
    rows: int
    columns: Mapping[str, tuple[str, tuple[int, ...]]]
    sha256: str
    files_sha256: str
    state_sha256: str | None
    duration_s: float
    host: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def content_columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """``columns`` without checkpoints': the same in every part of a table."""
        return {name: spec for name, spec in self.columns.items() if not name.startswith("state.")}


class Table:
    """One table of a store; see :class:`fleetlabel.store.SequenceStore` for those there are.

    Attributes:
        path: its name inside the store, e.g. ``sensors/front_camera``.
        length: number of samples when complete.
        attributes: what was declared with it (class names, for instance).
    """

    def __init__(self, root: Path, path: str) -> None:
        self.path = path
        self._root = root
        self._folder = root / path
        self._commits = commits_of(self._folder)
        self._records: dict[
            Path, CommitRecord
        ] = {}  # of parts on object storage, where a folder is never used again
        declared = _declaration(self._folder)
        if declared is None:
            raise StoreNotFoundError(f"{root} has no table {path}; `fleetlabel info` lists what it has")
        self.length: int = declared["length"]
        self.attributes: Mapping[str, Any] = declared["attributes"]

    @classmethod
    def declare(
        cls, root: Path, path: str, length: int, attributes: Mapping[str, Any] | None = None
    ) -> Table:
        """Creates an empty table, or opens the one that was declared the same before.

        Raises:
            StoreError: it was declared differently.
        """
        wanted = {"length": length, "attributes": json.loads(json.dumps(dict(attributes or {})))}
        declared = _declaration(root / path)
        if declared is None:
            add_group(root, Path(path).parent.as_posix())
            write_group(root / path, wanted)
        elif declared != wanted:
            raise StoreError(
                f"table {path} of {root} was declared as {declared}, not as {wanted}; use another store"
            )
        return cls(root, path)

    def records(self) -> list[CommitRecord]:
        """Records of all committed parts, by start."""
        ranges = self.ranges()
        if isinstance(self._folder, ObjectPath):
            return buckets.at_once(lambda part: self.record(*part), ranges)
        return [self.record(start, stop) for start, stop in ranges]

    def ranges(self) -> list[tuple[int, int]]:
        """Samples of all committed parts, ascending."""
        return self._commits.ranges()

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of samples that no committed part covers: what is left to do."""
        gaps, position = [], 0
        for start, stop in self.ranges():
            if start > position:
                gaps.append((position, start))
            position = stop
        return [*gaps, (position, self.length)] if position < self.length else gaps

    def is_complete(self) -> bool:
        """Whether every sample is committed."""
        return not self.missing()

    def write(
        self,
        start: int,
        part: Part,
        *,
        provenance: Mapping[str, Any] | None = None,
        quarantined: Sequence[Quarantined] = (),
        started_s: float | None = None,
    ) -> CommitRecord:
        """Commits a part that begins at sample ``start``. Writing a part that is already committed does nothing.

        What it holds of frames that people deleted is left out.

        Args:
            provenance: JSON-ready description of what made it; not hashed.
            quarantined: samples that could not be used, with reasons; not hashed.
            started_s: ``time.perf_counter()`` when the task began, for the record's duration.

        Raises:
            StoreError: it reaches beyond the table or into a part with other bounds: two writers that cut the
                table differently would each hide rows of the other. Or its columns are not those of the table's
                other parts.
            StoreWriteError: the file system refused.
        """
        part, quarantined = self._without_deleted(start, part, quarantined)
        stop = start + len(part)
        columns = _columns_of(part)
        admit = partial(self._has_room, start, stop, columns)
        if not admit():
            return self.record(start, stop)
        digests = part.digests()
        arrays = part.arrays() | {"counts": part.counts, "digests": digests}

        def described(scratch: Path) -> CommitRecord:
            return CommitRecord(
                table=self.path,
                start=start,
                stop=stop,
                rows=int(part.counts.sum()),
                columns=columns,
                sha256=hashlib.sha256(digests.tobytes()).hexdigest(),
                files_sha256=durable.tree_digest(scratch, but=DOCUMENT),
                state_sha256=state_digest(part.state) if part.state else None,
                duration_s=0.0 if started_s is None else round(time.perf_counter() - started_s, 6),
                host=socket.gethostname(),
                provenance=dict(provenance or {}),
                quarantined=tuple(quarantined),
            )

        while True:
            try:
                with self._commits.committing((start, stop), admit) as scratch:
                    write_arrays(scratch, arrays, few_files=isinstance(self._folder, ObjectPath))
                    (scratch / DOCUMENT).write_bytes(document(asdict(described(scratch))))
                return self.record(start, stop)
            except ScratchTakenError:  # a driver that takes over clears away what it finds, and we still live
                continue

    def read(self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None) -> Part:
        """Samples ``start:stop`` (all by default), without checkpoints.

        Args:
            columns: names of the columns wanted; all by default.

        Raises:
            StoreNotFoundError: some of them are not committed yet, or the table is not that long.
        """
        stop = self.length if stop is None else stop
        if not 0 <= start < stop <= self.length:
            raise StoreNotFoundError(
                f"{self.path} has samples 0..{self.length}; {start}..{stop} is no range of them"
            )
        parts, position = [], start
        for part_start, part_stop in self.ranges():
            if part_stop <= start or part_start >= stop:
                continue
            if part_start > position:
                break
            record = self.record(part_start, part_stop)
            names = [n for n in record.content_columns if columns is None or n.partition(".")[2] in columns]
            low, high = max(start - part_start, 0), min(stop, part_stop) - part_start
            parts.append(self._read_samples(record, names, low, high))
            position = part_stop
        if position < stop:
            raise StoreNotFoundError(
                f"{self.path}: samples {position}..{stop} are not committed; finish the run that writes them"
            )
        return parts[0] if len(parts) == 1 else Part.concatenate(parts)

    def read_part(self, record: CommitRecord) -> Part:
        """One committed part, with its checkpoint."""
        return Part.from_arrays(self._read_arrays(record, ("counts", *record.columns)))

    def checkpoint(self, start: int) -> Mapping[str, AnyArray]:
        """State that the task which wrote the part ending at ``start`` left for the task that begins there.

        Raises:
            StoreNotFoundError: no committed part ends there.
        """
        for part_start, part_stop in self.ranges():
            if part_stop == start:
                record = self.record(part_start, part_stop)
                names = [name for name in record.columns if name.startswith("state.")]
                arrays = self._read_arrays(record, names)
                return {name.removeprefix("state."): values for name, values in arrays.items()}
        raise StoreNotFoundError(
            f"{self.path}: no part ends at sample {start}; write the samples before it first"
        )

    def open_part(self, record: CommitRecord, names: Sequence[str]) -> dict[str, zarr.Array[Any]]:
        """Zarr arrays of a part by name (``counts``, ``digests``, ``samples.*``, ``flat.*``, ``state.*``), unread."""
        return open_arrays(self.part_folder(record.start, record.stop), names)

    def digests(self, record: CommitRecord) -> AnyArray:
        """(samples, 32) stored content digests of a part."""
        return self._read_arrays(record, ("digests",))["digests"]

    def _read_arrays(self, record: CommitRecord, names: Sequence[str]) -> dict[str, AnyArray]:
        return read_arrays(self.part_folder(record.start, record.stop), names)

    def _read_samples(self, record: CommitRecord, names: Sequence[str], low: int, high: int) -> Part:
        """Samples ``low:high`` of a part; of a long part, no more is read than they own."""
        if high - low == record.stop - record.start:
            return Part.from_arrays(self._read_arrays(record, ("counts", *names)))
        counts = self._read_arrays(record, ("counts",))["counts"].astype(np.int64)
        first, last = int(counts[:low].sum()), int(counts[:high].sum())
        rows = {name: slice(first, last) if name.startswith("flat.") else slice(low, high) for name in names}
        arrays = read_arrays(self.part_folder(record.start, record.stop), names, rows)
        return Part.from_arrays(arrays | {"counts": counts[low:high]})

    def part_folder(self, start: int, stop: int) -> Path:
        """Where the part of these samples is, or would be."""
        return self._commits.folder((start, stop))

    def record(self, start: int, stop: int) -> CommitRecord:
        """Record of the committed part of these samples.

        Raises:
            CorruptStoreError: there is none, or it is damaged, or it is another part's.
        """
        folder = self.part_folder(start, stop)
        if folder in self._records:
            return self._records[folder]
        try:
            raw = read_group(folder) or {}
            raw["quarantined"] = tuple(Quarantined(**entry) for entry in raw["quarantined"])
            raw["columns"] = {name: (dtype, tuple(shape)) for name, (dtype, shape) in raw["columns"].items()}
            record = CommitRecord(**raw)
        except (KeyError, TypeError, CorruptStoreError) as error:
            raise CorruptStoreError(
                f"{folder}: the commit record is damaged ({error}); delete the folder and resume"
            ) from error
        if (record.table, record.start, record.stop) != (self.path, start, stop):
            raise CorruptStoreError(
                f"{folder} holds samples {record.start}..{record.stop} of {record.table}; "
                "delete the folder and resume, or move it where it belongs"
            )
        if isinstance(folder, ObjectPath):
            self._records[folder] = record
        return record

    def _without_deleted(
        self, start: int, part: Part, quarantined: Sequence[Quarantined]
    ) -> tuple[Part, Sequence[Quarantined]]:
        deleted = deleted_frames(self._root, self.path)
        if not any(first < start + len(part) and start < stop for first, stop in deleted):
            return part, quarantined
        left = replace(blanked(part, start, deleted, SampleStatus.MISSING), state=part.state)
        return left, [q for q in quarantined if not any(first <= q.sample < stop for first, stop in deleted)]

    def _has_room(self, start: int, stop: int, columns: Mapping[str, tuple[str, tuple[int, ...]]]) -> bool:
        """Whether a part may be committed; False if it is already."""
        if not 0 <= start < stop <= self.length:
            raise StoreError(
                f"part {start}..{stop} of {self.path} is empty or outside its {self.length} samples"
            )
        committed = self.ranges()
        if (start, stop) in committed:
            return False
        for other in committed:
            if other[0] < stop and start < other[1]:
                raise StoreError(
                    f"part {start}..{stop} of {self.path} overlaps the committed part {other[0]}..{other[1]}; "
                    "a part must fill a gap: plan from Table.missing()"
                )
        if committed:
            before = self.record(*committed[0]).content_columns
            given = {name: spec for name, spec in columns.items() if not name.startswith("state.")}
            if given != before:
                differing = dict(sorted(given.items() ^ before.items()))
                raise StoreError(
                    f"part {start}..{stop} of {self.path} has other columns than its committed parts: {differing}; "
                    "all parts of a table have the same columns"
                )
        return True


def state_digest(state: Mapping[str, AnyArray]) -> str:
    """SHA-256 of a checkpoint's arrays."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return digest.hexdigest()


def _columns_of(part: Part) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (column.dtype.str, column.shape[1:]) for name, column in sorted(part.arrays().items())}


def _declaration(folder: Path) -> dict[str, Any] | None:
    declared = read_group(folder)
    return declared if declared is not None and "length" in declared else None
