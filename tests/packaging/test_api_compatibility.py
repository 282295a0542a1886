"""What breaks clients of the API is told, what does not is not."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "proto/fleetlabel/v1/baseline.binpb"
BEFORE = """
syntax = "proto3";
package road.v1;
message Box {
  reserved 9, 20 to 22;
  reserved "depth";
  message Corner { double x_m = 1; }
  int32 row = 1;
  optional int64 track_id = 2;
  repeated double center_m = 3;
  repeated Corner corners = 4;
  oneof maker {
    string person = 5;
    string model = 6;
  }
  Colour colour = 7;
  map<string, int64> counts = 8;
}
message Car {}
enum Colour {
  reserved 5;
  COLOUR_UNSPECIFIED = 0;
  COLOUR_RED = 1;
}
service BoxService {
  rpc GetBox(Car) returns (Box);
  rpc WatchBox(Car) returns (stream Box);
}
"""
BREAKING = [
    ("  int32 row = 1;", "", "road.v1.Box.row = 1: the field is gone"),
    ("  int32 row = 1;", "  reserved 1;", "road.v1.Box.row = 1: the field is gone"),
    ("int32 row = 1;", "int32 row = 10;", "road.v1.Box.row = 1: the field got another number to 10"),
    ("int32 row = 1;", "int32 line = 1;", "road.v1.Box.row = 1: name 'row' became 'line'"),
    ("int32 row = 1;", "int64 row = 1;", "road.v1.Box.row = 1: type 'int32' became 'int64'"),
    ("int32 row = 1;", "repeated int32 row = 1;", "road.v1.Box.row = 1: label 'singular' became 'repeated'"),
    ("int32 row = 1;", "optional int32 row = 1;", "road.v1.Box.row = 1: label 'singular' became 'optional'"),
    (
        "int32 row = 1;",
        'int32 row = 1 [json_name = "r"];',
        "road.v1.Box.row = 1: JSON name 'row' became 'r'",
    ),
    (
        "optional int64 track_id",
        "int64 track_id",
        "road.v1.Box.track_id = 2: label 'optional' became 'singular'",
    ),
    ("  Colour colour = 7;", "  Car colour = 7;", "road.v1.Box.colour = 7: type 'enum .road.v1.Colour'"),
    ("double x_m = 1;", "float x_m = 1;", "road.v1.Box.Corner.x_m = 1: type 'double' became 'float'"),
    ("Corner", "Edge", "road.v1.Box.Corner: the message is gone"),
    (
        "  oneof maker {\n    string person = 5;",
        "  string person = 5;\n  oneof maker {",
        "oneof 'maker' became",
    ),
    ("oneof maker", "oneof author", "road.v1.Box.model = 6: oneof 'maker' became 'author'"),
    ("map<string, int64>", "map<string, int32>", "road.v1.Box.CountsEntry.value = 2: type 'int64' became"),
    ("reserved 9, 20 to 22;", "reserved 20 to 22;", "road.v1.Box: the numbers 9 to 9 are not reserved"),
    ("reserved 9, 20 to 22;", "reserved 9, 20;", "road.v1.Box: the numbers 20 to 22 are not reserved"),
    ("reserved 9, 20 to 22;", "reserved 20 to 22; bool old = 9;", "the numbers 9 to 9 are not reserved"),
    ('  reserved "depth";', "", "road.v1.Box: the name depth is not reserved"),
    ("  COLOUR_RED = 1;", "", "road.v1.Colour.COLOUR_RED = 1: the value is gone"),
    ("COLOUR_RED = 1;", "COLOUR_RED = 2;", "road.v1.Colour.COLOUR_RED = 1: its number became 2"),
    ("COLOUR_RED = 1;", "COLOUR_ROT = 1;", "road.v1.Colour.COLOUR_RED = 1: the value is gone"),
    ("  reserved 5;", "", "road.v1.Colour: the numbers 5 to 5 are not reserved"),
    ("  rpc GetBox(Car) returns (Box);", "", "road.v1.BoxService.GetBox: the rpc is gone"),
    ("GetBox(Car)", "GetBox(Box)", "GetBox: request .road.v1.Car became .road.v1.Box"),
    ("GetBox(Car)", "GetBox(stream Car)", "GetBox: client streaming False became True"),
    ("returns (stream Box)", "returns (Box)", "WatchBox: server streaming True became False"),
    ("service BoxService", "service CuboidService", "road.v1.BoxService: the service is gone"),
    ("package road.v1;", "package road.v2;", "package road.v1 became road.v2"),
]
HARMLESS = [
    ("repeated double center_m = 3;", "repeated double center_m = 3 [packed = false];"),
    ("  int32 row = 1;", "  int32 row = 1;\n  bytes mask = 10;\n  optional bool ignore = 11;"),
    ("    string model = 6;", "    string model = 6;\n    string tracker = 10;"),
    (
        "message Car {}",
        "message Car { int32 wheels = 1; }\nmessage Van {}\nenum Fuel { FUEL_UNSPECIFIED = 0; }",
    ),
    ("  COLOUR_RED = 1;", "  COLOUR_RED = 1;\n  COLOUR_BLUE = 2;"),
    ("  rpc GetBox", "  rpc ListBoxes(Car) returns (stream Box);\n  rpc GetBox"),
    ("service BoxService", "service VanService { rpc GetVan(Car) returns (Box); }\nservice BoxService"),
    ("reserved 9, 20 to 22;", "reserved 9 to 9, 20, 21 to 30;"),
    ("  int32 row = 1;\n", "  // Of the table.\n  int32 row = 1;\n"),
    ("message Car {}\n", ""),  # moved to the end of the file
]


def load_script() -> ModuleType:
    """The script that CI runs."""
    spec = importlib.util.spec_from_file_location("proto_compatibility", ROOT / ".ci/proto_compatibility.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load_script()
REAL = FileDescriptorSet.FromString(BASELINE.read_bytes())


def compiled(folder: Path, text: str) -> FileDescriptorSet:
    """What the compiler makes of a file."""
    (folder / "road.proto").write_text(text)
    made = folder / "road.binpb"
    arguments = ["protoc", f"-I{folder}", f"--descriptor_set_out={made}", str(folder / "road.proto")]
    assert protoc.main(arguments) == 0, text
    return FileDescriptorSet.FromString(made.read_bytes())


@pytest.mark.parametrize(("old", "new", "told"), BREAKING)
def test_a_change_that_breaks_clients_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in BEFORE
    found = SCRIPT.breaks(compiled(tmp_path, BEFORE), compiled(tmp_path, BEFORE.replace(old, new)))
    assert any(told in line for line in found), found


@pytest.mark.parametrize(("old", "new"), HARMLESS)
def test_an_addition_is_not(tmp_path: Path, old: str, new: str) -> None:
    assert old in BEFORE
    after = BEFORE.replace(old, new)
    if not new:
        after += old
    assert SCRIPT.breaks(compiled(tmp_path, BEFORE), compiled(tmp_path, after)) == []


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    assert SCRIPT.breaks(compiled(tmp_path, BEFORE), FileDescriptorSet()) == ["road.proto: the file is gone"]


@given(st.data())
def test_whatever_is_taken_out_of_our_api_is_told(data: st.DataObject) -> None:
    """Fields, messages, values, rpcs and services: taking one out breaks clients, putting it in does not."""
    less = FileDescriptorSet.FromString(REAL.SerializeToString())
    file = data.draw(st.sampled_from(list(less.file)))
    kinds = [*file.message_type, *file.enum_type, *file.service]
    place = data.draw(st.sampled_from([file, *kinds]))
    lists = [
        getattr(place, name)
        for name in ("message_type", "enum_type", "service", "field", "value", "method")
        if name in place.DESCRIPTOR.fields_by_name
    ]
    lists = [entries for entries in lists if len(entries)]
    if not lists:  # a message without fields
        return
    entries = data.draw(st.sampled_from(lists))
    del entries[data.draw(st.integers(0, len(entries) - 1))]
    assert SCRIPT.breaks(REAL, less) != []
    assert SCRIPT.breaks(less, REAL) == []


def test_generating_stops_at_a_break_until_it_is_accepted(tmp_path: Path) -> None:
    """The whole of `make proto` and of its part in `make check`, on a copy."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    source = tmp_path / "proto/fleetlabel/v1/frames.proto"
    kept = {path.name: path.read_bytes() for path in source.parent.iterdir() if path != source}

    def generate(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tmp_path / ".ci/generated", sys.executable, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    assert generate("--check").returncode == 0
    whole = source.read_text()
    source.write_text(whole.replace("optional int32 stop_frame = 2;", "optional int64 stop_frame = 2;"))
    for arguments in (["--check"], []):
        stopped = generate(*arguments)
        assert stopped.returncode == 1
        assert "fleetlabel.v1.FrameRange.stop_frame = 2: type 'int32' became 'int64'" in stopped.stderr
        assert "make proto BREAK=yes" in stopped.stderr
    assert {path.name: path.read_bytes() for path in source.parent.iterdir() if path != source} == kept
    assert generate("--accept-break").returncode == 0
    assert generate("--check").returncode == 0
    # An addition is stale until it is generated, and then part of what clients rely on.
    source.write_text(source.read_text() + "\n// More.\nmessage More {}\n")
    stale = generate("--check")
    assert stale.returncode == 1 and "run make proto" in stale.stderr
    assert generate().returncode == 0
    source.write_text(source.read_text().replace("\n// More.\nmessage More {}\n", ""))
    assert "fleetlabel.v1.More: the message is gone" in generate("--check").stderr
