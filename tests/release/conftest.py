"""A fleet of six labelled drives, made once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exchange.conftest import ask_oracle
from fleet_care.conftest import Cli, fleetlabel
from release.fleets import make_store

__all__ = ["Cli", "ask_oracle", "fleetlabel"]  # fixtures are those of other packages' tests

# Drives b and c are of one place; e and f do not say where they were.
PLACES = {"a": 0.0, "b": 1000.0, "c": 1040.0, "d": 5000.0, "e": None, "f": None}


@pytest.fixture(autouse=True)
def _without_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here cuts the power: syncing to a disk would only take time, most of it."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="session")
def _fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fleet") / "root"
    (root / ".fleet").mkdir(parents=True)
    (root / ".fleet" / "manifest.json").write_text('{"schema": 1, "members": []}')
    for seed, (name, east_m) in enumerate(PLACES.items()):
        # All logs call themselves the same, as KITTI's do.
        make_store(root, name, east_m, seed=seed, start_s=1000 * seed, sequence="0000")
    return root


@pytest.fixture
def fleet(_fleet: Path, tmp_path: Path) -> Path:
    """The folder of that fleet."""
    return Path(shutil.copytree(_fleet, tmp_path / "root"))
