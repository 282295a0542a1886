"""What parts say of their making, and that a changed setting redoes what depends on it and nothing else."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from fleet_care.conftest import label
from fleetlabel.engine.pipeline.provenance import content_sha256
from fleetlabel.store import CommitRecord, SequenceStore
from fleetlabel.store.integrity import tables_of

MACHINE = {"detect", "lift", "track2d", "track3d", "smooth2d", "smooth3d"}


def records(store: SequenceStore) -> dict[str, list[CommitRecord]]:
    """Records by table, of all that tasks make."""
    tables = {table.path: table.records() for table in tables_of(store.root)}
    return {path: of for path, of in tables.items() if path not in ("ego", "frames")}


def test_every_part_says_by_what_of_what_where_and_how_long_it_was_made(
    labelled: SequenceStore, weights: Path
) -> None:
    seen = set()
    for path, of in records(labelled).items():
        for record in of:
            made = record.provenance
            assert record.host == socket.gethostname()
            assert record.duration_s > 0, path
            if path.startswith("labels/ground_truth"):
                continue
            assert isinstance(made["algorithm_version"], int), path
            if path.startswith("labels/"):
                assert set(made["runs"]) == MACHINE
                continue
            seen.add(made["stage"])
            assert made["parameters"], path
            if path.startswith("runs/"):
                assert path.startswith(f"runs/{made['stage']}/{made['run']}/")
                for name, sha256 in made["input_sha256"].items():
                    assert sha256 == content_sha256(labelled.table(name), record.start, record.stop)
                assert made["input_sha256"], path
    assert seen == MACHINE | {"ingest"}
    (detected,) = (of for path, of in records(labelled).items() if path.startswith("runs/detect/"))
    assert detected[0].provenance["model_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert detected[0].provenance["parameters"]["conf"] == 0.01
    assert list(detected[0].provenance["input_sha256"]) == ["sensors/image_02"]


@pytest.mark.slow
def test_the_hash_of_an_input_does_not_depend_on_how_it_was_cut(
    drive: Path, weights: Path, labelled: SequenceStore, tmp_path: Path
) -> None:
    whole = SequenceStore.open(label(drive, weights, tmp_path / "whole.zarr", chunk_frames=6).store)
    for path in ("sensors/image_02", "sensors/velodyne"):
        assert whole.table(path).ranges() != labelled.table(path).ranges()
        one, two = (content_sha256(store.table(path), 1, 5) for store in (whole, labelled))
        assert one == two != content_sha256(whole.table(path), 1, 6)


@pytest.mark.slow
def test_a_changed_setting_redoes_just_the_stages_that_depend_on_it(
    drive: Path, weights: Path, labelled: SequenceStore
) -> None:
    def redone(**settings: object) -> set[str]:
        before = set(stamps(labelled))
        outcome = label(drive, weights, labelled.root, **settings)
        stages = {line.stage for line in outcome.ledger.stages}
        assert before <= set(stamps(labelled)), "what was there stays as it is"
        return stages

    tracking = {"track2d", "track3d", "smooth2d", "smooth3d", "labels"}
    assert redone() == set()
    assert redone(track__tracker2d={"max_coast_s": 0.7}) == {"track2d", "smooth2d", "labels"}
    assert redone(track__tracker3d={"max_coast_s": 0.7}) == {"track3d", "smooth3d", "labels"}
    assert redone(track__smoother3d={"min_detections": 3}) == {"smooth3d", "labels"}
    assert redone(lift={"min_points": 4}) == {"lift", "track3d", "smooth3d", "labels"}
    assert redone(detect__conf=0.02) == {"detect", "lift", *tracking}
    assert redone(detect__conf=0.02) == set()


def stamps(store: SequenceStore) -> list[tuple[str, int, str, float]]:
    """What would change if a part was made again."""
    return [
        (path, record.start, record.sha256, record.duration_s)
        for path, of in records(store).items()
        for record in of
    ]
