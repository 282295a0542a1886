"""A small fleet, its labels made in one go, and a way to run it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.fleets import Fleet, hashes, write_fleet
from fleetlabel.engine.cluster import connect
from fleetlabel.engine.fleet.run import FleetOutcome, run_fleet
from fleetlabel.engine.pipeline.config import load_config

RunFleet = Callable[..., FleetOutcome]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the scheduler that a test starts takes its time."""
    monkeypatch.setattr(sys.modules[connect.__module__], "REFUSED_S", 60.0)


@pytest.fixture(scope="session")
def small_fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Three drives of six frames."""
    return write_fleet(tmp_path_factory.mktemp("small"), 3)


@pytest.fixture
def run(tmp_path: Path) -> RunFleet:
    """Runs a fleet into a folder of this test; settings by dotted name."""

    def call(
        fleet: Fleet,
        out: str = "out",
        *,
        cluster: object = None,
        observer: Any = None,
        **settings: Any,
    ) -> FleetOutcome:
        flags = {name.replace("__", "."): value for name, value in settings.items()}
        config = load_config(None, {"out": tmp_path / out, "detections2d": fleet[1], "workers": 2, **flags})
        return run_fleet([fleet[0]], config, cluster=cluster, observer=observer)

    return call


@pytest.fixture(scope="session")
def expected(small_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Content hashes of the small fleet, made in one go by one thread."""
    out = tmp_path_factory.mktemp("expected") / "out"
    settings = {"out": out, "detections2d": small_fleet[1], "workers": 1, "fleet.threads": True}
    outcome = run_fleet([small_fleet[0]], load_config(None, settings))
    assert outcome.done == 3
    return hashes(out)
