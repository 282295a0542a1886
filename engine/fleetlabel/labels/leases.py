"""Who was sent where: a lease per object in the store, so that no two people are sent to one place.

Leases are advice, not locks: edits of somebody without one are still saved, and conflicts still found. They end by
themselves, so a person who closed the laptop holds up nobody. The file is replaced as a whole, under a lock of its
folder: a process that dies in between leaves what was there.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from fleetlabel.labels.queue import Item, Queue, ranked_together
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore, durable
from fleetlabel.store.groups import read_group, write_group
from fleetlabel.store.hierarchy import LEASES
from fleetlabel.store.object_path import ObjectPath

LASTS_S = 900.0


@dataclass(frozen=True, slots=True)
class Lease:
    """One object that somebody was sent to.

    Attributes:
        object_id: of the object.
        person: who.
        until_ns: when it ends, on this machine's clock.
    """

    object_id: int
    person: str
    until_ns: int


class Leases:
    """The leases of one store; several processes may take and give back at once.

    Raises:
        UsageError: the store is on object storage, which cannot lock.
    """

    def __init__(self, store: SequenceStore, lasts_s: float = LASTS_S) -> None:
        if isinstance(store.root, ObjectPath):
            raise UsageError(
                f"{store.root} is on object storage, where nobody can be sent to places; copy it first"
            )
        self._path = store.root / LEASES
        self._lasts_ns = int(lasts_s * 1e9)

    def held(self) -> list[Lease]:
        """Leases that have not ended, by object."""
        return sorted(self._read(), key=lambda lease: lease.object_id)

    def take(self, object_id: int, person: str) -> bool:
        """Leases an object to a person, or renews the lease; False if somebody else has it.

        Raises:
            UsageError: the person has no name.
            StoreWriteError: the disk refused.
        """
        if not person.strip():
            raise UsageError("a lease needs a person: say who you are")
        with self._alone():
            leases = self._read()
            if any(lease.object_id == object_id and lease.person != person for lease in leases):
                return False
            others = [lease for lease in leases if lease.object_id != object_id]
            self._write([*others, Lease(object_id, person, time.time_ns() + self._lasts_ns)])
            return True

    def give_back(self, person: str, but: Sequence[int] = ()) -> None:
        """Ends a person's leases, but for those of some objects."""
        with self._alone():
            leases = self._read()
            kept = [lease for lease in leases if lease.person != person or lease.object_id in but]
            if len(kept) < len(leases):
                self._write(kept)

    def _read(self) -> list[Lease]:
        try:
            listed = json.loads(self._path.read_bytes())
            leases = [Lease(*entry) for entry in listed]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError):  # damaged: nobody is held up for that
            return []
        now = time.time_ns()
        # A clock that was set back would make a lease last for ever.
        return [
            lease for lease in leases if now < lease.until_ns <= now + max(self._lasts_ns, int(LASTS_S * 1e9))
        ]

    def _write(self, leases: list[Lease]) -> None:
        listed = [[lease.object_id, lease.person, lease.until_ns] for lease in leases]
        durable.write_file(self._path, json.dumps(listed).encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if read_group(self._path.parent) is None:
            write_group(self._path.parent, {})
        handle = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def next_items(queues: Sequence[Queue], person: str, count: int, lasts_s: float = LASTS_S) -> list[Item]:
    """The best items that nobody else is at, leased to a person; what the person was sent to before is given back."""
    return [item for _, item in next_items_of(queues, person, count, lasts_s)]


def next_items_of(
    queues: Sequence[Queue], person: str, count: int, lasts_s: float = LASTS_S
) -> list[tuple[Queue, Item]]:
    """As :func:`next_items`, each with the queue that it is of: names of sequences need not differ."""
    leases = [Leases(queue.labels.store, lasts_s) for queue in queues]
    place = {id(queue): number for number, queue in enumerate(queues)}
    mine: list[set[int]] = [set() for _ in queues]
    refused: list[set[int]] = [set() for _ in queues]
    items: list[tuple[Queue, Item]] = []
    for queue, item in ranked_together(queues):
        if len(items) == count:
            break
        at = place[id(queue)]
        if item.object_id in refused[at]:
            continue
        if item.object_id in mine[at] or leases[at].take(item.object_id, person):
            mine[at].add(item.object_id)
            items.append((queue, item))
        else:
            refused[at].add(item.object_id)
    for own, kept in zip(leases, mine, strict=True):
        own.give_back(person, sorted(kept))
    return items
