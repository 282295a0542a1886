"""Edits and records as messages, and back.

The message of a kind has the fields of the library's class, under the same names but for ``start_frame`` and
``stop_frame``; what the class requires, the message has to give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, cast

from fleetlabel.labels import Edit, Record, Step
from fleetlabel.labels.edits import KINDS
from fleetlabel.model.errors import EditError
from fleetlabel.v1 import edits_pb2
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.objects import object_message, object_of, value_message, value_of

MOST_EDITS = 10_000  # of one commit

_FIELD_OF = {"start": "start_frame", "stop": "stop_frame"}
# What may be None and has no default in the library: not to be given means None here.
_NULLABLE = {
    ("trim_start", "frame"),
    ("trim_end", "frame"),
    ("resize", "size_lwh_m"),
    ("set_stationary", "stationary"),
    ("set_attribute", "value"),
}
# Of each kind, but for object_id: what an edit says, and what it has to say.
_NAMES = {name: tuple(f.name for f in fields(kind) if f.name != "object_id") for name, kind in KINDS.items()}
_REQUIRED = {name: {f.name for f in fields(kind) if f.default is MISSING} for name, kind in KINDS.items()}
_STEPS = {
    None: edits_pb2.EDIT_STEP_UNSPECIFIED,
    Step.UNDO: edits_pb2.EDIT_STEP_UNDO,
    Step.REDO: edits_pb2.EDIT_STEP_REDO,
}
_STEP_OF = {number: step for step, number in _STEPS.items()}


def edit_message(edit: Edit, what: str = "edit") -> edits_pb2.Edit:
    """An edit.

    Raises:
        RequestError: it has a number or a text that a message cannot carry.
    """
    message = edits_pb2.Edit()
    try:
        message.object_id = edit.object_id
        said = getattr(message, edit.kind)
        said.SetInParent()
        for name in _NAMES[edit.kind]:
            _put(said, name, getattr(edit, name))
    except (ValueError, TypeError) as error:  # beyond 32 or 64 bits, or half a surrogate pair
        raise RequestError(f"{what}.{edit.kind}", "what a message can carry", str(error)) from error
    return message


def edit_of(message: edits_pb2.Edit, what: str = "edit") -> Edit:
    """The edit that a message holds.

    Raises:
        RequestError: something is missing, or of a wrong form; names the field.
        EditError: a value is none that the edit can have.
    """
    name = message.WhichOneof("kind")
    if name is None:
        raise RequestError(f"{what}.kind", "one of the kinds of edits", "none that this engine knows")
    if not message.HasField("object_id"):
        raise RequestError(f"{what}.object_id", "the object's id", "none")
    kind, said = KINDS[name], getattr(message, name)
    values: dict[str, Any] = {"object_id": message.object_id}
    for field in _NAMES[name]:
        value = _get(said, field, f"{what}.{name}")
        if value is not None or (name, field) in _NULLABLE:
            values[field] = value
        elif field in _REQUIRED[name]:
            raise RequestError(f"{what}.{name}.{_FIELD_OF.get(field, field)}", "a value", "none")
    try:
        return kind(**values)
    except EditError as error:
        raise EditError(f"{what}: {error}") from error


def edits_of(messages: Sequence[edits_pb2.Edit], what: str = "edits") -> tuple[Edit, ...]:
    """The edits of one commit.

    Raises:
        RequestError, EditError: as :func:`edit_of`; or there are too many, or none.
    """
    if not 1 <= len(messages) <= MOST_EDITS:
        raise RequestError(
            what, f"1 to {MOST_EDITS} edits", str(len(messages)), "make several commits of them"
        )
    return tuple(edit_of(message, f"{what}[{i}]") for i, message in enumerate(messages))


def record_message(record: Record) -> edits_pb2.EditRecord:
    """A record of the journal."""
    return edits_pb2.EditRecord(
        record=record.sequence,
        sha256=record.sha256,
        saved_ns=record.at_ns,
        author=record.author,
        reason=record.reason,
        base_version=record.base,
        active_ms=record.active_ms,
        request_id=record.request_id,
        edits=[edit_message(edit) for edit in record.edits],
        undoes=record.undoes,
        redoes=record.redoes,
        step=_STEPS[record.step],
    )


def record_of(message: edits_pb2.EditRecord) -> Record:
    """The record that a message holds.

    Raises:
        RequestError, EditError: as :func:`edit_of`.
    """
    return Record(
        sequence=message.record,
        sha256=message.sha256,
        at_ns=message.saved_ns,
        author=message.author,
        reason=message.reason,
        base=message.base_version,
        active_ms=message.active_ms,
        request_id=message.request_id,
        edits=tuple(edit_of(edit, f"edits[{i}]") for i, edit in enumerate(message.edits)),
        undoes=message.undoes if message.HasField("undoes") else None,
        redoes=message.redoes if message.HasField("redoes") else None,
        step=_STEP_OF.get(message.step),
    )


def _put(said: Any, name: str, value: Any) -> None:
    if value is None or (name == "camera" and value == ""):
        return
    if name == "images":
        for object_id, image in value:
            said.images.add(object_id=object_id, object=None if image is None else object_message(image))
    elif isinstance(said, edits_pb2.SetAttributeEdit) and name == "value":
        said.value.CopyFrom(value_message(value))
    elif isinstance(value, tuple):
        getattr(said, name).extend(value)
    else:
        setattr(said, _FIELD_OF.get(name, name), value)


def _get(said: Any, name: str, what: str) -> Any:
    """A field's value, None if it was not given."""
    field = _FIELD_OF.get(name, name)
    if name == "images":
        return _images(cast("edits_pb2.RestoreEdit", said), f"{what}.images")
    if _is_repeated(said, field):
        return tuple(getattr(said, field)) or None
    if not said.HasField(field):
        return None
    if isinstance(said, edits_pb2.SetAttributeEdit) and name == "value":
        return value_of(said.value, f"{what}.value")
    return getattr(said, field)


def _images(said: edits_pb2.RestoreEdit, what: str) -> tuple[tuple[int, Any], ...]:
    return tuple(
        (each.object_id, object_of(each.object, f"{what}[{i}].object") if each.HasField("object") else None)
        for i, each in enumerate(said.images)
    )


def _is_repeated(said: Any, field: str) -> bool:
    repeated: bool = said.DESCRIPTOR.fields_by_name[field].is_repeated
    return repeated
