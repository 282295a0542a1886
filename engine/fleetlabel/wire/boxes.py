"""Columnar boxes as blocks on the wire, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic

import numpy as np

from fleetlabel.geometry.arrays import I16, AnyArray
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D
from fleetlabel.store.boxes import B
from fleetlabel.v1 import boxes_pb2
from fleetlabel.wire.columns import column_bytes, column_of, field_name
from fleetlabel.wire.errors import RequestError

_COMMON = frozenset(Boxes.column_names())


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where boxes come from; texts are empty where something does not apply.

    Attributes:
        version: label version that they were first in; empty for boxes that follow from people's edits.
        stage: ``detect`` or ``lift``, whose run detected the object.
        run_id: of that run.
        model_sha256: of the weights.
        solver: what filled in around people's keyframes.
    """

    version: str = ""
    stage: str = ""
    run_id: str = ""
    model_sha256: str = ""
    solver: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Block(Generic[B]):
    """All boxes of a range of frames.

    Attributes:
        boxes: of the frames ``start:stop``, and no others.
        start, stop: frames.
        camera: whose pictures they are in; "" for cuboids.
        provenances: where boxes come from.
        provenance: (N,) int16 row of ``provenances``, -1 unknown.
    """

    boxes: B
    start: int
    stop: int
    camera: str
    provenances: tuple[Provenance, ...]
    provenance: I16


def boxes2d_message(block: Block[Boxes2D]) -> boxes_pb2.Boxes2D:
    """A block of 2D boxes."""
    message = boxes_pb2.Boxes2D(camera=block.camera)
    _fill(message, block)
    return message


def boxes3d_message(block: Block[Boxes3D]) -> boxes_pb2.Boxes3D:
    """A block of cuboids."""
    message = boxes_pb2.Boxes3D()
    _fill(message, block)
    return message


def boxes2d_of(message: boxes_pb2.Boxes2D, what: str = "boxes") -> Block[Boxes2D]:
    """The block that a message holds; its columns share the message's memory and are not to be written to.

    Raises:
        RequestError: it is not as boxes.proto says; names the field.
    """
    return _block(message, Boxes2D, message.camera, what)


def boxes3d_of(message: boxes_pb2.Boxes3D, what: str = "boxes") -> Block[Boxes3D]:
    """The block that a message holds; see :func:`boxes2d_of`."""
    return _block(message, Boxes3D, "", what)


def joined(blocks: Sequence[Block[B]], kind: type[B]) -> B:
    """Boxes of consecutive blocks, none of which need be there."""
    if not blocks:
        return kind.empty(())
    return blocks[0].boxes if len(blocks) == 1 else kind.concatenate([block.boxes for block in blocks])


def _fill(message: Any, block: Block[Any]) -> None:
    boxes, columns = block.boxes, message.columns
    columns.row_count = len(boxes)
    columns.start_frame, columns.stop_frame = block.start, block.stop
    pointers = np.searchsorted(boxes.frame, np.arange(block.start, block.stop + 1, dtype=np.int32))
    columns.frame_ptr_i64 = column_bytes(pointers.astype(np.int64))
    columns.class_names.extend(boxes.class_names)
    for each in block.provenances:
        columns.provenances.add(
            version=each.version,
            stage=each.stage,
            run_id=each.run_id,
            model_sha256=each.model_sha256,
            solver=each.solver,
        )
    for name, dtype, _, default in _specs(type(boxes)):
        target = columns if name in _COMMON else message
        setattr(target, field_name(name, dtype), column_bytes(getattr(boxes, name), default))
    if block.provenances:
        columns.provenance_i16 = column_bytes(block.provenance, 0)


def _block(message: Any, kind: type[B], camera: str, what: str) -> Block[B]:
    columns = message.columns
    rows, start, stop = columns.row_count, columns.start_frame, columns.stop_frame
    where = f"{what}.columns"
    if rows < 0:
        raise RequestError(f"{where}.row_count", "0 or more", str(rows))
    if not 0 <= start <= stop:
        raise RequestError(f"{where}.stop_frame", "0 <= start_frame <= stop_frame", f"{start} and {stop}")
    found: dict[str, AnyArray] = {}
    for name, dtype, shape, default in _specs(kind):
        common = name in _COMMON
        field = field_name(name, dtype)
        data = getattr(columns if common else message, field)
        found[name] = column_of(data, f"{where if common else what}.{field}", dtype, rows, shape, default)
    _check_frames(columns, found["frame"], where)
    provenances = tuple(
        Provenance(each.version, each.stage, each.run_id, each.model_sha256, each.solver)
        for each in columns.provenances
    )
    provenance = column_of(
        columns.provenance_i16, f"{where}.provenance_i16", np.int16, rows, (), 0 if provenances else -1
    )
    if rows and not -1 <= int(provenance.min()) <= int(provenance.max()) < len(provenances):
        expected = f"-1 to {len(provenances) - 1}"
        raise RequestError(
            f"{where}.provenance_i16", expected, f"{int(provenance.min())} to {int(provenance.max())}"
        )
    try:
        boxes = kind.from_columns(tuple(columns.class_names), found)
    except ValueError as error:
        raise RequestError(what, "boxes", f"something else: {error}") from error
    return Block(boxes, start, stop, camera, provenances, provenance)


def _check_frames(columns: boxes_pb2.BoxColumns, frame: AnyArray, where: str) -> None:
    start, stop = columns.start_frame, columns.stop_frame
    if len(frame) and not start <= int(frame.min()) <= int(frame.max()) < stop:
        raise RequestError(
            f"{where}.frame_i32", f"{start} to {stop - 1}", f"{int(frame.min())} to {int(frame.max())}"
        )
    pointers = column_of(columns.frame_ptr_i64, f"{where}.frame_ptr_i64", np.int64, stop - start + 1)
    if not np.array_equal(pointers, np.searchsorted(frame, np.arange(start, stop + 1))):
        raise RequestError(
            f"{where}.frame_ptr_i64", "where each frame's rows begin in frame_i32", "something else"
        )


def _specs(kind: type[Boxes]) -> list[tuple[str, np.dtype[Any], tuple[int, ...], float | None]]:
    """Name, dtype, trailing shape and default of every column."""
    found = [(field.name, field.metadata) for field in fields(kind) if field.metadata]
    return [(name, meta["dtype"], meta["shape"], meta["default"]) for name, meta in found]
