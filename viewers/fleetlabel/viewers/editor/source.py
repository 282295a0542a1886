"""Where the app gets a sequence from and sends edits to: what stores here and engines elsewhere have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from fleetlabel.geometry.arrays import I32, I64, Bool
from fleetlabel.labels import Commit, Conflict, Edit, Item, ObjectBoxes, Snapshot
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.store import SequenceInfo
from fleetlabel.viewers.sensors import Sensors


@dataclass(frozen=True, slots=True, eq=False)
class TrackTable:
    """Every object of the sequence, one row each.

    Attributes:
        object_id: (T,) ascending.
        first, last: (T,) frames of its first and last box in any view.
        class_id: (T,) row of ``class_names`` where it begins.
        class_names: what ``class_id`` counts.
        solid: (T,) bool it has cuboids.
        touched: (T,) bool people said something about it.
    """

    object_id: I64
    first: I32
    last: I32
    class_id: I32
    class_names: tuple[str, ...]
    solid: Bool
    touched: Bool

    def row(self, object_id: int) -> int | None:
        """Row of an object, None if there is none."""
        row = int(np.searchsorted(self.object_id, object_id))
        return row if row < len(self.object_id) and self.object_id[row] == object_id else None


@dataclass(frozen=True, slots=True)
class Refused:
    """Edits that were not saved, because somebody changed the object meanwhile or the engine cannot do them.

    Attributes:
        request_id: names them; saved again under it, they go over what the others did.
        edits: mine.
        conflicts: what the others did.
        problem: why else, in words.
    """

    request_id: str
    edits: tuple[Edit, ...]
    conflicts: tuple[Conflict, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """What happened since somebody last asked.

    Attributes:
        changed: objects whose boxes are others now, and who changed them; "" where nobody else did.
        new_ids: ids that objects had -> have.
        refused: edits that have to be decided about.
    """

    changed: Mapping[int, str] = field(default_factory=dict)
    new_ids: Mapping[int, int] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether what is saved here is everywhere.

    Attributes:
        unsent: commits that are on this machine's disk, and that the engine has not acknowledged.
        away: why the engine cannot be reached, in words; "" while it can, and for a store on this machine.
        losses: how often it could not be reached so far.
    """

    unsent: int = 0
    away: str = ""
    losses: int = 0


class Source(Protocol):
    """One sequence to look at and edit. Everything but :meth:`build_queue` is called on one thread."""

    info: SequenceInfo
    author: str
    cameras: tuple[str, ...]
    class_names: tuple[str, ...]

    @property
    def sensors(self) -> Sensors:
        """What the sensors saw."""

    @property
    def now(self) -> Snapshot:
        """The labels as they are, edits that nobody else has acknowledged included."""

    def tracks(self) -> TrackTable:
        """All objects."""

    def boxes(self, object_id: int) -> ObjectBoxes:
        """All boxes of an object; where solving it fails, those before, with ``solve_errors`` saying why."""

    def cuboids_at(self, start: int, stop: int) -> Boxes3D:
        """Cuboids of all objects in the frames ``start:stop``."""

    def pictures_at(self, camera: str, frame: int) -> Boxes2D:
        """2D boxes of all objects in one picture."""

    @property
    def solve_errors(self) -> dict[int, str]:
        """Objects that could not be solved, and why."""

    # --- editing ----------------------------------------------------------------------------------------------------

    def new_id(self) -> int:
        """An id for an object that an edit makes."""

    def commit(self, edits: Sequence[Edit], *, active_ms: int, request_id: str) -> Commit:
        """Saves edits; when it returns a record, that is safe from crashes of everything but the disk."""

    def give_up(self, request_id: str) -> None:
        """Lets edits go that were refused."""

    def undo(self) -> Commit | None:
        """Takes back the author's last edits; None if there are none."""

    def redo(self) -> Commit | None:
        """Does again what undo took back; None if there is nothing."""

    @property
    def standing(self) -> Standing:
        """Whether what is saved here is everywhere."""

    # --- working together -------------------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether :meth:`refresh` is known to bring something."""

    def refresh(self) -> News:
        """Takes up what others have saved, and what became of edits."""

    def build_queue(self) -> None:
        """Ranks everything, on whichever thread: takes seconds."""

    @property
    def queue_ready(self) -> bool:
        """Whether everything is ranked."""

    def next_item(self) -> Item | None:
        """Where a look is worth most, leased to the author; None if there is no more, or not ranked yet."""

    def others(self) -> tuple[str, ...]:
        """Who else is at work here."""

    def close(self) -> None:
        """Ends all threads."""
