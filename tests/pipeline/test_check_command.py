"""Checks of drives from the command line: of a log, of a store, and whenever one is ingested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetlabel.engine.checks import CHECKS
from fleetlabel.engine.checks.stored import report_of
from fleetlabel.store import SequenceStore, verify

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def frozen(drive: Path) -> str:
    """A camera of the drive that repeats its third picture from then on."""
    camera = sorted((drive / "camera").iterdir())[0]
    pictures = sorted(camera.glob("*.jpg"))
    for later in pictures[3:]:
        shutil.copy(pictures[2], later)
    return camera.name


def found(printed: str, check: str, subject: str) -> dict[str, object]:
    return next(
        one for one in json.loads(printed)["findings"] if (one["check"], one["subject"]) == (check, subject)
    )


def test_a_frozen_camera_is_told_at_ingest_and_kept_with_the_store(
    fleetlabel: Cli, drive: Path, frozen: str, tmp_path: Path
) -> None:
    out = tmp_path / "fleet" / "drive.zarr"
    code, _, errors = fleetlabel("ingest", drive, "--out", out)
    assert code == 0
    assert f"check fail: {frozen}: frozen from frame 3" in errors.replace("\n", " ")
    store = SequenceStore.open(out)
    report = report_of(store)
    assert report is not None
    assert report.verdict == "fail"
    assert verify(store) == []
    for asked, names in (("fail", ["drive"]), ("pass", []), ("unchecked", [])):
        _, printed, _ = fleetlabel("find", tmp_path / "fleet", "--intake", asked, "--json")
        assert [one["name"] for one in json.loads(printed)["found"]] == names


def test_a_log_is_checked_without_leaving_anything(
    fleetlabel: Cli, drive: Path, frozen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    code, printed, _ = fleetlabel("check", drive, "--json")
    assert code == 1
    told = found(printed, "pictures", frozen)
    assert (told["verdict"], told["fault"]) == ("fail", "frozen")
    assert found(printed, "rates", frozen)["verdict"] == "pass"
    assert list(scratch.iterdir()) == []


def test_a_store_is_checked_when_asked_with_a_picture_of_each_check(
    fleetlabel: Cli, drive: Path, tmp_path: Path
) -> None:
    out, looks = tmp_path / "drive.zarr", tmp_path / "looks"
    code, _, _ = fleetlabel("ingest", drive, "--out", out, "--no-checks")
    assert code == 0
    assert SequenceStore.open(out).intake() is None
    code, printed, _ = fleetlabel("check", out, "--pictures", looks, "--json")
    kept = SequenceStore.open(out).intake()
    assert kept == json.loads(printed) == json.loads((looks / "report.json").read_text())
    assert code == (1 if kept["verdict"] == "fail" else 0)
    assert {path.stem for path in looks.glob("*.png")} == {check.name for check in CHECKS}
    again = fleetlabel("check", out, "--json")[1]
    assert json.loads(again) == kept, "the same data, the same findings"
