"""A fleet's folder: one store per sequence, and ``.fleet`` with what the fleet as a whole has to remember.

    ROOT/<name>.zarr             stores, complete in themselves
    ROOT/releases/<name>.json    data sets frozen of them; see ``engine.release``
    ROOT/.fleet/manifest.json    which drive has which store
    ROOT/.fleet/lease-*.json     who drives it; see ``store.lease``
    ROOT/.fleet/choices/         the backend that all its stores are labelled with
    ROOT/.fleet/progress.json    how far the last run is, for ``fleetlabel status``
    ROOT/.fleet/journal.jsonl    how each sequence ended, one line each; the last one of a name counts
    ROOT/.fleet/ended/           the same on object storage, which cannot append: an object per sequence
    ROOT/.fleet/failed.yaml      the drives that failed, a list that ``fleetlabel run`` takes

Only stores decide what is left to do: the rest may be lost, and says no more than names and news.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.sources import FOLDER, Drive
from fleetlabel.model.errors import CorruptStoreError, FleetLabelError, StoreExistsError, UsageError
from fleetlabel.store import buckets, durable
from fleetlabel.store.object_path import ObjectPath, place_of

RELEASES = "releases"
_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Member:
    """A drive of a fleet and the name of its store."""

    name: str
    drive: Drive


@dataclass(frozen=True, slots=True)
class Ended:
    """How a sequence ended.

    Attributes:
        name: of its store.
        cause: None if it is done; else the kind of failure, the same for sequences that failed for the same reason.
        stage, reason: where it failed, and why.
        frames, boxes, quarantined: what came of it.
        content_hash: of its store.
        labels: the label version.
        warnings: what people should know.
    """

    name: str
    cause: str | None = None
    stage: str = ""
    reason: str = ""
    frames: int = 0
    boxes: int = 0
    quarantined: int = 0
    content_hash: str = ""
    labels: str | None = None
    warnings: tuple[str, ...] = ()


class FleetRoot:
    """The folder of a fleet.

    Attributes:
        path: absolute.
        state: its ``.fleet``.
    """

    def __init__(self, path: Path) -> None:
        self.path = place_of(path).resolve()
        self.state = self.path / FOLDER

    @classmethod
    def open(cls, path: Path) -> FleetRoot:
        """An existing one.

        Raises:
            UsageError: there is none.
        """
        root = cls(path)
        if not root.exists():
            raise UsageError(f"{path} is no fleet; `fleetlabel run SOURCES --out {path}` makes one")
        return root

    def exists(self) -> bool:
        """Whether a fleet was begun here."""
        return (self.state / "manifest.json").exists()

    def store(self, name: str) -> Path:
        """The store of a member."""
        return self.path / f"{name}.zarr"

    def prepare(self) -> None:
        """Makes the folders.

        Raises:
            StoreWriteError: they cannot be made or written.
        """
        durable.make_folder(self.state)

    # --- members ----------------------------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """All drives of the fleet, of earlier calls as well, by name."""
        try:
            listed = json.loads((self.state / "manifest.json").read_bytes())["members"]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptStoreError(
                f"{self.state}/manifest.json is damaged ({error}); restore it from a copy, or delete it and give all "
                "sources again"
            ) from error
        return [Member(one["name"], Drive(place_of(one["source"]), one["sequence"])) for one in listed]

    def enlist(self, drives: Iterable[Drive]) -> list[Member]:
        """Names for drives: those that they have here already, else new ones.

        A name is the sequence's own; where several drives have the same, all new ones are told apart by a
        hash of where they come from. So a name hangs on the set of drives, not on their order.
        """
        drives = list(drives)
        known = {(member.drive.source, member.drive.sequence): member for member in self.members()}
        fresh = [drive for drive in drives if (drive.source, drive.sequence) not in known]
        # Compared as file systems do that take capitals for small letters.
        taken = {member.name.lower() for member in known.values()}
        wanted = Counter(_plain(_own_name(drive)).lower() for drive in fresh)
        for drive in fresh:
            name = _plain(_own_name(drive))
            if wanted[name.lower()] > 1 or name.lower() in taken:
                told = hashlib.sha256(os.fsencode(f"{drive.source}\0{drive.sequence}")).hexdigest()[:8]
                name = f"{name}-{told}"
            known[drive.source, drive.sequence] = Member(name, drive)
        listed = sorted(known.values(), key=lambda member: member.name)
        document = [
            {"name": one.name, "source": str(one.drive.source), "sequence": one.drive.sequence}
            for one in listed
        ]
        durable.write_file(
            self.state / "manifest.json", json.dumps({"schema": 1, "members": document}, indent=1).encode()
        )
        return [Member(known[drive.source, drive.sequence].name, drive) for drive in drives]

    def refuse_existing(self, members: Iterable[Member]) -> None:
        """Complains if some of the stores are there, before anything is begun.

        Raises:
            StoreExistsError: they are.
        """
        there = [member.name for member in members if self.store(member.name).exists()]
        if there:
            raise StoreExistsError(
                f"{self.path} already has {len(there)} of these drives, for example {there[0]}.zarr; pass --resume to "
                "go on with them or --overwrite to replace them"
            )

    # --- news -------------------------------------------------------------------------------------------------------

    def note_progress(self, progress: Mapping[str, Any]) -> None:
        """Keeps how far a run is, for others to read."""
        durable.write_file(self.state / "progress.json", json.dumps(progress).encode())

    @contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Keeps why a run did not even begin."""
        try:
            yield
        except FleetLabelError as error:
            self.note_progress({"state": "failed", "reason": str(error)})
            raise

    def progress(self) -> dict[str, Any]:
        """How far the last run said it was; empty if nothing is known."""
        try:
            loaded = json.loads((self.state / "progress.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    def note_end(self, ended: Ended) -> None:
        """Appends how a sequence ended."""
        if isinstance(self.state, ObjectPath):
            durable.write_file(
                self.state / "ended" / f"{ended.name}.json", json.dumps(asdict(ended)).encode()
            )
            return
        with durable.write_errors(self.state), (self.state / "journal.jsonl").open("ab") as journal:
            journal.write(json.dumps(asdict(ended)).encode() + b"\n")

    def ended(self) -> dict[str, Ended]:
        """How each sequence ended last, by name; a line that a crash cut off is none."""
        return {ended.name: ended for ended in self._journal()}

    def _journal(self) -> Iterator[Ended]:
        for line in self._lines():
            try:
                entry = json.loads(line)
                yield Ended(**entry | {"warnings": tuple(entry["warnings"])})
            except (ValueError, TypeError, KeyError):
                continue

    def _lines(self) -> Iterable[bytes]:
        if isinstance(self.state, ObjectPath):
            folder = self.state / "ended"
            return buckets.get_all(
                folder.bucket, [key for key, _, _ in buckets.below(folder.bucket, folder.key)]
            )
        try:
            return (self.state / "journal.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return ()

    def list_failed(self, members: Iterable[Member]) -> Path:
        """Writes a list of drives that ``fleetlabel run`` takes; returns where."""
        path = self.state / "failed.yaml"
        entries = [
            {"source": str(member.drive.source)}
            | ({"sequence": member.drive.sequence} if member.drive.sequence else {})
            for member in members
        ]
        durable.write_file(path, json.dumps(entries, indent=1).encode())  # JSON is YAML
        return path


def _own_name(drive: Drive) -> str:
    """The sequence's name; where that is a mere number within its log, the log's before it."""
    if not drive.sequence or drive.sequence == drive.source.name:
        return drive.source.name
    return f"{drive.source.name}-{drive.sequence}" if drive.sequence.isdigit() else drive.sequence


def _plain(name: str) -> str:
    """A name that every file system can spell."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:_NAME_LENGTH] or "drive"
