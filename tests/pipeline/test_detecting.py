"""Detection as a stage: a frame has the same place in a batch, and so the same bits, however tasks are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, FrameDetections
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore


def test_a_frame_has_its_place_in_a_batch(
    bright_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pandaset(tmp_path / "drive", Scene(n_frames=23, n_objects=2))
    missing = tmp_path / "drive" / "camera" / "front_camera" / "10.jpg"
    missing.unlink()
    store = tmp_path / "drive.zarr"
    pipeline.ingest(tmp_path / "drive", RunConfig(out=store, workers=1))
    opened = SequenceStore.open(store)
    files = {
        reader.jpeg(frame): frame
        for camera in opened.info.of_kind(SensorKind.CAMERA)
        for reader in [opened.camera(camera.name)]
        for frame in range(opened.info.n_frames)
        if reader.usable(frame)
    }
    places: list[tuple[int, int]] = []
    original = Detector.detect

    def watched(self: Detector, jpegs: Sequence[bytes]) -> list[FrameDetections | DetectFailure]:
        places.extend((files[jpeg], place) for place, jpeg in enumerate(jpegs) if jpeg)
        return original(self, jpegs)

    monkeypatch.setattr(Detector, "detect", watched)
    detect = DetectConfig(backend="onnxruntime", device="cpu", precision="fp32")
    for number, chunk_frames in enumerate((5, 8, 32)):
        # A threshold of its own makes a run of its own.
        config = RunConfig(
            model=bright_model, detect=replace(detect, conf=0.1 + number / 1000), chunk_frames=chunk_frames
        )
        places.clear()
        pipeline.prelabel(store, config)
        assert len(places) == len(files)
        assert all(place == frame % 8 for frame, place in places)
