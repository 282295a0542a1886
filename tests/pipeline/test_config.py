"""Settings from flags and files: what is taken, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.model.errors import UsageError

Cli = Callable[..., tuple[int, str, str]]


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("chunk_frames: 5\nworkers: 3\ndetect: {conf: 0.3, tiles: [3, 2]}\n")
    config = load_config(file, {"chunk_frames": 7, "workers": None, "detect.conf": 0.2})
    assert (config.chunk_frames, config.workers, config.detect.conf, config.detect.tiles) == (
        7,
        3,
        0.2,
        (3, 2),
    )


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("track:\n  smoother3d:\n    fill_gap_s: 1.5\n")
    changed, usual = load_config(file, {}), load_config(None, {})
    assert changed.track.smoother3d == replace(usual.track.smoother3d, fill_gap_s=1.5)
    assert changed.track.tracker3d == usual.track.tracker3d


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chunk_frame: 5", "unknown setting chunk_frame"),
        ("detect: {confidence: 0.3}", "detect: unknown setting confidence"),
        ("track: {tracker3d: {max_cost_s: 1}}", "tracker3d: unknown setting max_cost_s"),
        ("track: fast", "expected settings"),
        ("chunk_frames: 0", "chunk_frames"),
        ("detect: {conf: 7}", "conf"),
        ("detect: {backend: abacus}", "backend"),
        ("- a\n- b", "expected settings"),
        ("a: [", "cannot read"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_config(file, {})


def test_wrong_flags_exit_with_2(fleetlabel: Cli, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    for wrong in (
        ["--tiles", "3by2"],
        ["--conf", 7],
        ["--backend", "abacus"],
        ["--chunk-frames", 0],
        ["--nonsense"],
        [],
    ):
        code, _, errors = fleetlabel("run", drive, "--out", out, *wrong)
        assert code == 2, errors
        assert "Traceback" not in errors
    assert not out.exists()
