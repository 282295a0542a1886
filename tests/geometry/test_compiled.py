"""The compile cache: follows edits in other files, and is not needed to run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleetlabel.geometry import compiled

CALLER = """
from callee import factor
from fleetlabel.geometry.compiled import kernel

@kernel
def scaled(x: float) -> float:
    return x * factor()

print(scaled(2.0), getattr(scaled, "stats", None) and sum(scaled.stats.cache_hits.values()))
"""
CALLEE = """
from fleetlabel.geometry.compiled import kernel

@kernel
def factor() -> float:
    return {value}
"""


def run_caller(folder: Path) -> list[str]:
    out = subprocess.run(
        [sys.executable, "caller.py"], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    return out.stdout.split()


@pytest.mark.skipif(not compiled.HAVE_NUMBA, reason="numba is not installed")
def test_an_edit_in_another_file_reaches_cached_kernels(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    (tmp_path / "callee.py").write_text(CALLEE.format(value=3.0))
    assert run_caller(tmp_path) == ["6.0", "0"]
    assert run_caller(tmp_path) == ["6.0", "1"]  # from the cache
    (tmp_path / "callee.py").write_text(CALLEE.format(value=5.0))
    assert run_caller(tmp_path)[0] == "10.0"


@pytest.mark.skipif(not compiled.HAVE_NUMBA, reason="numba is not installed")
def test_kernels_run_where_nothing_can_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_place(function: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(compiled, "FunctionCache", no_place)

    @compiled.kernel
    def double(x: float) -> float:
        return 2.0 * x

    assert double(4.0) == 8.0


def test_without_numba_a_kernel_is_the_function_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "HAVE_NUMBA", False)

    def double(x: float) -> float:
        return 2.0 * x

    assert compiled.kernel(double) is double
