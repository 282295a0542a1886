"""Versions, items of the queue and what a rebase leaves open, as messages and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2

from fleetlabel.labels import CarriedOver, Item, Misfit, Progress
from fleetlabel.store import LabelVersion
from fleetlabel.v1 import label_service_pb2 as pb


def version_message(version: LabelVersion) -> pb.LabelVersion:
    """A label version."""
    message = pb.LabelVersion(
        name=version.name,
        created_ns=version.created_ns,
        class_names=version.class_names,
        cameras=version.cameras,
        has_boxes3d=version.has_boxes3d,
        base_version=version.base or "",
        record=int(version.provenance.get("journal_sequence", 0)),
    )
    message.provenance.CopyFrom(struct_of(version.provenance))
    return message


def version_of(message: pb.LabelVersion) -> LabelVersion:
    """The version that a message tells of; numbers of its provenance are floating point."""
    return LabelVersion(
        name=message.name,
        class_names=tuple(message.class_names),
        cameras=tuple(message.cameras),
        has_boxes3d=message.has_boxes3d,
        provenance=json_format.MessageToDict(message.provenance),
        created_ns=message.created_ns,
        base=message.base_version or None,
    )


def item_message(item: Item, sequence_id: str, lease_until_ns: int) -> pb.QueueItem:
    """One box that is worth a look."""
    return pb.QueueItem(
        sequence_id=sequence_id,
        object_id=item.object_id,
        frame=item.frame,
        camera=item.camera,
        score=item.score,
        fixes=item.fixes,
        work_s=item.seconds,
        wrong=item.wrong,
        reason=item.reason,
        lease_until_ns=lease_until_ns,
    )


def item_of(message: pb.QueueItem) -> Item:
    """The box that a message tells of; its ``sequence`` is the sequence_id."""
    return Item(
        sequence=message.sequence_id,
        object_id=message.object_id,
        frame=message.frame,
        camera=message.camera,
        score=message.score,
        fixes=message.fixes,
        seconds=message.work_s,
        wrong=message.wrong,
        reason=message.reason,
    )


def progress_message(progress: Progress, sequence_id: str) -> pb.QueueProgress:
    """How far the work on a sequence is."""
    return pb.QueueProgress(
        sequence_id=sequence_id,
        boxes=progress.boxes,
        looked_at=progress.looked_at,
        expected_wrong=progress.expected_wrong,
        expected_wrong_share=progress.share,
        done=progress.done,
        escalated_object_ids=progress.escalated,
    )


def progress_of(message: pb.QueueProgress) -> Progress:
    """The inverse of :func:`progress_message`."""
    return Progress(
        message.boxes,
        message.looked_at,
        message.expected_wrong,
        message.expected_wrong_share,
        message.done,
        tuple(message.escalated_object_ids),
    )


def misfit_message(misfit: Misfit) -> pb.Misfit:
    """Something that people said, and the new base version has no place for."""
    return pb.Misfit(
        object_id=misfit.object_id, new_id=misfit.new_id, frames=misfit.frames, problem=misfit.problem
    )


def carried_of(message: pb.RebaseEditsResponse) -> CarriedOver:
    """What became of people's objects; the objects themselves are not sent."""
    misfits = tuple(
        Misfit(m.object_id, m.new_id if m.HasField("new_id") else None, tuple(m.frames), m.problem)
        for m in message.misfits
    )
    return CarriedOver({}, {each.given_id: each.object_id for each in message.new_ids}, misfits)


def struct_of(document: Mapping[str, Any]) -> struct_pb2.Struct:
    """A JSON-ready mapping as a message; whole numbers become floating point."""
    message = struct_pb2.Struct()
    message.update(document)
    return message
