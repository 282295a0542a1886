"""Fixtures for all tests: real data and independent evaluators, where they are at hand."""

from __future__ import annotations

import os
import signal

# Whoever starts the tests in the background of a script has them ignore Ctrl-C, and all processes that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread per process: several test processes on few cores collapse otherwise. Set before numpy is imported.
for _name in (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    "POLARS_MAX_THREADS",
):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_AUTOINSTALL", "false")

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fleetlabel", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("fleetlabel")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real driving data; see CONTRIBUTING.md for what it holds."""
    given = os.environ.get("FLEETLABEL_DATA")
    if not given:
        pytest.skip("real driving data is not at hand: set FLEETLABEL_DATA to the folder that holds it")
    folder = Path(given)
    assert folder.is_dir(), f"FLEETLABEL_DATA is {folder}, which is no folder"
    return folder


@pytest.fixture(scope="session")
def models_dir(data_dir: Path) -> Path:
    """Folder of real YOLO weights, beside the data."""
    folder = data_dir.parent / "models"
    if not folder.is_dir():
        pytest.skip(f"there are no weights at {folder.name}/ beside the real data")
    return folder


@pytest.fixture(scope="session")
def oracle_python() -> str:
    """Interpreter of the environment that holds TrackEval and py-motmetrics (`make oracles`)."""
    python = os.environ.get("FLEETLABEL_ORACLES", "")
    if not python or not Path(python).exists():
        pytest.skip(
            "TrackEval and py-motmetrics are not at hand: run `make oracles` and set FLEETLABEL_ORACLES"
        )
    return python
