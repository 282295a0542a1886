"""What engine/serving.md says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from fleetlabel.engine.rpc import ServeSettings
from fleetlabel.v1 import errors_pb2
from fleetlabel.wire.errors import TABLE

TEXT = (Path(__file__).parents[2] / "engine" / "serving.md").read_text()


def test_the_table_of_errors_is_the_codes() -> None:
    found = re.findall(r"^\| ([A-Z_]+) \| ([A-Z_]+) \|", TEXT, re.MULTILINE)
    told = {(status.name, errors_pb2.ErrorKind.Name(kind)) for kind, status in TABLE.values()}
    assert len(found) == len(set(found))
    assert {(status, f"ERROR_KIND_{kind}") for status, kind in found} == told


def test_the_settings_are_the_codes() -> None:
    found = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", TEXT, re.MULTILINE))
    assert found
    for name, value in found.items():
        assert ServeSettings.model_fields[name].default == float(value), name
