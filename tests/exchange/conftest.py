"""TrackEval on exported folders."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Scores = dict[str, dict[str, float]]


@pytest.fixture(scope="session")
def trackeval(oracle_python: str) -> Callable[[Path, Path], Scores]:
    """Scores by class of a folder with results against one with truth, as TrackEval reads them."""

    def ask(truth: Path, results: Path) -> Scores:
        script = Path(__file__).with_name("trackeval_kitti.py")
        command = [oracle_python, str(script), str(truth), str(results)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: Scores = json.loads(done.stdout)
        return found

    return ask
