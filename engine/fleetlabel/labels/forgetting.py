"""People's words about what was deleted on purpose, taken out of objects, of saved versions and of the journal."""

from __future__ import annotations

import json
import os
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fleetlabel.labels.codec import object_from_json, object_to_json
from fleetlabel.labels.edit_bases import Edit, FrameEdit, NoteEdit, RangeEdit, TrimEdit
from fleetlabel.labels.edits import Restore
from fleetlabel.labels.labels import Labels
from fleetlabel.labels.objects import LabelObject
from fleetlabel.labels.records import Record
from fleetlabel.labels.spans import Spans
from fleetlabel.store import SequenceStore
from fleetlabel.store.durable import PENDING, sync, write_errors
from fleetlabel.store.groups import canonical_json
from fleetlabel.store.journal import JournalFile

V = TypeVar("V", bound=bool | int | float | str)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What nothing may be said of any more.

    Attributes:
        frames: ``start, stop``; None: of no frames in particular.
        camera: whose pictures are gone; "" for cuboids, None for none.
    """

    frames: tuple[int, int] | None = None
    camera: str | None = None

    def of(self, item: LabelObject) -> LabelObject | None:
        """What is left of an object, None if that is nothing."""
        if self.frames is not None:
            item = _without_frames(item, *self.frames)
        if self.camera is not None:
            item = _without_camera(item, self.camera)
        return item if item.segments or item.poses or item.boxes else None

    def of_document(self, document: bytes) -> bytes:
        """What is left of an object as a saved version holds it; nothing stays nothing."""
        left = self.of(object_from_json(json.loads(document))) if document else None
        return b"" if left is None else canonical_json(object_to_json(left)).encode()

    def concerns(self, edit: Edit) -> bool:
        """Whether an edit says something of it."""
        if isinstance(edit, Restore):
            return any(image is not None and self.of(image) != image for _, image in edit.images)
        if self.camera is not None and _is_about(edit, self.camera):
            return True
        if self.frames is None:
            return False
        start, stop = self.frames
        if isinstance(edit, RangeEdit):
            return (edit.stop is None or edit.stop > start) and (edit.start or 0) < stop
        if isinstance(edit, FrameEdit | TrimEdit | NoteEdit):
            return edit.frame is not None and start <= edit.frame < stop
        return False


def condense_journal(store: SequenceStore, forgotten: Forgotten, *, author: str, reason: str) -> bool:
    """Writes the journal anew without what is to be forgotten: who edited when stays, what they did becomes one
    record, by ``author``, that holds all objects as they are now.

    Sequence numbers stay, and so do ids that were drawn from them.

    Returns:
        Whether there was anything to forget; if not, the journal is as it was.
    """
    journal = store.journal()
    if not journal.read():
        return False
    labels = Labels.open(store)
    if not any(forgotten.concerns(edit) for record in labels.history.records for edit in record.edits):
        return False
    assert isinstance(journal, JournalFile)  # stores on object storage are refused before
    with journal.writing():
        labels.refresh()
        images = _images(labels.now.state.objects, forgotten)
        last = Record(
            sequence=labels.sequence + 1,
            at_ns=time.time_ns(),
            author=author,
            reason=reason,
            base=labels.base.name,
            active_ms=0,
            request_id=uuid.uuid4().hex,
            edits=(Restore(object_id=images[0][0], images=images),) if images else (),
        )
        emptied = [_emptied(record) for record in labels.history.records]
        scratch = journal.path.with_name(f"{PENDING}{journal.path.name}-{secrets.token_hex(6)}")
        with JournalFile(scratch).writing() as writer:
            for record in (*emptied, last):
                writer.append(record.text())
        with write_errors(journal.path):
            os.replace(scratch, journal.path)  # noqa: PTH105 - as atomic as a rename, and says that it replaces
            sync(journal.path.parent)
    return True


def _images(
    objects: Mapping[int, LabelObject | None], forgotten: Forgotten
) -> tuple[tuple[int, LabelObject | None], ...]:
    left = ((key, None if objects[key] is None else forgotten.of(objects[key])) for key in sorted(objects))  # type: ignore[arg-type]
    return tuple(left)


def _emptied(record: Record) -> Record:
    return replace(record, edits=(), reason="", undoes=None, redoes=None, step=None)


def _is_about(edit: Edit, camera: str) -> bool:
    if camera:
        return getattr(edit, "camera", None) == camera
    fields: dict[str, Any] = {
        name: getattr(edit, name, None) for name in ("center_m", "size_lwh_m", "yaw_rad")
    }
    return any(value is not None for value in fields.values())


def _without_frames(item: LabelObject, start: int, stop: int) -> LabelObject:
    def kept(frame: int | None) -> bool:
        return frame is None or not start <= frame < stop

    def cut(spans: Spans[V]) -> Spans[V]:
        return spans.assign(start, stop, None)

    return replace(
        item,
        poses={frame: pose for frame, pose in item.poses.items() if kept(frame)},
        boxes={key: box for key, box in item.boxes.items() if kept(key[1])},
        flags={key: left for key, spans in item.flags.items() if (left := cut(spans))},
        classes=cut(item.classes),
        attributes={name: left for name, spans in item.attributes.items() if (left := cut(spans))},
        accepted=cut(item.accepted),
        notes=tuple(note for note in item.notes if kept(note.frame)),
    )


def _without_camera(item: LabelObject, camera: str) -> LabelObject:
    item = replace(
        item,
        segments=tuple(segment for segment in item.segments if segment.camera != camera),
        boxes={key: box for key, box in item.boxes.items() if key[0] != camera},
    )
    if camera:
        return replace(item, flags={key: spans for key, spans in item.flags.items() if key[1] != camera})
    return replace(item, poses={}, size_lwh_m=None, stationary=None, flipped=False)
