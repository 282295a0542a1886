"""The session that the README shows, as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from pipeline.conftest import write_bright_detector
from rpc.servers import serving

_README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_session_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = _README.read_text().split("## One engine for many people and programs")[1]
    session = section.split("```python\n")[1].split("```")[0]
    write_pandaset(tmp_path / "data" / "logs" / "monday", Scene(n_frames=4, n_objects=3))
    write_bright_detector(tmp_path / "data" / "weights.onnx")
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path, tmp_path / "data") as served:
        monkeypatch.setenv("FLEETLABEL_TOKEN", served.token("ann", "admin"))
        assert "localhost:50551" in session
        exec(compile(session.replace("localhost:50551", served.target), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "labels 4 4" in printed  # quick stages before it may go by between two pieces of news
    assert printed.splitlines()[-1] == "()"
    assert list((tmp_path / "labels").rglob("*.txt"))
