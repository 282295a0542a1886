"""Trains the bundled detector from scratch on synthetic pictures, exports it, and measures it on drives never seen.

Training needs an environment of its own (torch and ultralytics, which is AGPL-3.0; the plain builds of torch also run
on a CPU); everything else runs in FleetLabel's::

    python3.11 -m venv training
    training/bin/pip install torch==2.13.0 torchvision==0.28.0 ultralytics==8.4.190 onnx onnxruntime

    python benchmarks/train_detector.py all --work DIR --trainer training/bin/python

``all`` is ``data``, ``train``, ``export`` and ``measure``, which can also be run one by one. Pictures are the same
for everyone (about 15 minutes on a core); training for a given time is not, since it depends on the machine's speed.
``measure`` runs the exported file as the engine does and writes what it is and how good it is beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np

from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, load_weights
from fleetlabel.engine.detect.bundled import BUNDLED, bundled_file
from fleetlabel.engine.synth import SynthConfig, SyntheticDrive
from fleetlabel.engine.synth.camera import encode
from fleetlabel.engine.synth.scene import OBJECT_CLASSES
from fleetlabel.geometry.arrays import F64
from fleetlabel.model.boxes import Boxes2D
from fleetlabel.model.ontology import class_map
from fleetlabel.model.sensors import SensorKind
from fleetlabel.trackers.metrics import Ignorable, detection_curve, mostly_inside, pairs_by_iou_2d

NETWORK = Path(__file__).with_name("train_detector_network.py")

FIRST_TRAINING_SEED = 1_000_000  # every drive with a smaller seed is unseen
TRAINING_SEEDS, PICTURES_PER_SEED = 160, 12
HELD_OUT_SEEDS = tuple(range(500, 520))
HELD_OUT_FRAMES = (40, 140)

# What a network of this size can be taught to see; less of an object is neither taught nor denied.
TAUGHT_HEIGHT_PX, TAUGHT_VISIBLE = 8.0, 0.1
IGNORED = -1

COUNTED_HEIGHT_PX = 20.0
MATCH_IOU = 0.5


def write_pictures(folder: Path, seeds: range) -> None:
    """Writes pictures of drives with their visible boxes; a drive that is there already is left as it is.

    One file ``seed_N.json`` a drive: the class names, and for each picture its file and rows of class, x1, y1, x2,
    y2 in pixels; class -1 is a region that is neither an object nor background.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        listed = folder / f"seed_{seed}.json"
        if listed.exists():
            continue
        drive = SyntheticDrive(SynthConfig(seed=seed))
        random = np.random.default_rng(seed)
        cameras = [sensor.name for sensor in drive.info.of_kind(SensorKind.CAMERA)]
        pictures = []
        frames = np.sort(random.integers(drive.info.n_frames, size=PICTURES_PER_SEED)).tolist()
        for number, frame in enumerate(frames):  # in order, so that blocks of the world are made once
            camera = cameras[number % len(cameras)]
            file = folder / f"seed_{seed}_{camera}_{frame}.jpg"
            file.write_bytes(encode(drive.picture(camera, frame), drive.config.jpeg_quality))
            pictures.append({"file": file.name, "boxes": _rows(drive.truth2d(camera, frame))})
        listed.write_text(json.dumps({"class_names": OBJECT_CLASSES, "pictures": pictures}))
        print(f"drive {seed}: {len(pictures)} pictures", flush=True)


def _rows(truth: Boxes2D) -> list[list[float]]:
    height = truth.xyxy_px[:, 3] - truth.xyxy_px[:, 1]
    taught = (height >= TAUGHT_HEIGHT_PX) & (truth.visible_fraction >= TAUGHT_VISIBLE)
    cls = np.where(taught, truth.class_id, IGNORED)
    return [[int(c), *map(float, xyxy)] for c, xyxy in zip(cls, truth.xyxy_px.round(2), strict=True)]


def measure(weights_path: Path, seeds: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """AP50 and recall per class of pictures that the network has not seen, found as the engine finds boxes.

    Objects with a visible height of 20 px and more count. Smaller ones need not be found, and finding them, or
    anything in their place, is no mistake; nor are smaller boxes.
    """
    truth: list[Boxes2D] = []
    found: list[Boxes2D] = []
    with Detector(load_weights(weights_path), DetectConfig(conf=0.01)) as detector:
        for seed in seeds:
            drive = SyntheticDrive(SynthConfig(seed=seed))
            places = [(c.name, f) for c in drive.info.of_kind(SensorKind.CAMERA) for f in HELD_OUT_FRAMES]
            for camera, frame in places:
                number = len(truth)
                jpeg = encode(drive.picture(camera, frame), drive.config.jpeg_quality)
                boxes = drive.truth2d(camera, frame)
                truth.append(boxes.replace(frame=np.full(len(boxes), number)))
                found.append(_found(detector, jpeg, number))
    said, there = Boxes2D.concatenate(found), Boxes2D.concatenate(truth)
    return {name: _scores(there, said, number) for number, name in enumerate(OBJECT_CLASSES)}


def _found(detector: Detector, jpeg: bytes, number: int) -> Boxes2D:
    result = detector.detect([jpeg])[0]
    if isinstance(result, DetectFailure):
        raise SystemExit(f"picture {number}: {result.reason}")
    classes = class_map(detector.class_names)
    boxes = Boxes2D(
        class_names=classes.class_names,
        frame=np.full(len(result.score), number),
        timestamp_ns=np.zeros(len(result.score), dtype=np.int64),
        class_id=classes.class_id[result.class_id],
        score=result.score,
        xyxy_px=result.xyxy_px,
    )
    return boxes.with_class_names(OBJECT_CLASSES)


def _scores(truth: Boxes2D, said: Boxes2D, cls: int) -> dict[str, float]:
    small = truth.take(_height(truth) < COUNTED_HEIGHT_PX)
    truth, said = truth.take(truth.class_id == cls), said.take(said.class_id == cls)
    no_mistake = _height(said) < COUNTED_HEIGHT_PX
    no_mistake |= mostly_inside(said.frame, said.xyxy_px, small.frame, small.xyxy_px)
    ignorable = Ignorable(_height(truth) < COUNTED_HEIGHT_PX, no_mistake)
    pairs = pairs_by_iou_2d(truth.frame, truth.xyxy_px, said.frame, said.xyxy_px)
    close = pairs.take(pairs.similarity >= MATCH_IOU)
    curve = detection_curve(close, said.score.astype(np.float64), ignorable)
    recall, precision = curve.at(0.25)
    return {
        "objects": curve.n_truth,
        "ap_50": round(curve.interpolated_precision(), 4),
        "recall_at_0.25": round(recall, 4),
        "precision_at_0.25": round(precision, 4),
    }


def _height(boxes: Boxes2D) -> F64:
    return np.asarray(boxes.xyxy_px[:, 3] - boxes.xyxy_px[:, 1])


def record(weights_path: Path, run: Path | None) -> dict[str, object]:
    """Measures weights and writes what they are and how good they are beside them, as JSON."""
    described = weights_path.with_suffix(".json")
    trained = run / "trained.json" if run else None
    known = json.loads(described.read_text()) if described.exists() else {}
    if trained is not None and trained.exists():
        known |= {"training": json.loads(trained.read_text())}
    scores = measure(weights_path, HELD_OUT_SEEDS)
    facts: dict[str, object] = {
        "classes": list(OBJECT_CLASSES),
        "licence": "AGPL-3.0, since it was trained with ultralytics (https://ultralytics.com/license)",
        "made_by": "benchmarks/train_detector.py",
        "training": known.get("training"),
        "held_out": {
            "seeds": [HELD_OUT_SEEDS[0], HELD_OUT_SEEDS[-1]],
            "pictures": len(HELD_OUT_SEEDS) * len(HELD_OUT_FRAMES) * SynthConfig().n_cameras,
            "counted_from_height_px": COUNTED_HEIGHT_PX,
            "per_class": scores,
        },
    }
    described.write_text(json.dumps(facts, indent=1) + "\n")
    for name, row in scores.items():
        print(f"{name:12}", "  ".join(f"{key}: {value:.3f}" for key, value in row.items()))
    return facts


def main() -> None:
    """Runs one step, or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("all", "data", "train", "export", "measure"))
    parser.add_argument("--work", type=Path, help="folder for pictures and the run; `measure` needs none")
    parser.add_argument("--trainer", help="Python of the training environment; for all, train and export")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--weights", type=Path, default=bundled_file(BUNDLED), help="the .onnx file")
    given = parser.parse_args()
    if given.work is None and given.step != "measure":
        parser.error("--work DIR is needed to keep the pictures and the run")
    if given.trainer is None and given.step in ("all", "train", "export"):
        parser.error("--trainer is needed: see above how to make the training environment")
    work: Path = given.work or Path()
    pictures, run = work / "pictures", work / "run"

    if given.step in ("all", "data"):
        write_pictures(pictures, range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + TRAINING_SEEDS))
    command = [given.trainer, str(NETWORK)]
    if given.step in ("all", "train"):
        minutes = ["--minutes", str(given.minutes)]
        subprocess.run([*command, "train", "--data", str(pictures), "--run", str(run), *minutes], check=True)
    if given.step in ("all", "export"):
        subprocess.run([*command, "export", "--run", str(run), "--out", str(given.weights)], check=True)
    if given.step in ("all", "measure"):
        record(given.weights, run if given.work else None)


if __name__ == "__main__":
    main()
