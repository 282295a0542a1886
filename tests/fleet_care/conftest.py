"""A drive that was labelled, and its fleet; made once, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.fleets import Fleet, write_fleet
from detect.small_models import square_finder
from fleetlabel.engine.cli.app import main
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.ingest.testing import Scene, write_kitti
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.engine.pipeline.run import Outcome, run
from fleetlabel.store import SequenceStore
from store.conftest import fresh_store

__all__ = ["Cli", "fresh_store", "label"]  # the fixture is that of the store's tests

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power: syncing to a disk would only take time, most of it."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A KITTI sequence of six frames with pictures, sweeps and labels."""
    folder = tmp_path_factory.mktemp("drive") / "kitti"
    write_kitti(folder, Scene(n_frames=6), sequence="0000")
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return square_finder(tmp_path_factory.mktemp("weights") / "squares.onnx")


def label(drive: Path, weights: Path, out: Path, **settings: object) -> Outcome:
    """A run in this process that goes on with what is there; settings by dotted name."""
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    fixed = {"out": out, "existing": "resume", "model": weights, "workers": 1, "chunk_frames": 4}
    backend = {"detect.backend": "onnxruntime", "detect.device": "cpu"}  # or all there are would be measured
    return run(drive, load_config(None, fixed | backend | {"detect.conf": 0.01} | flags))


@pytest.fixture(scope="session")
def _labelled(drive: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("labelled") / "drive.zarr"
    label(drive, weights, out)
    return out


@pytest.fixture
def labelled(_labelled: Path, tmp_path: Path) -> SequenceStore:
    """A store of that drive with one run of every stage."""
    return SequenceStore.open(Path(shutil.copytree(_labelled, tmp_path / "drive.zarr")))


@pytest.fixture(scope="session")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two drives, and boxes that were found in them."""
    return write_fleet(tmp_path_factory.mktemp("drives"), 2)


@pytest.fixture(scope="session")
def _fleet(drives: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fleet") / "out"
    settings = {"out": out, "detections2d": drives[1], "workers": 1, "fleet.threads": True}
    assert run_fleet([drives[0]], load_config(None, settings)).done == 2
    return out


@pytest.fixture
def fleet(_fleet: Path, tmp_path: Path) -> Path:
    """The folder of a fleet of these two drives, labelled."""
    return Path(shutil.copytree(_fleet, tmp_path / "out"))


@pytest.fixture
def fleetlabel(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["fleetlabel", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call
