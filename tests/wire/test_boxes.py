"""Blocks of boxes: there and back, and what is no block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.v1 import boxes_pb2
from fleetlabel.wire.boxes import Block, boxes2d_message, boxes2d_of, boxes3d_message, boxes3d_of
from fleetlabel.wire.errors import RequestError
from wire.messages import blocks

_CUBOIDS = Block(
    Boxes3D(
        class_names=("car", "person"),
        frame=[3, 3, 5],
        timestamp_ns=[30, 30, 50],
        class_id=[0, 1, 0],
        center_m=np.arange(9.0).reshape(3, 3),
        size_lwh_m=np.ones((3, 3)),
        q_wxyz=np.tile([1.0, 0, 0, 0], (3, 1)),
        ignore=[True, False, False],
    ),
    3,
    6,
    "",
    (),
    np.full(3, -1, dtype=np.int16),
)


def _same(one: Block[Any], two: Block[Any]) -> None:
    assert (one.start, one.stop, one.camera, one.provenances) == (
        two.start,
        two.stop,
        two.camera,
        two.provenances,
    )
    assert one.boxes.class_names == two.boxes.class_names
    np.testing.assert_array_equal(one.provenance, two.provenance)
    for name, column in one.boxes.columns().items():
        other = getattr(two.boxes, name)
        assert other.dtype == column.dtype
        np.testing.assert_array_equal(column, other, err_msg=name)


@settings(deadline=None, max_examples=40)
@given(blocks(Boxes2D, "front"))
def test_2d_boxes_arrive_as_they_were(block: Block[Boxes2D]) -> None:
    _same(block, boxes2d_of(boxes_pb2.Boxes2D.FromString(boxes2d_message(block).SerializeToString())))


@settings(deadline=None, max_examples=40)
@given(blocks(Boxes3D))
def test_cuboids_arrive_as_they_were(block: Block[Boxes3D]) -> None:
    _same(block, boxes3d_of(boxes_pb2.Boxes3D.FromString(boxes3d_message(block).SerializeToString())))


def test_a_column_of_defaults_takes_no_bytes_and_others_are_little_endian() -> None:
    message = boxes3d_message(_CUBOIDS)
    columns = message.columns
    assert not (
        columns.score_f32 or columns.track_id_i64 or columns.truncation_f32 or message.velocity_mps_f32
    )
    assert columns.frame_i32 == bytes([3, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0])
    assert columns.ignore_u8 == b"\1\0\0" and columns.row_count == 3
    assert np.frombuffer(columns.frame_ptr_i64, "<i8").tolist() == [0, 2, 2, 3]
    assert np.frombuffer(message.center_m_f64, "<f8").tolist() == list(range(9))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("row_count", -1),
        ("row_count", 2),
        ("row_count", 2**31 - 1),
        ("start_frame", -1),
        ("start_frame", 4),
        ("stop_frame", 2),
        ("stop_frame", 2**31 - 1),
        ("frame_ptr_i64", b""),
        ("frame_ptr_i64", np.array([0, 1, 2, 3]).tobytes()),
        ("frame_i32", b"\0" * 11),
        ("frame_i32", np.array([5, 3, 3], dtype="<i4").tobytes()),
        ("frame_i32", np.array([3, 3, 6], dtype="<i4").tobytes()),
        ("timestamp_ns_i64", b"\0"),
        ("class_id_i16", np.array([0, 2, 0], dtype="<i2").tobytes()),
        ("class_id_i16", np.array([0, -1, 0], dtype="<i2").tobytes()),
        ("score_f32", b"\0" * 8),
        ("ignore_u8", b"\0\2\0"),
        ("provenance_i16", np.array([0, 0, 0], dtype="<i2").tobytes()),
    ],
)
def test_what_is_no_block_is_refused_by_the_name_of_the_field(field: str, value: Any) -> None:
    message = boxes3d_message(_CUBOIDS)
    setattr(message.columns, field, value)
    with pytest.raises(RequestError) as refused:
        boxes3d_of(message, "object.cuboids.boxes")
    assert refused.value.what.startswith("object.cuboids.boxes")


def test_a_block_without_classes_has_no_rows_of_a_class() -> None:
    message = boxes3d_message(_CUBOIDS)
    del message.columns.class_names[:]
    with pytest.raises(RequestError, match="class"):
        boxes3d_of(message)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_bytes_do_more_than_be_refused(data: st.DataObject) -> None:
    """Whatever a message's bytes are made into: a block, or an error that says what is wrong."""
    good = bytearray(boxes3d_message(_CUBOIDS).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(good) - 1))
        good[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        good = good or bytearray(b"\0")
    try:
        block = boxes3d_of(boxes_pb2.Boxes3D.FromString(bytes(good)))
    except (FleetLabelError, DecodeError):
        return
    assert len(block.boxes) == len(block.provenance)
