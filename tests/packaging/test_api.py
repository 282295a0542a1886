"""The API's messages: all of them work, say what they mean, and can carry what the library knows."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

from fleetlabel.labels import LabelObject, Segment, Step
from fleetlabel.labels.edits import KINDS, Restore
from fleetlabel.labels.labels import Conflict
from fleetlabel.labels.objects import Flag, Note
from fleetlabel.labels.queue import Item, Progress
from fleetlabel.labels.rebasing import Misfit
from fleetlabel.labels.records import Record
from fleetlabel.model.boxes import Boxes, Boxes2D, Boxes3D, Source
from fleetlabel.model.cameras import FisheyeCamera, PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import LabelVersion, SampleStatus
from fleetlabel.v1 import (
    boxes_pb2,
    edits_pb2,
    errors_pb2,
    export_service_pb2,
    frame_service_pb2,
    frames_pb2,
    label_service_pb2,
    objects_pb2,
    operation_service_pb2,
    operations_pb2,
    prelabel_service_pb2,
    sensors_pb2,
    sequence_service_pb2,
    tracking_service_pb2,
)

PROTO = Path(__file__).parents[2] / "proto"
MODULES = [
    boxes_pb2, edits_pb2, errors_pb2, export_service_pb2, frame_service_pb2, frames_pb2, label_service_pb2,
    objects_pb2, operation_service_pb2, operations_pb2, prelabel_service_pb2, sensors_pb2, sequence_service_pb2,
    tracking_service_pb2,
]  # fmt: skip
MESSAGES = {
    message.name: message
    for module in MODULES
    for message in module.DESCRIPTOR.message_types_by_name.values()
}
# The library's names and the API's, where they differ.
FRAMES = {"start": "start_frame", "stop": "stop_frame"}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """All files of the API with their comments."""
    made = tmp_path_factory.mktemp("api") / "api.binpb"
    sources = sorted(str(path) for path in PROTO.rglob("*.proto"))
    google = Path(str(protoc.__file__)).parent / "_proto"
    options = [f"-I{PROTO}", f"-I{google}", f"--descriptor_set_out={made}", "--include_source_info"]
    assert protoc.main(["protoc", *options, *sources]) == 0
    return FileDescriptorSet.FromString(made.read_bytes())


# --- every message ----------------------------------------------------------------------------------------------------


def filled(message: Descriptor, number: int) -> Any:
    """A message with something in every field; of a oneof, the field that ``number`` chooses."""
    built = GetMessageClass(message)()
    if isinstance(built, struct_pb2.Struct):
        built.update({"tracker3d": {"max_gap_s": 0.5}})
        return built
    chosen = {oneof.name: oneof.fields[number % len(oneof.fields)] for oneof in message.oneofs}
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is not None and chosen[oneof.name] is not field:
            continue
        value = value_of(field, number)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(built, field.name)["car"] = 7
        elif field.is_repeated:
            getattr(built, field.name).extend([value, value])
        elif field.message_type is not None:
            getattr(built, field.name).CopyFrom(value)
        else:
            setattr(built, field.name, value)
    return built


def value_of(field: FieldDescriptor, number: int) -> Any:
    """Something that a field can hold."""
    if field.message_type is not None:
        return filled(field.message_type, number)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    return {
        FieldDescriptor.CPPTYPE_STRING: b"\x00\xff" if field.type == FieldDescriptor.TYPE_BYTES else "Größe",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_INT32: -(2**31),
        FieldDescriptor.CPPTYPE_INT64: 2**63 - 1,
        FieldDescriptor.CPPTYPE_DOUBLE: -0.1,
    }[field.cpp_type]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_message_comes_back_as_it_was_sent(name: str) -> None:
    descriptor = MESSAGES[name]
    ways = max([len(oneof.fields) for oneof in descriptor.oneofs], default=1)
    for number in range(ways):
        message = filled(descriptor, number)
        kind = type(message)
        assert kind.FromString(message.SerializeToString()) == message
        assert json_format.Parse(json_format.MessageToJson(message), kind()) == message


# --- style ------------------------------------------------------------------------------------------------------------


def parts(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Path (as source info counts it) and name of all that must have a comment."""
    for number, message in enumerate(file.message_type):
        yield (4, number), message.name
        assert not message.nested_type or all(kind.options.map_entry for kind in message.nested_type)
        for row, field in enumerate(message.field):
            yield (4, number, 2, row), f"{message.name}.{field.name}"
    for number, enum in enumerate(file.enum_type):
        yield (5, number), enum.name
        for row, value in enumerate(enum.value):
            yield (5, number, 2, row), value.name
    for number, service in enumerate(file.service):
        yield (6, number), service.name
        for row, method in enumerate(service.method):
            yield (6, number, 2, row), f"{service.name}.{method.name}"


def test_everything_has_a_comment(described: FileDescriptorSet) -> None:
    for file in described.file:
        comments = {tuple(at.path): at.leading_comments.strip() for at in file.source_code_info.location}
        silent = [name for path, name in parts(file) if not comments.get(path, "").endswith((".", ")"))]
        assert silent == [], file.name


def test_names_are_those_that_buf_wants(described: FileDescriptorSet) -> None:
    used: list[str] = []
    for file in described.file:
        assert file.package == "fleetlabel.v1" and file.name.startswith("fleetlabel/v1/")
        assert bool(file.service) == file.name.endswith("_service.proto")
        for enum in file.enum_type:
            prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum.name).lstrip("_") + "_"
            assert (enum.value[0].name, enum.value[0].number) == (f"{prefix}UNSPECIFIED", 0)
            assert all(value.name.startswith(prefix) for value in enum.value)
        for service in file.service:
            assert service.name.endswith("Service")
            for method in service.method:
                assert method.input_type == f".fleetlabel.v1.{method.name}Request"
                assert method.output_type == f".fleetlabel.v1.{method.name}Response"
                used += [method.input_type, method.output_type]
    assert len(used) == len(set(used))
    spoken = {f".fleetlabel.v1.{name}" for name in MESSAGES if name.endswith(("Request", "Response"))}
    assert spoken == set(used)


# --- what the library knows -------------------------------------------------------------------------------------------


def field_names(message: Descriptor) -> set[str]:
    return {field.name for field in message.fields}


def library_names(kind: type, **renamed: str) -> set[str]:
    """Names of a dataclass's fields as the API has them; those that are renamed to "" are not in it."""
    names = {field.name for field in dataclasses.fields(kind)}
    assert set(renamed) <= names
    return {renamed.get(name, name) for name in names} - {""}


def test_there_is_a_kind_of_edit_for_each_of_the_library() -> None:
    assert [field.name for field in edits_pb2.Edit.DESCRIPTOR.oneofs_by_name["kind"].fields] == list(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_edit_says_what_the_library_s_says(kind: str) -> None:
    edit, message = KINDS[kind], edits_pb2.Edit.DESCRIPTOR.fields_by_name[kind].message_type
    hints = typing.get_type_hints(edit)
    said = {field.name for field in dataclasses.fields(edit)} - {"object_id"}
    assert {FRAMES.get(name, name) for name in said} == field_names(message)
    if edit is Restore:
        return
    for name in said:
        field = message.fields_by_name[FRAMES.get(name, name)]
        hint = hints[name]
        given = [one for one in typing.get_args(hint) if one is not types.NoneType]
        plain = given if isinstance(hint, types.UnionType) else [hint]
        if name == "value":
            assert field.message_type is objects_pb2.AttributeValue.DESCRIPTOR
        elif typing.get_origin(plain[0]) is tuple:
            assert field.is_repeated and field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE
        else:
            # What was not given can be told from 0, "" and false.
            assert field.has_presence
            is_id = name in edit.others
            whole = FieldDescriptor.CPPTYPE_INT64 if is_id else FieldDescriptor.CPPTYPE_INT32
            assert [field.cpp_type] == [
                {
                    int: whole,
                    float: FieldDescriptor.CPPTYPE_DOUBLE,
                    str: FieldDescriptor.CPPTYPE_STRING,
                    bool: FieldDescriptor.CPPTYPE_BOOL,
                }[one]
                for one in plain
            ]


@pytest.mark.parametrize("kind", [Boxes2D, Boxes3D])
def test_a_block_has_every_column_with_its_type(kind: type[Boxes]) -> None:
    common = set(Boxes.column_names())
    columns = {field.name for field in boxes_pb2.BoxColumns.DESCRIPTOR.fields}
    own = {field.name for field in MESSAGES[kind.__name__].fields}
    for name in kind.column_names():
        dtype, _ = kind.column_spec(name)
        suffix = "u8" if dtype == np.bool_ else f"{dtype.kind}{8 * dtype.itemsize}"
        assert f"{name}_{suffix}" in (columns if name in common else own)
    said = {
        name for name in columns | own if name.rpartition("_")[2] in ("f32", "f64", "u8") or "_i" in name[-4:]
    }
    assert len(said - {"frame_ptr_i64", "provenance_i16"}) == len(kind.column_names())


def test_an_object_says_what_the_library_s_says() -> None:
    renamed = {**FRAMES, "poses": "cuboid_keyframes", "boxes": "picture_keyframes"}
    assert library_names(LabelObject, **renamed) == field_names(MESSAGES["LabelObject"])
    assert library_names(Segment, **FRAMES) == field_names(MESSAGES["TrackSegment"])
    assert library_names(Note) == field_names(MESSAGES["ObjectNote"])


def test_answers_say_what_the_library_s_say() -> None:
    record = {"sequence": "record", "at_ns": "saved_ns", "base": "base_version"}
    assert library_names(Record, **record) == field_names(MESSAGES["EditRecord"])
    conflict = {"sequence": "record", "at_ns": "saved_ns", "kinds": "edit_kinds"}
    assert library_names(Conflict, **conflict) == field_names(MESSAGES["Conflict"])
    assert library_names(Misfit) == field_names(MESSAGES["Misfit"])
    item = {"sequence": "sequence_id", "seconds": "work_s"}
    assert library_names(Item, **item) | {"lease_until_ns"} == field_names(MESSAGES["QueueItem"])
    progress = {"share": "expected_wrong_share", "escalated": "escalated_object_ids"}
    assert library_names(Progress, **progress) | {"sequence_id"} == field_names(MESSAGES["QueueProgress"])
    version = {"base": "base_version", "changed_cameras": ""}
    assert library_names(LabelVersion, **version) | {"record"} == field_names(MESSAGES["LabelVersion"])


def test_sensors_say_what_the_library_s_say() -> None:
    assert library_names(Sensor) == field_names(MESSAGES["Sensor"])
    for camera, lens in ((PinholeCamera, "PinholeLens"), (FisheyeCamera, "FisheyeLens")):
        said = field_names(MESSAGES["CameraModel"]) - {"pinhole", "fisheye"} | field_names(MESSAGES[lens])
        assert library_names(camera) == said


@pytest.mark.parametrize(
    ("library", "values", "shift"),
    [
        (Source, boxes_pb2.BoxSource.items(), 0),
        (SampleStatus, sensors_pb2.SampleStatus.items(), 1),
        (SensorKind, sensors_pb2.SensorKind.items(), None),
        (Flag, objects_pb2.ObjectFlag.items(), None),
        (Step, edits_pb2.EditStep.items(), None),
    ],
)
def test_enums_have_the_library_s_names_and_numbers(
    library: type[IntEnum] | type[StrEnum], values: list[tuple[str, int]], shift: int | None
) -> None:
    prefix = values[0][0].removesuffix("UNSPECIFIED")
    named = {name.removeprefix(prefix): number for name, number in values}
    for member in library:
        name = "UNSPECIFIED" if member.name == "UNKNOWN" else member.name
        assert name in named
        if shift is not None:
            assert named[name] == int(member) + shift
    assert len(named) == len(library) + (0 if "UNKNOWN" in library.__members__ else 1)
