"""The journal as a whole: its records, what they make of labels, and what each author can undo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from fleetlabel.labels.applying import apply_all
from fleetlabel.labels.edit_bases import Edit
from fleetlabel.labels.edits import Restore
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.records import Record, Step
from fleetlabel.labels.state import Base, LabelState
from fleetlabel.model.errors import EditError


class _Replayed(LabelState):
    """A state that nobody else holds: it changes in place, so that a long journal costs no copies."""

    __slots__ = ()

    def with_objects(self, images: Mapping[int, LabelObject | None]) -> LabelState:
        objects = cast("dict[int, LabelObject | None]", self.objects)
        for object_id, image in images.items():
            if image == self.pristine(object_id):
                objects.pop(object_id, None)
            else:
                objects[object_id] = image
        return self


class History:
    """Records in order, indexed by what is asked of them.

    Attributes:
        records: all of them; the one of sequence number ``s`` is ``records[s - 1]``.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._by_request: dict[str, Record] = {}
        self._of_object: dict[int, list[Record]] = {}
        self._undone: set[int] = set()
        self._era = 0  # records before belong to an earlier base version

    @property
    def sequence(self) -> int:
        """Sequence number of the last record, 0 if there is none."""
        return len(self.records)

    @property
    def base(self) -> str | None:
        """Label version that the last record works on, None if there is none."""
        return self.records[-1].base if self.records else None

    def add(self, record: Record) -> None:
        """Takes up the next record."""
        if self.base != record.base:
            self._era = len(self.records)
        self.records.append(record)
        self._by_request[record.request_id] = record
        for object_id in record.objects:
            self._of_object.setdefault(object_id, []).append(record)
        if record.undoes is not None:
            self._undone.add(record.undoes)
        if record.redoes is not None:
            self._undone.discard(record.redoes)

    def of_request(self, request_id: str) -> Record | None:
        """The record that answers a request, if it was answered."""
        return self._by_request.get(request_id)

    def of_object(self, object_id: int) -> Sequence[Record]:
        """Records that changed an object, in order."""
        return self._of_object.get(object_id, ())

    def changes_since(self, sequence: int, object_id: int) -> list[Record]:
        """Records after a sequence number that changed an object."""
        return [record for record in self.of_object(object_id) if record.sequence > sequence]

    def carries_over(self, record: Record) -> bool:
        """Whether it carries people's edits over from another base version."""
        return record.sequence > 1 and self.records[record.sequence - 2].base != record.base

    def state_at(self, sequence: int, base: Base) -> LabelState:
        """Labels right after a record (0: before all), on the base version of that record."""
        state: LabelState = _Replayed(base)
        for record in self._era_of(sequence):
            state = apply_all(state, record.edits)
        return LabelState(base, state.objects)

    def base_at(self, sequence: int) -> str | None:
        """Name of the version that the record of a sequence number works on."""
        return self.records[sequence - 1].base if sequence else None

    # --- taking back ------------------------------------------------------------------------------------------------

    def next_step(self, author: str, step: Step) -> tuple[int, bool] | None:
        """What an author's undo (redo) would do next: a record's number, and whether that is to be in effect then.

        None if there is nothing (more) to undo (redo). What somebody else has already taken back is passed over.
        """
        back: list[tuple[int, bool]] = []
        forth: list[tuple[int, bool]] = []
        for record in self.records[self._era :]:
            if record.author != author or self.carries_over(record):
                continue
            target = record.undoes or record.redoes
            if record.step is None:
                back.append((target or record.sequence, record.undoes is None))
                forth.clear()
                continue
            stack, other = (back, forth) if record.step is Step.UNDO else (forth, back)
            while stack and stack[-1][0] != target:  # passed over
                stack.pop()
            if stack:
                other.append(stack.pop())
        while step is Step.UNDO and back:
            number, effective = back.pop()
            if self.is_in_effect(number) is effective:
                return number, not effective
        while step is Step.REDO and forth:
            number, effective = forth.pop()
            if self.is_in_effect(number) is not effective:
                return number, effective
        return None

    def is_in_effect(self, sequence: int) -> bool:
        """Whether a record has not been taken back."""
        return sequence not in self._undone

    def toggled(self, state: LabelState, sequence: int, effective: bool) -> tuple[Edit, ...]:
        """Edits that take a record back, or do it again, and leave all that was done besides it.

        Raises:
            EditError: what was done later does not work without it (with it); says which record.
        """
        record = self._of_this_era(sequence)
        if self.is_in_effect(sequence) is effective:
            raise EditError(f"record {sequence} is {'in effect' if effective else 'taken back'} already")
        concerned = self._connected(record.objects)
        undone = self._undone ^ {sequence}
        wanted = LabelState(state.base)
        for other in self._touching(concerned):
            if other.sequence in undone or other.undoes is not None or other.redoes is not None:
                continue
            try:
                wanted = apply_all(wanted, other.edits)
            except EditError as error:
                without = "with" if effective else "without"
                raise EditError(
                    f"record {sequence} cannot be {'done again' if effective else 'taken back'}: record "
                    f"{other.sequence} of {other.author} does not work {without} it ({error}); take that back first"
                ) from error
        images: list[tuple[int, LabelObject | None]] = [
            (object_id, wanted.get(object_id))
            for object_id in sorted(concerned)
            if wanted.get(object_id) != state.get(object_id)
        ]
        return (Restore(object_id=images[0][0], images=tuple(images)),) if images else ()

    def _of_this_era(self, sequence: int) -> Record:
        if not 1 <= sequence <= len(self.records):
            raise EditError(f"there is no record {sequence}; the journal has records 1..{len(self.records)}")
        record = self.records[sequence - 1]
        if sequence <= self._era or self.carries_over(record):
            raise EditError(
                f"record {sequence} belongs to the base version {record.base} or carried edits over to it; it cannot "
                "be taken back"
            )
        if record.undoes is not None or record.redoes is not None:
            raise EditError(
                f"record {sequence} takes back or repeats record {record.undoes or record.redoes}; name that one"
            )
        return record

    def _connected(self, object_ids: Iterable[int]) -> set[int]:
        """Objects that records of this era tie to these: merged with them, split off them, changed in one commit."""
        found: set[int] = set()
        pending = list(object_ids)
        while pending:
            object_id = pending.pop()
            if object_id not in found:
                found.add(object_id)
                for record in self.of_object(object_id):
                    if record.sequence > self._era:
                        pending += record.objects
        return found

    def _touching(self, object_ids: set[int]) -> list[Record]:
        numbers = {r.sequence for object_id in object_ids for r in self.of_object(object_id)}
        return [self.records[number - 1] for number in sorted(numbers) if number > self._era]

    def _era_of(self, sequence: int) -> list[Record]:
        """Records up to a sequence number that work on the same base version as it."""
        first = sequence
        while first > 1 and not self.carries_over(self.records[first - 1]):
            first -= 1
        return self.records[max(first - 1, 0) : sequence]
