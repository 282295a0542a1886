"""The bundled detector: small, found by its name, run without ultralytics, and good at drives that it never saw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, load_weights
from fleetlabel.engine.detect.bundled import BUNDLED, bundled_file, named_weights
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.synth import SynthConfig, SyntheticDrive
from fleetlabel.engine.synth.camera import encode
from fleetlabel.engine.synth.scene import OBJECT_CLASSES
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.trackers.metrics import pairs_by_iou_2d

HELD_OUT_SEEDS = (604, 605)  # neither trained on nor measured in the weights' record


def test_its_name_stands_for_its_file(tmp_path: Path) -> None:
    assert named_weights(BUNDLED) == named_weights(Path(BUNDLED)) == bundled_file(BUNDLED)
    assert named_weights(tmp_path / "own.onnx") == tmp_path / "own.onnx"
    assert RunConfig(out=tmp_path / "s.zarr", model=Path(BUNDLED)).model == bundled_file(BUNDLED)


def test_it_is_small_and_says_what_it_is() -> None:
    assert bundled_file(BUNDLED).stat().st_size <= 6_000_000
    record = json.loads(bundled_file(BUNDLED).with_suffix(".json").read_text())
    assert "AGPL-3.0" in record["licence"]
    assert set(record["held_out"]["per_class"]) == set(record["classes"]) == set(OBJECT_CLASSES)


def test_it_needs_neither_torch_nor_ultralytics() -> None:
    program = (
        "import sys; import numpy as np, cv2\n"
        "from fleetlabel.engine.detect import DetectConfig, Detector, load_weights\n"
        "from fleetlabel.engine.detect.bundled import BUNDLED, bundled_file\n"
        "jpeg = cv2.imencode('.jpg', np.full((90, 160, 3), 90, np.uint8))[1].tobytes()\n"
        "with Detector(load_weights(bundled_file(BUNDLED)), DetectConfig()) as detector:\n"
        "    print(type(detector.detect([jpeg])[0]).__name__, {'torch', 'ultralytics'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1) == ["FrameDetections", "set()\n"]


@pytest.mark.slow
def test_it_finds_what_is_near_and_in_sight_on_drives_it_never_saw() -> None:
    n_found = n_there = 0
    with Detector(load_weights(bundled_file(BUNDLED)), DetectConfig(conf=0.25)) as detector:
        for seed in HELD_OUT_SEEDS:
            drive = SyntheticDrive(SynthConfig(seed=seed, duration_s=5.0))
            for camera in ("front", "back_left"):
                truth = _plain(drive.truth2d(camera, 25))
                result = detector.detect([encode(drive.picture(camera, 25), drive.config.jpeg_quality)])[0]
                assert not isinstance(result, DetectFailure)
                pairs = pairs_by_iou_2d(
                    np.zeros(len(truth), np.int64),
                    truth.xyxy_px,
                    np.zeros(len(result.score), np.int64),
                    result.xyxy_px,
                )
                n_found += len(np.unique(pairs.truth[pairs.similarity >= 0.5]))
                n_there += len(truth)
    assert n_there >= 8, "otherwise this says nothing"
    assert n_found >= 0.8 * n_there


def _plain(truth: Boxes2D) -> Boxes2D:
    """Objects from 40 px of height of which most is in sight."""
    height = truth.xyxy_px[:, 3] - truth.xyxy_px[:, 1]
    return truth.take((height >= 40) & (truth.visible_fraction >= 0.6))
