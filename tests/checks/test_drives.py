"""Whole drives: what is injected is named, with its value, and sets off nothing else; what is good raises no alarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.checks import StoredRecording, run_checks
from fleetlabel.engine.checks.testing import RenderedRecording, TamperedRecording, Tampering
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.synth import SynthConfig, parse_fault
from fleetlabel.store import SampleStatus, SequenceStore

FAULTS = [
    ("camera-offset:front_left=50ms", "clocks", "clock-offset", "offset_ms", 50.0),
    ("extrinsic:back=0.5deg", "extrinsics", "extrinsic", "turned_deg", 0.5),
    ("lost-sweeps:lidar=5%", "rates", "dropped", "lost_percent", None),
    ("frozen:front=from:80", "pictures", "frozen", "first_frame", 81.0),
    ("pose-jump=0.5m", "poses", "pose-jump", "jump_m", 0.5),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures and sweeps that no fault touches are made once."""
    return tmp_path_factory.mktemp("rendered")


def drive(cache: Path, *faults: str) -> RenderedRecording:
    injected = tuple(parse_fault(text) for text in faults)
    return RenderedRecording(SynthConfig(seed=3, duration_s=16.0, n_cameras=3, faults=injected), cache)


@pytest.mark.slow
def test_a_clean_drive_raises_no_alarm(cache: Path) -> None:
    report = run_checks(drive(cache))
    assert report.faults == ()
    assert report.verdict == "pass"


@pytest.mark.slow
@pytest.mark.parametrize(("text", "check", "fault", "number", "expected"), FAULTS)
def test_what_the_generator_breaks_is_named_and_nothing_else(
    cache: Path, text: str, check: str, fault: str, number: str, expected: float | None
) -> None:
    recording = drive(cache, text)
    sensor = parse_fault(text).sensor or "ego"
    if expected is None:
        expected = 100 * float(np.mean(recording.status(sensor) != SampleStatus.OK))
    named = run_checks(recording).faults
    assert [(one.check, one.subject, one.fault) for one in named] == [(check, sensor, fault)]
    assert named[0].values[number] == pytest.approx(expected, rel=0.2)


@pytest.mark.slow
def test_a_clock_that_runs_away_is_a_trend(cache: Path) -> None:
    report = run_checks(TamperedRecording(drive(cache), Tampering(late_end_s={"front_left": 0.09})))
    found = {(one.check, one.subject, one.fault) for one in report.faults}
    assert ("trend", "front_left", "clock-drift") in found
    assert {subject for _, subject, _ in found} == {"front_left"}


@pytest.mark.slow
def test_the_real_sample_raises_no_alarm(data_dir: Path, tmp_path: Path) -> None:
    config = RunConfig(out=tmp_path / "real.zarr", checks=False, workers=1)
    store = SequenceStore.open(pipeline.ingest(data_dir / "pandaset_drive", config).store)
    recording = StoredRecording(store)
    assert run_checks(recording).faults == ()
    broken = TamperedRecording(recording, Tampering(jump_m=0.5, frozen={"left_camera": 10}))
    named = {one.subject: one for one in run_checks(broken).faults}
    assert named["left_camera"].values["first_frame"] == 11
    assert named["ego"].values["jump_m"] == pytest.approx(0.5, rel=0.2)
    assert set(named) == {"ego", "left_camera"}
