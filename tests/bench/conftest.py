"""A small drive, measured once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.bench import Bench, measure
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.engine.pipeline.config import RunConfig
from pipeline.conftest import bright_model as bright_model
from pipeline.conftest import fleetlabel as fleetlabel


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "drive"
    write_pandaset(folder, Scene(n_frames=8, n_objects=4))
    return folder


@pytest.fixture(scope="session")
def config(bright_model: Path) -> RunConfig:
    return RunConfig(model=bright_model, workers=2)


@pytest.fixture(scope="session")
def measured(log: Path, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    work = tmp_path_factory.mktemp("work")
    found = measure(log, config, repeats=2, warm_up=1, price_per_hour=3.6, work_folder=work)
    assert list(work.iterdir()) == []  # scratch is cleared away
    return found
