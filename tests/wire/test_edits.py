"""Edits, records and objects: there and back, and what is no edit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetlabel.labels import Edit, LabelObject, ObjectBoxes, Record, Step
from fleetlabel.labels import edits as e
from fleetlabel.labels.edits import KINDS
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import EditError, FleetLabelError
from fleetlabel.v1 import edits_pb2, objects_pb2
from fleetlabel.wire.edits import edit_message, edit_of, edits_of, record_message, record_of
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.objects import object_message, object_of, solved_message, solved_of
from labels.random_edits import edits
from wire.messages import blocks, objects

_OBJECTS = st.integers(0, 9).flatmap(objects)
_RESTORES = st.lists(st.tuples(st.integers(0, 9), st.none() | _OBJECTS), min_size=1, max_size=3).map(
    lambda images: e.Restore(object_id=images[0][0], images=tuple(images))
)


def _through(message: Message) -> Any:
    return type(message).FromString(message.SerializeToString())


@settings(deadline=None, max_examples=300)
@given(edits() | _RESTORES)
def test_an_edit_arrives_as_it_was(edit: Edit) -> None:
    assert edit_of(_through(edit_message(edit))) == edit


def test_kinds_have_the_names_that_the_library_has() -> None:
    oneof = edits_pb2.Edit.DESCRIPTOR.oneofs_by_name["kind"]
    assert {field.name for field in oneof.fields} == set(KINDS)


@settings(deadline=None)
@given(_OBJECTS)
def test_an_object_arrives_as_it_was(item: LabelObject) -> None:
    assert object_of(_through(object_message(item)), "object") == item


@settings(deadline=None, max_examples=15)
@given(_OBJECTS, blocks(Boxes3D), blocks(Boxes2D, "front"))
def test_an_object_arrives_with_its_boxes(item: LabelObject, solid: Any, flat: Any) -> None:
    std = {"": np.full((len(solid.boxes), 3), 0.25), "front": np.full((len(flat.boxes), 4), math.nan)}
    boxes = ObjectBoxes(solid.boxes, {"front": flat.boxes}, frozenset(["", "front"]), std)
    back, name, found = solved_of(_through(solved_message(item, "car", boxes, 50)))
    assert (back, name) == (item, "car")
    np.testing.assert_array_equal(found.cuboids.center_m, boxes.cuboids.center_m)
    assert set(found.pictures) == ({"front"} if len(flat.boxes) else set())
    for camera, shown in found.pictures.items():
        np.testing.assert_array_equal(shown.xyxy_px, boxes.pictures[camera].xyxy_px)
        np.testing.assert_array_equal(found.std[camera], std[camera])
    np.testing.assert_array_equal(found.std[""], std[""])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(edits(), min_size=1, max_size=3), st.sampled_from([None, *Step]), st.none() | st.integers(1, 9)
)
def test_a_record_arrives_as_it_was(said: list[Edit], step: Step | None, other: int | None) -> None:
    record = Record(
        sequence=12,
        sha256="ab" * 32,
        at_ns=1_700_000_000_123_456_789,
        author="ada",
        reason="too far left",
        base="auto",
        active_ms=1234,
        request_id="r-1",
        edits=tuple(said),
        undoes=other,
        step=step,
    )
    assert record_of(_through(record_message(record))) == record


def _bare(kind: str) -> edits_pb2.Edit:
    message = edits_pb2.Edit(object_id=1)
    getattr(message, kind).SetInParent()
    return message


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_required_and_was_forgotten_is_refused(kind: str) -> None:
    """Never is a forgotten field taken for 0 or nothing."""
    complete = {"delete_object", "set_absent", "clear_absent", "flip_heading", "accept"}
    takes_back = {"trim_start", "trim_end", "resize", "set_stationary"}
    if kind in complete | takes_back:
        edit_of(_bare(kind))
    else:
        with pytest.raises((RequestError, EditError)):
            edit_of(_bare(kind))
    without_object = _bare(kind)
    without_object.ClearField("object_id")
    with pytest.raises(RequestError, match=r"object_id: expected"):
        edit_of(without_object)


def test_every_required_field_is_asked_for_by_its_name() -> None:
    said = edits_pb2.Edit(object_id=1, set_keyframe_3d={"frame": 3, "center_m": [1, 2, 3]})
    with pytest.raises(RequestError) as refused:
        edits_of([said])
    assert refused.value.what == "edits[0].set_keyframe_3d.yaw_rad"
    with pytest.raises(RequestError, match=r"edit\.kind"):
        edit_of(edits_pb2.Edit(object_id=1))


@pytest.mark.parametrize(
    "said",
    [
        {"set_keyframe_3d": {"frame": 3, "center_m": [1, 2], "yaw_rad": 0}},
        {"set_keyframe_3d": {"frame": 3, "center_m": [1, 2, math.nan], "yaw_rad": 0}},
        {"set_keyframe_3d": {"frame": 3, "center_m": [1, 2, 3], "yaw_rad": math.inf}},
        {"set_keyframe_3d": {"frame": -3, "center_m": [1, 2, 3], "yaw_rad": 0}},
        {"set_keyframe_3d": {"frame": 3, "center_m": [1, 2, 3], "yaw_rad": 0, "size_lwh_m": [1, 0, 1]}},
        {"set_keyframe_2d": {"frame": 3, "camera": "front", "xyxy_px": [5, 5, 5, 9]}},
        {"set_attribute": {"name": "speed", "value": {"double_value": math.nan}}},
        {"set_attribute": {"name": "speed", "value": {}}},
        {"set_attribute": {"name": " ", "value": {"bool_value": True}}},
        {"escalate": {"text": "x" * 10_001}},
        {"set_flags": {"occlusion": 4}},
        {"restore": {}},
        {"restore": {"images": [{"object_id": 2}]}},
        {
            "restore": {
                "images": [{"object_id": 1, "object": {"classes": [{"start_frame": 4, "stop_frame": 2}]}}]
            }
        },
        {"restore": {"images": [{"object_id": 1, "object": {"size_lwh_m": [1.0]}}]}},
        {"restore": {"images": [{"object_id": 1, "object": {"flags": [{"flag": 9}]}}]}},
        {
            "restore": {
                "images": [{"object_id": 1, "object": {"cuboid_keyframes": [{"center_m": [0, 0, math.inf]}]}}]
            }
        },
    ],
)
def test_values_that_no_label_can_have_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises((RequestError, EditError)):
        edit_of(edits_pb2.Edit(object_id=1, **said))


def test_what_a_message_cannot_carry_is_said_before_it_is_sent() -> None:
    for edit in (
        e.DeleteObject(object_id=2**70),
        e.UnsetKeyframe3D(object_id=1, frame=2**40),
        e.Escalate(object_id=1, text="\udcff"),
    ):
        with pytest.raises(RequestError):
            edit_message(edit)
    with pytest.raises(RequestError, match="10000"):
        edits_of([edits_pb2.Edit()] * 10_001)
    with pytest.raises(RequestError):
        edits_of([])


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    for kind, read in (
        (edits_pb2.Edit, edit_of),
        (objects_pb2.LabelObject, lambda m: object_of(m, "object")),
    ):
        try:
            read(kind.FromString(data))
        except (FleetLabelError, DecodeError):
            continue
