"""One entry of the journal: who edited what, when, why and on what."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from fleetlabel.labels.codec import edit_from_json, edit_to_json
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.edits import touched
from fleetlabel.model.errors import CorruptStoreError, EditError, StoreError
from fleetlabel.store.groups import canonical_json
from fleetlabel.store.journal import Entry

FORMAT = 1


class Step(StrEnum):
    """Whether a record is a step back or forth along its author's own edits."""

    UNDO = "undo"
    REDO = "redo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One commit: edits that were saved together.

    Attributes:
        sequence: number of the record, from 1.
        sha256: names it and all records before it; "" before it is written.
        at_ns: when it was saved.
        author: who did it.
        reason: why, in their words; may be empty.
        base: label version that it works on.
        active_ms: how long its author worked for it.
        request_id: chosen by who asked, so that asking again does not do it again.
        edits: what was done.
        undoes: sequence number of the record that it takes back, if that is what it does.
        redoes: sequence number of the record that it does again, if that is what it does.
        step: whether that was its author's undo or redo.
    """

    sequence: int
    sha256: str = ""
    at_ns: int
    author: str
    reason: str
    base: str
    active_ms: int
    request_id: str
    edits: tuple[Edit, ...]
    undoes: int | None = None
    redoes: int | None = None
    step: Step | None = None

    @property
    def objects(self) -> tuple[int, ...]:
        """Ids of the objects that it changed."""
        return touched(self.edits)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, with sequence number and hash."""
        return {"sequence": self.sequence, "sha256": self.sha256, **self._content()}

    def text(self) -> bytes:
        """What the journal holds of it."""
        return canonical_json({"format": FORMAT, **self._content()}).encode()

    def _content(self) -> dict[str, Any]:
        names = [field.name for field in fields(self) if field.name not in ("sequence", "sha256")]
        return {name: getattr(self, name) for name in names} | {
            "edits": [edit_to_json(e) for e in self.edits]
        }


def record_of(entry: Entry, sequence: int) -> Record:
    """The record that a journal's entry holds.

    Raises:
        StoreError: a newer FleetLabel wrote it.
        CorruptStoreError: it is no record.
    """
    try:
        document = json.loads(entry.text)
        if document.pop("format") != FORMAT:
            raise StoreError(
                f"journal record {sequence} was written by a newer FleetLabel; update to read it"
            )
        edits = tuple(edit_from_json(edit) for edit in document.pop("edits"))
        step = document.pop("step")
        return Record(
            sequence=sequence,
            sha256=entry.sha256,
            edits=edits,
            step=None if step is None else Step(step),
            **document,
        )
    except EditError as error:
        raise StoreError(f"journal record {sequence}: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CorruptStoreError(f"journal record {sequence} is no record of edits ({error})") from error
