"""Readers of label files that are not ours, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Scores = dict[str, dict[str, float]]


@pytest.fixture(scope="session")
def trackeval(oracle_python: str) -> Callable[[Path, Path], Scores]:
    """Scores by class of a folder with results against one with truth, as TrackEval reads them."""

    def ask(truth: Path, results: Path) -> Scores:
        found: Scores = _ask(oracle_python, "trackeval_kitti.py", str(truth), str(results))
        return found

    return ask


@pytest.fixture(scope="session")
def ask_oracle(oracle_python: str) -> Callable[..., Any]:
    """What another tool reads from files: ``ask_oracle(question, path, ...)``; see ``other_readers.py``."""

    def ask(question: str, *arguments: object) -> Any:
        return _ask(oracle_python, "other_readers.py", question, *map(str, arguments))

    return ask


def _ask(python: str, script: str, *arguments: str) -> Any:
    command = [python, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
