"""``fleetlabel report`` measures where there is a truth, and refuses what makes no sense before it writes anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def store(fleetlabel: Call, drive: Path, bright_model: Path, tmp_path: Path) -> Path:
    made = tmp_path / "drive.zarr"
    code, _, errors = fleetlabel("run", drive, "--model", bright_model, "--out", made, "--labels", "mine")
    assert code == 0, errors
    return made


def test_a_page_about_a_run(fleetlabel: Call, store: Path, tmp_path: Path) -> None:
    assert fleetlabel("report", store)[:2] == (0, f"{tmp_path / 'drive.html'}\n")
    page = (tmp_path / "drive.html").read_text()
    measured = json.loads(fleetlabel("eval", store, "--json")[1])
    assert measured["statement"][0] in page
    assert f"{measured['headline']['3D car 0-40 m ap_2m']:.2f}" in page
    warnings = json.loads((tmp_path / "drive.ledger.json").read_text())["warnings"]
    assert warnings
    assert all(warning.replace("'", "&#39;") in page for warning in warnings)
    for stage in ("ingest", "detect", "lift", "track2d", "smooth3d"):
        assert stage in page

    # Labels of the log itself have nothing to be measured against; a file that is no ledger is left out.
    (tmp_path / "drive.ledger.json").write_text("[]")
    assert fleetlabel("report", store, "--labels", "ground_truth", "--out", tmp_path / "truth.html")[0] == 0
    page = (tmp_path / "truth.html").read_text()
    assert "the labels that came with the drive" in page
    assert "No ledger of a run lies beside this store" in page

    for options, message in (
        (["--out", tmp_path / "page.pdf"], "a name that ends in .html"),
        (["--truth", "mine"], "is the version that is shown"),
        (["--truth", "theirs"], "no labels 'theirs'"),
        (["--labels", "theirs"], "no labels 'theirs'"),
    ):
        code, _, errors = fleetlabel("report", store, *options)
        assert code in (1, 2)
        assert message in errors
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["drive.html", "truth.html"]
