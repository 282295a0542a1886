"""The list of objects: which of them, in which order, and what there is to say of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from fleetlabel.geometry.arrays import AnyArray, Bool
from fleetlabel.viewers.editor.source import TrackTable
from fleetlabel.viewers.palette import shown_class


@dataclass(frozen=True, slots=True)
class Row:
    """One object in the list.

    Attributes:
        object_id: of it.
        text: its number, short for those that people made.
        class_name: of it.
        here: whether it has a box at the frame on the screen.
        touched, hidden, locked: as people left it.
    """

    object_id: int
    text: str
    class_name: str
    here: bool
    touched: bool
    hidden: bool
    locked: bool


@dataclass(frozen=True, slots=True, eq=False)
class ObjectList:
    """Rows of the list without what a filter leaves out, those on the screen first.

    Attributes:
        order: rows of ``tracks``, as they are listed.
        here: (T,) bool tracks with their span over the frame on the screen.
    """

    tracks: TrackTable
    order: AnyArray
    here: Bool

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, start: int, count: int, hidden: Collection[int], locked: Collection[int]) -> list[Row]:
        """The rows that are on the screen."""
        tracks = self.tracks
        listed = []
        for row in self.order[start : start + count].tolist():
            object_id = int(tracks.object_id[row])
            listed.append(
                Row(
                    object_id,
                    short_id(object_id),
                    shown_class(tracks.class_names[int(tracks.class_id[row])]),
                    bool(self.here[row]),
                    bool(tracks.touched[row]),
                    object_id in hidden,
                    object_id in locked,
                )
            )
        return listed

    def place_of(self, object_id: int) -> int | None:
        """Number of an object in the list."""
        row = self.tracks.row(object_id)
        if row is None:
            return None
        places = np.flatnonzero(self.order == row)
        return int(places[0]) if len(places) else None

    def after(self, object_id: int | None) -> int | None:
        """The next object of the list, from its beginning again after the last."""
        if not len(self.order):
            return None
        place = self.place_of(object_id) if object_id is not None else None
        return int(self.tracks.object_id[self.order[0 if place is None else (place + 1) % len(self.order)]])


def list_objects(tracks: TrackTable, frame: int, wanted: str = "") -> ObjectList:
    """Objects whose number, class or state (``edited``, ``here``) begin with the words of a filter."""
    here: Bool = (tracks.first <= frame) & (tracks.last >= frame)
    shown = np.ones(len(here), dtype=np.bool_)
    names = [shown_class(name).lower() for name in tracks.class_names]
    for word in wanted.lower().split():
        if word == "here":
            shown &= here
        elif word == "edited":
            shown &= tracks.touched
        elif word.isdecimal():
            numbers = tracks.object_id.astype(np.str_)
            shown &= np.char.startswith(numbers, word)
        else:
            kinds = [k for k, name in enumerate(names) if word in name or word in name.replace("_", " ")]
            shown &= np.isin(tracks.class_id, kinds)
    rows = np.flatnonzero(shown)
    return ObjectList(tracks, rows[np.argsort(~here[rows], kind="stable")], here)


def short_id(object_id: int) -> str:
    """An object's number as people read it: those that people made are numbered by the edit that made them."""
    if object_id < 1_000_000_000:
        return str(object_id)
    record, index = divmod(object_id - 1_000_000_000, 1000)
    return f"new {record}" if not index else f"new {record}.{index}"
