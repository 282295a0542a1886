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
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.model.errors import CorruptStoreError, StoreError, StoreNotFoundError
from fleetlabel.store import durable
from fleetlabel.store.groups import read_group, write_group
from fleetlabel.store.part import Part
from zarr.codecs import ZstdCodec

# zarrs decodes and encodes chunks outside the interpreter's lock: 2-5 times faster than zarr-python's own pipeline.
zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})

_CHUNK_BYTES = 2 << 20


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
        start, stop: its samples.
        rows: total rows of its flat columns.
        sha256: of the samples' digests, in order.
        state_sha256: of the checkpoint, if it has one.
        duration_s: wall time of the task that made it.
        host: machine that made it.
        provenance: what made it: run, stage, algorithm version, backend, ... as the stage says.
        quarantined: samples that could not be used.
    """

    start: int
    stop: int
    rows: int
    sha256: str
    state_sha256: str | None
    duration_s: float
    host: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()


class Table:
    """One table of a store; see :class:`fleetlabel.store.SequenceStore` for those there are.

    Attributes:
        path: its name inside the store, e.g. ``sensors/front_camera``.
        length: number of samples when complete.
        attributes: what was declared with it (class names, for instance).
    """

    def __init__(self, root: Path, path: str) -> None:
        self.path = path
        self._folder = root / path
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
        folder = root / path
        wanted = {"length": length, "attributes": json.loads(json.dumps(dict(attributes or {})))}
        declared = _declaration(folder)
        if declared is None:
            durable.make_folder(folder)
            write_group(folder, wanted)
        elif declared != wanted:
            raise StoreError(
                f"table {path} of {root} was declared as {declared}, not as {wanted}; use another store"
            )
        return cls(root, path)

    def records(self) -> list[CommitRecord]:
        """Records of all committed parts, by start."""
        records = []
        for folder in self._folder.iterdir():
            if folder.name[0].isdigit():
                records.append(_record(folder))
        return sorted(records, key=lambda record: record.start)

    def missing(self) -> list[tuple[int, int]]:
        """Ranges of samples that no committed part covers: what is left to do."""
        gaps, position = [], 0
        for record in self.records():
            if record.start > position:
                gaps.append((position, record.start))
            position = record.stop
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

        Args:
            provenance: JSON-ready description of what made it; not hashed.
            quarantined: samples that could not be used, with reasons; not hashed.
            started_s: ``time.perf_counter()`` when the task began, for the record's duration.

        Raises:
            StoreError: it reaches beyond the table or into a part with other bounds: two writers that cut the
                table differently would each hide rows of the other.
            StoreWriteError: the file system refused.
        """
        stop = start + len(part)
        if not 0 <= start < stop <= self.length:
            raise StoreError(
                f"part {start}..{stop} of {self.path} is empty or outside its {self.length} samples"
            )
        for record in self.records():
            if (record.start, record.stop) == (start, stop):
                return record
            if record.start < stop and start < record.stop:
                raise StoreError(
                    f"part {start}..{stop} of {self.path} overlaps the committed part {record.start}..{record.stop}; "
                    "a part must fill a gap: plan from Table.missing()"
                )
        digests = part.digests()
        record = CommitRecord(
            start=start,
            stop=stop,
            rows=int(part.counts.sum()),
            sha256=hashlib.sha256(digests.tobytes()).hexdigest(),
            state_sha256=state_digest(part.state) if part.state else None,
            duration_s=0.0 if started_s is None else round(time.perf_counter() - started_s, 6),
            host=socket.gethostname(),
            provenance=dict(provenance or {}),
            quarantined=tuple(quarantined),
        )
        with durable.committed_folder(self._folder / _part_name(start, stop)) as scratch:
            for group, columns in (("samples", part.samples), ("flat", part.flat), ("state", part.state)):
                for name, column in columns.items():
                    _write_array(scratch, f"{group}.{name}", column)
            _write_array(scratch, "counts", part.counts)
            _write_array(scratch, "digests", digests)
            write_group(scratch, asdict(record))
        return record

    def read(self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None) -> Part:
        """Samples ``start:stop`` (all by default), without checkpoints.

        Args:
            columns: names of the columns wanted; all by default.

        Raises:
            StoreNotFoundError: some of them are not committed yet.
        """
        stop = self.length if stop is None else stop
        parts, position = [], start
        for record in self.records():
            if record.stop <= start or record.start >= stop:
                continue
            if record.start > position:
                break
            whole = self.read_part(record, columns)
            parts.append(whole.take(max(start - record.start, 0), min(stop, record.stop) - record.start))
            position = record.stop
        if position < stop or not parts:
            raise StoreNotFoundError(
                f"{self.path}: samples {position}..{stop} are not committed; finish the run that writes them"
            )
        return parts[0] if len(parts) == 1 else Part.concatenate(parts)

    def read_part(self, record: CommitRecord, columns: Sequence[str] | None = None) -> Part:
        """One committed part, with its checkpoint unless ``columns`` narrows what is read."""
        group = self.open_part(record)
        found: dict[str, dict[str, AnyArray]] = {"samples": {}, "flat": {}, "state": {}}
        counts = np.asarray(group["counts"][:], dtype=np.int64)
        for name, array in group.items():
            kind, _, column = name.partition(".")
            if kind in found and (columns is None or column in columns):
                found[kind][column] = np.asarray(array[...])
        return Part(counts=counts, **found)

    def open_part(self, record: CommitRecord) -> dict[str, Any]:
        """The part's Zarr arrays by name (``counts``, ``digests``, ``samples.*``, ``flat.*``, ``state.*``), unread."""
        folder = self._folder / _part_name(record.start, record.stop)
        try:
            return {
                entry.name: zarr.open_array(str(entry), mode="r", zarr_format=3)
                for entry in sorted(folder.iterdir())
                if entry.is_dir()
            }
        except (OSError, ValueError, KeyError) as error:
            raise CorruptStoreError(f"{folder} is committed but cannot be read: {error}") from error

    def digests(self) -> AnyArray:
        """(committed samples, 32) stored content digests, in order of samples."""
        stored = [np.asarray(self.open_part(record)["digests"][:]) for record in self.records()]
        return np.concatenate(stored) if stored else np.empty((0, 32), np.uint8)


def state_digest(state: Mapping[str, AnyArray]) -> str:
    """SHA-256 of a checkpoint's arrays."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return digest.hexdigest()


def _part_name(start: int, stop: int) -> str:
    return f"{start:08d}-{stop:08d}"


def _declaration(folder: Path) -> dict[str, Any] | None:
    declared = read_group(folder)
    return declared if declared is not None and "length" in declared else None


def _record(folder: Path) -> CommitRecord:
    try:
        raw = read_group(folder) or {}
        raw["quarantined"] = tuple(Quarantined(**entry) for entry in raw["quarantined"])
        return CommitRecord(**raw)
    except (KeyError, TypeError) as error:
        raise CorruptStoreError(
            f"{folder}: the commit record is damaged ({error}); delete the folder and resume"
        ) from error


def _write_array(folder: Path, name: str, column: AnyArray) -> None:
    """One column as a Zarr array: about 2 MiB per chunk, zstd-1, bytes that are compressed already left alone."""
    row_bytes = max(column.dtype.itemsize * int(np.prod(column.shape[1:])), 1)
    rows = max(min(len(column), _CHUNK_BYTES // row_bytes), 1)
    array = zarr.create_array(
        str(folder / name),
        shape=column.shape,
        dtype=column.dtype,
        chunks=(rows, *(max(n, 1) for n in column.shape[1:])),
        compressors=None if name == "flat.jpeg" else ZstdCodec(level=1),
        config={"write_empty_chunks": True},
    )
    if column.size:
        array[...] = column
