"""Measurements of different work are not compared; a drive's size makes its time and bytes known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleetlabel.engine.bench import Bench, compare, predict
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore, describe

Call = Callable[..., tuple[int, str, str]]


def test_the_same_work_by_other_means(measured: Bench) -> None:
    faster = replace(
        measured,
        how={**measured.how, "workers": 64},
        repeats=tuple(replace(r, wall_s=r.wall_s / 2) for r in measured.repeats),
    )
    found = compare(measured, faster)
    before, after = found.numbers["pictures/s"]
    assert after == pytest.approx(2 * before)
    assert found.means == {"how.workers": (2, 64)}
    assert found.numbers["inference, core-ms/picture"][0] == found.numbers["inference, core-ms/picture"][1]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"frames": 9}, "frames: 8 and 9"),
        ({"input": "0" * 64}, "input: "),
        ({"detector": {"model_sha256": "f" * 64}}, "detector.model_sha256"),
        ({"detector": {"imgsz_px": 640}}, "detector.imgsz_px: 192 and 640"),
        ({"detector": {"conf": 0.5}}, "detector.conf"),
        ({"lift": {"max_range_m": 50.0}}, "lift.max_range_m"),
        ({"track": {"tracker2d": {"new_setting": 1}}}, "track.tracker2d.new_setting"),
    ],
)
def test_different_work_is_refused(measured: Bench, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=f"different work.*{named}"):
        compare(measured, replace(measured, work=_merged(dict(measured.work), changed)))


def test_an_unseen_drive_s_size_is_known(measured: Bench, config: RunConfig, tmp_path: Path) -> None:
    write_pandaset(tmp_path / "other", Scene(n_frames=20, n_objects=3, seed=5))
    told = predict(tmp_path / "other", measured)
    outcome = pipeline.run(tmp_path / "other", config.model_copy(update={"out": tmp_path / "other.zarr"}))
    store = SequenceStore.open(outcome.store)
    assert told.store_bytes == pytest.approx(describe(store).bytes_on_disk, rel=0.1)
    # What a log's samples tell is what the store then says exactly.
    known = predict(outcome.store, measured)
    assert known.sizes.frames == told.sizes.frames == 20
    assert known.sizes.pictures == told.sizes.pictures
    assert told.sizes.picture_bytes == pytest.approx(known.sizes.picture_bytes, rel=0.05)
    assert told.sizes.points == pytest.approx(known.sizes.points, rel=0.05)
    assert told.ingest_s is not None
    assert known.ingest_s is None


def test_a_drive_takes_what_it_took(measured: Bench, log: Path) -> None:
    told = predict(log, measured)
    assert told.label_s == pytest.approx(measured.wall_s, rel=0.05)
    assert measured.ingest is not None
    assert told.ingest_s == pytest.approx(measured.ingest["wall_s"], rel=0.05)
    assert told.store_bytes == pytest.approx(measured.input_bytes + measured.output_bytes, rel=0.05)


def test_the_command(fleetlabel: Call, log: Path, bright_model: Path, tmp_path: Path) -> None:
    kept, page = tmp_path / "a.json", tmp_path / "a.html"
    options = ("--model", bright_model, "--repeats", 1, "--warm-up", 0, "--work", tmp_path)
    code, printed, errors = fleetlabel(
        "bench", log, *options, "--json", kept, "--html", page, "--price-per-hour", 2
    )
    assert code == 0, errors
    assert "efficiency" in printed
    assert "cost:" in printed
    said = json.loads(kept.read_text())
    for line in said["steps"]:
        assert line["step"] in printed
        assert f"<td>{line['step']}" in page.read_text()
    assert "http" not in page.read_text()  # self-contained

    code, printed, _ = fleetlabel("bench", "compare", kept, kept)
    assert (code, "1.00" in printed) == (0, True)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(said | {"work": said["work"] | {"frames": 7}}))
    code, _, errors = fleetlabel("bench", "compare", kept, other)
    assert (code, "different work" in errors) == (2, True)

    code, printed, _ = fleetlabel("bench", "predict", log, "--from", kept, "--json")
    assert code == 0
    assert json.loads(printed)["sizes"] == pytest.approx(
        said["sizes"], rel=0.01
    )  # from a few samples of each sensor
    assert fleetlabel("bench", log, *options, "--html", tmp_path / "a.pdf")[0] == 2


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return base | {
        name: _merged(base[name], value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
