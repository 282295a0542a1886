"""A whole run on a small drive: what it leaves behind, and that cutting and resuming change nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.model.boxes import Source
from fleetlabel.store import SequenceStore, describe, verify

Cli = Callable[..., tuple[int, str, str]]


def content_hash(store: Path) -> str:
    return describe(SequenceStore.open(store)).content_hash


def test_a_run_ends_in_labels_a_ledger_and_an_intact_store(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drive.zarr"
    code, printed, errors = fleetlabel("run", drive, "--model", bright_model, "--out", out, "--json")
    assert code == 0, errors
    summary = json.loads(printed)
    store = SequenceStore.open(out)
    assert set(store.label_versions()) == {"ground_truth", summary["labels"]}
    assert verify(store) == []
    assert summary["content_hash"] == content_hash(out)
    stages = [line["stage"] for line in summary["ledger"]["stages"]]
    assert set(stages) == {
        "ingest",
        "check",
        "detect",
        "lift",
        "track2d",
        "track3d",
        "smooth2d",
        "smooth3d",
        "labels",
    }
    assert json.loads((tmp_path / "drive.ledger.json").read_text()) == summary["ledger"]

    cuboids = store.labels3d(summary["labels"])
    truth = store.labels3d("ground_truth")
    assert len(cuboids)
    distance = np.linalg.norm(cuboids.center_m[:, None, :2] - truth.center_m[None, :, :2], axis=2)
    distance[cuboids.frame[:, None] != truth.frame[None]] = np.inf
    assert np.mean(distance.min(axis=1) < 2.0) > 0.5, "most cuboids lie on objects"
    for camera in store.labels(summary["labels"]).cameras:
        boxes = store.labels2d(summary["labels"], camera)
        key = np.stack([boxes.frame, boxes.track_id], axis=1)
        assert len(np.unique(key, axis=0)) == len(boxes), "an object has one box in a picture"
        assert set(np.unique(boxes.source)) <= {
            Source.DETECTOR,
            Source.SMOOTHED,
            Source.INTERPOLATED,
            Source.TRACKER,
        }


@pytest.mark.parametrize(("chunk_frames", "workers"), [(1, 3), (3, 1), (5, 2)])
def test_labels_do_not_depend_on_chunks_or_workers(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path, chunk_frames: int, workers: int
) -> None:
    fleetlabel("run", drive, "--model", bright_model, "--out", tmp_path / "whole.zarr", "--workers", 1)
    cut = ("--chunk-frames", chunk_frames, "--workers", workers)
    fleetlabel("run", drive, "--model", bright_model, "--out", tmp_path / "cut.zarr", *cut)
    assert content_hash(tmp_path / "cut.zarr") == content_hash(tmp_path / "whole.zarr")


def test_stages_one_by_one_give_what_run_gives(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    fleetlabel("run", drive, "--model", bright_model, "--out", tmp_path / "a.zarr")
    store = tmp_path / "b.zarr"
    for command in (
        ["ingest", drive, "--out", store],
        ["prelabel", store, "--model", bright_model],
        ["lift", store],
    ):
        assert fleetlabel(*command)[0] == 0
    assert fleetlabel("track", store)[0] == 0
    assert content_hash(store) == content_hash(tmp_path / "a.zarr")


def test_a_resumed_run_does_nothing_twice_and_a_changed_setting_redoes_what_depends_on_it(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drive.zarr"
    run = ("run", drive, "--model", bright_model, "--out", out)
    fleetlabel(*run)
    before = content_hash(out)
    code, printed, _ = fleetlabel(*run, "--resume", "--json", "--chunk-frames", 3)
    assert (code, json.loads(printed)["ledger"]["stages"]) == (0, [])
    assert content_hash(out) == before

    (tmp_path / "run.yaml").write_text("track:\n  tracker3d:\n    max_coast_s: 0.7\n")
    code, printed, _ = fleetlabel(*run, "--resume", "--json", "--config", tmp_path / "run.yaml")
    assert code == 0
    redone = {line["stage"] for line in json.loads(printed)["ledger"]["stages"]}
    assert redone == {"track3d", "smooth3d", "labels"}


def test_existing_output_is_refused_resumed_or_replaced_only_as_told(
    fleetlabel: Cli, drive: Path, bright_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "drive.zarr"
    ingest = ("ingest", drive, "--out", out)
    assert fleetlabel(*ingest)[0] == 0
    code, _, errors = fleetlabel(*ingest)
    assert code == 1
    assert "--resume" in errors
    assert "--overwrite" in errors
    assert fleetlabel(*ingest, "--resume", "--overwrite")[0] == 2
    assert fleetlabel(*ingest, "--overwrite")[0] == 0

    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("do not delete")
    code, _, errors = fleetlabel("ingest", drive, "--out", precious, "--overwrite")
    assert code == 1
    assert "not a FleetLabel store" in errors
    assert (precious / "thesis.tex").exists()
