"""Loaders of drives that are not ours, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def ask_loader(oracle_python: str) -> Callable[..., Any]:
    """What another tool reads from a drive: ``ask_loader(question, path, ...)``; see ``other_loaders.py``."""

    def ask(question: str, *arguments: object) -> Any:
        script = str(Path(__file__).with_name("other_loaders.py"))
        command = [oracle_python, script, question, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask
