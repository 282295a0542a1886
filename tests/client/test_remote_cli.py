"""The command line against an engine elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.test_labels import pose
from fleetlabel.client import Engine
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from pipeline.conftest import write_bright_detector
from rpc.servers import Served, serving

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An engine that sees a drive log and weights."""
    folder = tmp_path_factory.mktemp("yard")
    write_pandaset(folder / "data" / "drive", Scene(n_frames=4, n_objects=3))
    write_bright_detector(folder / "data" / "bright.onnx")
    with serving(folder, folder / "data") as served:
        yield served


@pytest.fixture
def there(fleetlabel: Call, yard: Served, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line, told where the engine is and who asks."""
    monkeypatch.setenv("FLEETLABEL_TOKEN", yard.token("ann", "admin"))
    return lambda *arguments: fleetlabel("--engine", yard.target, *arguments)


@pytest.mark.slow
def test_a_drive_is_labelled_looked_at_and_exported(there: Call, yard: Served, tmp_path: Path) -> None:
    code, out, err = there("run", "drive", "--out", "town.zarr", "--model", "bright.onnx", "--labels", "auto")
    assert (code, err) == (0, "") and "labels auto" in out
    assert there("run", "drive", "--out", "town.zarr", "--model", "bright.onnx")[0] != 0
    for command in (
        ("track", "town", "--labels", "again"),
        ("lift", "town"),
        ("prelabel", "town", "-m", "bright.onnx"),
    ):
        assert there(*command)[0] == 0
    assert there("ingest", "drive", "--out", "town.zarr", "--resume", "--json")[0] == 0
    (entry,) = json.loads(there("list", "--json")[1])
    assert entry["n_frames"] == 4 and entry["review"] == "unreviewed"
    assert "town.zarr: 4 frames" in there("list", "to*")[1]
    told = json.loads(there("info", "town", "--json")[1])
    assert {"auto", "again"} <= set(told["versions"])
    assert "labels: " in there("info", "town")[1]
    with Engine(yard.target, token=yard.token("ann", "annotator")) as engine:
        labels = engine.sequence("town").labels
        object_id = int(labels.now().boxes3d().track_id[0])
        assert labels.commit([pose(object_id, 1)], base=labels.now(), reason="too far left").saved
    assert "too far left" in there("history", "town")[1]
    (record,) = json.loads(there("history", "town", "--object", object_id, "--json")[1])["records"]
    assert record["author"] == "ann" and record["in_effect"]
    assert json.loads(there("next", "town", "--count", 2, "--json")[1])["items"]
    assert "expected to be wrong" in there("next", "town")[1]
    assert "too far left" in there("history", "town", "--box", f"{object_id}@1")[1]
    assert "nobody" in there("history", "town", "--box", f"{object_id}@3")[1]
    assert "too far left" in there("why", "town", f"{object_id}@1")[1]
    assert f"object {object_id} changed" in there("diff", "town", "0", "now")[1]
    assert json.loads(there("save", "town", "--name", "mine", "--json")[1])["labels"] == "mine"
    assert json.loads(there("diff", "town", "mine", "1", "--json")[1])["objects"] == []
    assert "1 objects are on auto" in there("rebase", "town", "auto", "--reason", "the better run")[1]
    assert "cannot be taken back" in there("revert", "town", 1)[2]
    assert there("history", "town", "--box", "1@1", "--object", 1)[0] == 2
    code, out, _ = there("export", "town", "--format", "kitti", "--out", tmp_path / "kitti")
    assert code == 0 and any(path.is_file() for path in (tmp_path / "kitti").rglob("*.txt"))
    done = there("operations")[1].splitlines()
    assert len(done) >= 9 and "succeeded" in done[0]
    assert there("cancel", done[0].split()[0])[0] == 0


def test_who_asks_is_said_by_a_file_or_the_environment_only(
    fleetlabel: Call, yard: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLEETLABEL_TOKEN", raising=False)
    code, _, err = fleetlabel("--engine", yard.target, "list")
    assert code == 1 and "FLEETLABEL_TOKEN" in err
    file = tmp_path / "token"
    file.write_text(yard.token("eve", "viewer") + "\n")
    assert fleetlabel("--engine", yard.target, "--token-file", file, "list")[0] == 0
    code, _, err = fleetlabel(
        "--engine", yard.target, "--token-file", file, "ingest", "drive", "-o", "x.zarr"
    )
    assert code == 1 and "reviewer" in err
    file.write_text("fl_000000000000_" + "x" * 43)
    code, _, err = fleetlabel("--engine", yard.target, "--token-file", file, "list")
    assert code == 1 and "token" in err
    assert fleetlabel("--engine", yard.target, "--token-file", tmp_path / "none", "list")[0] == 2
    assert fleetlabel("--token-file", file, "info", "x.zarr")[0] == 2


def test_what_an_engine_does_not_do_is_said(there: Call, fleetlabel: Call) -> None:
    code, _, err = there("verify", "x")
    assert code == 2 and "history" in err
    for address in ("nowhere", "host:99999", "host:port"):
        assert fleetlabel("--engine", address, "list")[0] == 2
    code, _, err = fleetlabel("--engine", "192.0.2.1:50551", "list")
    assert code == 2 and "unencrypted" in err
