"""A fleet is checked as a whole: every kind of damage is found in the store that has it, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fleet_care.conftest import Cli
from fleetlabel.engine.fleet.verifying import check_fleet
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import SequenceStore
from store.drives import drive, pictures, sweeps


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four stores, of a fleet."""
    for name in "abcd":
        store = SequenceStore.create(tmp_path / f"{name}.zarr", drive(name=name))
        store.sensor_table("front").write(0, pictures(seed=ord(name)))
        store.sensor_table("top").write(0, sweeps(seed=ord(name)).take(0, 5))
        store.sensor_table("top").write(5, sweeps(seed=ord(name)).take(5, 12))
    (tmp_path / ".fleet").mkdir()
    (tmp_path / ".fleet" / "manifest.json").write_text('{"schema": 1, "members": []}')
    return tmp_path


def damage(root: Path) -> None:
    """A flipped byte in a, a missing chunk in b, an unknown file in c."""
    flipped = (
        SequenceStore.open(root / "a.zarr").table("sensors/front").part_folder(0, 12)
        / "flat.jpeg"
        / "c"
        / "0"
    )
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    missing = SequenceStore.open(root / "b.zarr").table("sensors/top").part_folder(5, 12)
    (missing / "flat.points" / "c.0.0").unlink()
    (root / "c.zarr" / "sensors" / "notes.txt").write_text("mine")


def test_damage_is_found_where_it_is(root: Path, fleetlabel: Cli) -> None:
    code, printed, _ = fleetlabel("verify", root, "--workers", 1)
    assert (code, "4 stores, 20 parts read, 0 damaged" in printed) == (0, True)
    damage(root)
    code, printed, _ = fleetlabel("verify", root, "--workers", 1, "--json")
    assert code == 1
    told = {Path(one["store"]).name: one["problems"] for one in json.loads(printed)["stores"]}
    assert [(name, len(problems)) for name, problems in told.items()] == [
        ("a.zarr", 1), ("b.zarr", 1), ("c.zarr", 1), ("d.zarr", 0),
    ]  # fmt: skip
    assert told["a.zarr"][0].startswith("sensors/front 0..12: its files changed")
    assert told["b.zarr"][0].startswith("sensors/top 5..12: its files changed")
    assert told["c.zarr"][0].startswith("sensors/notes.txt: FleetLabel did not put it there")
    code, printed, _ = fleetlabel("verify", root / "c.zarr")
    assert (code, "notes.txt" in printed) == (1, True)


@pytest.mark.slow
def test_what_lies_beside_the_stores(root: Path, fleetlabel: Cli) -> None:
    (root / "a.ledger.json").write_text("{}")
    (root / "a.html").write_text("")
    assert fleetlabel("verify", root, "--workers", 1)[0] == 0
    (root / "thesis.tex").write_text("")
    members = {"schema": 1, "members": [{"name": "gone", "source": "/nowhere", "sequence": "1"}]}
    (root / ".fleet" / "manifest.json").write_text(json.dumps(members))
    assert fleetlabel("verify", root, "--workers", 1)[0] == 1
    (root / ".fleet" / "journal.jsonl").write_text(json.dumps({"name": "gone", "warnings": []}) + "\n")
    (beside,) = (one for one in check_fleet(root, 1) if one.store == root)
    assert [problem.partition(":")[0] for problem in beside.problems] == ["gone.zarr", "thesis.tex"]


@pytest.mark.slow
def test_a_store_that_cannot_even_be_opened_is_damaged_and_the_rest_is_checked(root: Path) -> None:
    (root / "b.zarr" / "zarr.json").write_bytes(b"{")
    shutil.rmtree(root / "c.zarr" / "ego")
    seen = check_fleet(root, 1)
    assert [(one.store.name, len(one.problems)) for one in seen] == [
        ("a.zarr", 0), ("b.zarr", 1), ("c.zarr", 1), ("d.zarr", 0),
    ]  # fmt: skip
    with pytest.raises(StoreNotFoundError):
        check_fleet(root / "d.zarr" / "sensors", 1)


@pytest.mark.slow
def test_processes_find_what_one_finds(root: Path) -> None:
    damage(root)
    alone, together = check_fleet(root, 1), check_fleet(root, 3)
    assert [(one.store, one.parts, one.problems) for one in alone] == [
        (one.store, one.parts, one.problems) for one in together
    ]


def test_a_fleet_without_stores_has_nothing_to_check(tmp_path: Path) -> None:
    (tmp_path / ".fleet").mkdir()
    (tmp_path / ".fleet" / "manifest.json").write_text('{"schema": 1, "members": []}')
    assert check_fleet(tmp_path, 2) == []
