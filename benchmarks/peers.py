"""Decode, detect, track in pictures, store: ours beside ultralytics and beside supervision with trackers.

    python -m venv yolo_peers && yolo_peers/bin/pip install torch==2.14.1 torchvision==0.29.1 ultralytics==8.4.190 \
        lap==0.5.13 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 supervision==0.31.2 trackers==2.6.1
    python benchmarks/gpu_weights.py yolo11n_int8.onnx yolo11n.pt
    python benchmarks/peers.py yolo11n_int8.onnx yolo11n.pt PICTURES --peers yolo_peers/bin/python --search
    python benchmarks/peers.py yolo11n_int8.onnx yolo11n.pt PICTURES --peers yolo_peers/bin/python
    python benchmarks/peers.py --write

PICTURES is a folder with one of JPEGs per camera (PandaSet's ``camera``); they are shown there and back. All use the
same weights, at the same input size, with the same thresholds but for "defaults", and each ends with boxes that are
synced to the disk. ``--search`` tries what may make peers (``peers_yolo.py``) fast - the file as it is under ONNX
Runtime, its floating-point network under ONNX Runtime, OpenVINO and torch, one process with all cores or one per core,
batches - and the fastest then runs against ours, in turns. Ours begins with a store; beside it stands what ingesting
the pictures takes. Nobody's loading and warming up is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gpu_drives import ingest_drive, pictures_of
from record import cpu_name
from storage import ingested_in_s, spread

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "peers.json"
BEGIN, END = "<!-- table: peers.py --write -->\n", "<!-- end of peers table -->\n"
CALLS = {
    "track": "ultralytics track",
    "supervision": "supervision, trackers",
    "predict": "ultralytics predict",
}
FILE, TORCH, OPENVINO, DYNAMIC, FLOAT = "onnx int8", "torch", "openvino", "openvino, dynamic", "onnx float"
# Weights, processes, threads of each (0: as they come), batch.
CREWS = [
    *((weights, *crew, 1) for weights in (FILE, OPENVINO) for crew in ((1, 0), (2, 1))),
    *((weights, 2, 1, 1) for weights in (TORCH, FLOAT)),
    *((DYNAMIC, *crew, 8) for crew in ((1, 0), (2, 1))),
    (TORCH, 2, 1, 8),
]
SEARCH_FRAMES, DEFAULT_ROUNDS = 16, 1


def main() -> None:
    """Measure and keep, or write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("pt", type=Path, nargs="?", help="the same weights for torch")
    parser.add_argument("pictures", type=Path, nargs="?")
    parser.add_argument(
        "--peers", type=Path, help="interpreter of the environment with ultralytics and the others"
    )
    parser.add_argument("--work", type=Path, help="folder for scratch")
    parser.add_argument("--frames", type=int, default=48, help="of each camera")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--search", action="store_true", help="only look for the peers' fastest configuration"
    )
    parser.add_argument(
        "--json", type=Path, default=RESULTS, help="file for the numbers, and of an earlier search"
    )
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    args = parser.parse_args()
    if args.write:
        write_table(json.loads(RESULTS.read_text()))
        return
    if args.pictures is None or args.peers is None:
        parser.error("give model, pt, pictures and --peers, or --write")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        if args.search:
            found = {"searched": search(args, Path(folder))}
        else:
            found = measure(args, Path(folder), json.loads(args.json.read_text())["searched"])
    args.json.write_text(json.dumps(found, indent=1) + "\n")


def search(args: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Every configuration of ``YOLO.track`` and its rate: decoding and network are the same for the other calls."""
    rig, peers = work / "few", Peers(args.peers, work, exported(args, work))
    ingest_drive(pictures_of(args.pictures), SEARCH_FRAMES, rig)
    tried = []
    for weights, processes, threads, batch in CREWS:
        how = {"weights": weights, "processes": processes, "threads": threads, "batch": batch}
        rate, core_ms = peers.rate("track", rig, **how)  # type: ignore[arg-type]
        tried.append({"how": how, "pictures_per_s": rate, "core_ms": core_ms})
        print(tried[-1], flush=True)
    return tried


def measure(args: argparse.Namespace, work: Path, searched: list[dict[str, Any]]) -> dict[str, Any]:
    """Everybody, in turns."""
    rig = work / "drive"
    store = ingest_drive(pictures_of(args.pictures), args.frames, rig)
    peers = Peers(args.peers, work, exported(args, work))
    best = max(searched, key=lambda one: float(one["pictures_per_s"]))["how"]
    ours = Ours(store, rig, args.model, work)
    rates: dict[str, list[tuple[float, float]]] = {}
    for turn in range(args.rounds + 1):
        (ingest_s, ingest_core_s), (label_s, label_core_s), n = ours.once()
        done = {
            "ours": (n / label_s, 1e3 * label_core_s / n),
            "ours, ingest included": (n / (label_s + ingest_s), 1e3 * (label_core_s + ingest_core_s) / n),
        }
        for call, name in CALLS.items():
            done[name] = peers.rate(call, rig, **best)
            if 0 < turn <= DEFAULT_ROUNDS:
                done[f"{name}, defaults"] = peers.rate(call, rig, FILE, defaults=True)
        print(done, flush=True)
        for name, rate in done.items():
            if turn:  # the first round is not counted
                rates.setdefault(name, []).append(rate)
    return {
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count()},
        "versions": {"peers": peers.versions, "ours": ours.versions()},
        "pictures": n,
        "chosen": {"ours": ours.how, "peers": best},
        "pictures_per_s": {name: spread([rate for rate, _ in mine]) for name, mine in rates.items()},
        "core_ms": {name: spread([core_ms for _, core_ms in mine]) for name, mine in rates.items()},
        "searched": searched,
        "agreement": agreement(ours.detections(), peers, rig, best),
    }


def exported(args: argparse.Namespace, work: Path) -> dict[str, Path]:
    """The weights as files for each library, made by ultralytics' own export."""
    code = (
        "import shutil, sys; from ultralytics import YOLO; pt, out = sys.argv[1:]\n"
        "for name, how in (('fixed_openvino_model', dict(format='openvino')),"
        " ('dynamic_openvino_model', dict(format='openvino', dynamic=True)),"
        " ('float.onnx', dict(format='onnx', simplify=False))):\n"
        "    shutil.move(YOLO(pt).export(imgsz=320, device='cpu', **how), f'{out}/{name}')\n"
    )
    copy = work / "weights.pt"
    shutil.copy(args.pt, copy)
    environment = os.environ | {"YOLO_AUTOINSTALL": "false"}
    subprocess.run(
        [args.peers, "-c", code, copy, work], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    return {
        FILE: args.model,
        FLOAT: work / "float.onnx",
        OPENVINO: work / "fixed_openvino_model",
        DYNAMIC: work / "dynamic_openvino_model",
        TORCH: copy,
    }


class Peers:
    """Runs ``peers_yolo.py`` in the peers' environment.

    Attributes:
        versions: of their packages, once something ran.
    """

    def __init__(self, python: Path, work: Path, weights: dict[str, Path]) -> None:
        self._python, self._weights, self.out = python, weights, work / "peers"
        self.out.mkdir()
        self.versions: dict[str, str] = {}

    def rate(
        self,
        call: str,
        rig: Path,
        weights: str,
        processes: int = 1,
        threads: int = 0,
        batch: int = 1,
        defaults: bool = False,
    ) -> tuple[float, float]:
        """Pictures per second, and core milliseconds of a picture."""
        command = [
            self._python,
            HERE / "peers_yolo.py",
            call,
            self._weights[weights],
            rig,
            self.out,
            "--square",
        ]
        command += ["--processes", processes, "--threads", threads, "--batch", batch]
        command += ["--defaults"] if defaults else []
        environment = os.environ | {"YOLO_AUTOINSTALL": "false"}
        if threads:
            environment |= {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, command))}:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        self.versions = told["versions"]
        return told["pictures"] / min(told["seconds"]), 1e3 * min(told["core_s"]) / told["pictures"]


class Ours:
    """The pipeline as ``fleetlabel run`` and ``fleetlabel bench`` drive it, with its defaults.

    Attributes:
        how: backend and precision that it chose, and its workers.
    """

    def __init__(self, store: Path, rig: Path, model: Path, work: Path) -> None:
        from fleetlabel.engine.pipeline.config import RunConfig
        from fleetlabel.engine.pipeline.detecting import settle_detector
        from fleetlabel.store import SequenceStore

        self._store, self._rig, self._work = SequenceStore.open(store), rig, work
        self._config = RunConfig(model=model)
        self._settled = settle_detector(work / "choices", model, self._config.detect)
        chosen = self._settled.choice.config
        self.how = {"backend": chosen.backend, "precision": chosen.precision, "workers": self._config.workers}
        self._labelled = work / "labelled.zarr"

    def once(self) -> tuple[tuple[float, float], tuple[float, float], int]:
        """Wall and core seconds of ingest, those from the store to labels, and the number of pictures."""
        from fleetlabel.engine.pipeline import run as pipeline
        from fleetlabel.model.sensors import SensorKind
        from fleetlabel.store.linked import linked_store

        cameras = [sensor.name for sensor in self._store.info.of_kind(SensorKind.CAMERA)]
        core_s = time.process_time()
        ingest_s = ingested_in_s(self._rig, self._work / "ingested.zarr")
        ingested = ingest_s, time.process_time() - core_s
        shutil.rmtree(self._work / "ingested.zarr")
        shutil.rmtree(self._labelled, ignore_errors=True)
        linked_store(self._store, self._labelled, cameras)
        start, core_s = time.perf_counter(), time.process_time()
        pipeline.label(self._labelled, self._config, settled=self._settled)
        labelled = time.perf_counter() - start, time.process_time() - core_s
        return ingested, labelled, len(cameras) * self._store.info.n_frames

    def detections(self) -> dict[str, dict[str, np.ndarray]]:
        """Boxes of the detector in the last store, by camera."""
        from fleetlabel.model.boxes import Boxes2D
        from fleetlabel.store import SequenceStore
        from fleetlabel.store.runs import latest_run

        store = SequenceStore.open(self._labelled)
        run, found = latest_run(store, "detect"), dict[str, dict[str, np.ndarray]]()
        for camera in (sensor.name for sensor in store.info.sensors):
            boxes = store.read_boxes(run.table_path(camera), Boxes2D)
            names = np.array(boxes.class_names)
            found[camera] = {
                "frame": boxes.frame,
                "xyxy_px": boxes.xyxy_px,
                "score": boxes.score,
                "name": names[boxes.class_id],
            }
        return found

    @staticmethod
    def versions() -> dict[str, str]:
        """Of what does the work."""
        from importlib.metadata import version

        return {
            name: version(name)
            for name in ("onnxruntime", "openvino", "simplejpeg", "numpy", "zarr", "zarrs")
        }


# --- the same boxes? --------------------------------------------------------------------------------------------------


def agreement(
    ours: dict[str, dict[str, np.ndarray]], peers: Peers, rig: Path, how: dict[str, Any]
) -> dict[str, Any]:
    """How many boxes of ``YOLO.predict`` at its fastest ours has too, and the other way round.

    Of boxes with a score of 0.3 or more, one of the other with at least half of that score, of the same class, must
    overlap by at least 0.5.
    """
    from fleetlabel.engine.detect.coco import COCO_CLASS_NAMES

    peers.rate("predict", rig, **how)
    hits, totals, overlaps = [0, 0], [0, 0], []
    for camera, mine in ours.items():
        with np.load(peers.out / f"{camera}.npz") as held:
            theirs = {name: held[name] for name in ("frame", "xyxy_px", "score")}
            theirs["name"] = np.array(COCO_CLASS_NAMES)[held["cls"].astype(int)]
        for side, (one, other) in enumerate(((theirs, mine), (mine, theirs))):
            for row in np.flatnonzero(one["score"] >= 0.3):
                same = (other["frame"] == one["frame"][row]) & (other["name"] == one["name"][row])
                same &= other["score"] >= one["score"][row] / 2
                overlap = _iou(one["xyxy_px"][row], other["xyxy_px"][same]).max(initial=0.0)
                totals[side] += 1
                hits[side] += bool(overlap >= 0.5)
                if overlap >= 0.5:
                    overlaps.append(float(overlap))
    return {
        "theirs_that_ours_has": hits[0] / totals[0],
        "ours_that_theirs_has": hits[1] / totals[1],
        "their_boxes": totals[0],
        "our_boxes": totals[1],
        "median_iou": statistics.median(overlaps),
    }


def _iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    overlap: np.ndarray = both / (areas - both)
    return overlap


# --- the table --------------------------------------------------------------------------------------------------------


def write_table(found: dict[str, Any]) -> None:
    """Puts rates beside each other into README.md."""
    rates, cores, chosen, agree = (
        found[name] for name in ("pictures_per_s", "core_ms", "chosen", "agreement")
    )
    lines = [
        "| | pictures/s | least-most | ours over it | target | core-ms a picture | over ours | how |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, rate in rates.items():
        mine = name.startswith("ours")
        target = 3.0 if name.endswith("defaults") else 2.0
        how = (
            "onnx int8, 1 process"
            if name.endswith("defaults")
            else _said(chosen["ours" if mine else "peers"])
        )
        ratio = rates["ours"]["median"] / rate["median"]
        cost = cores[name]["median"] / cores["ours"]["median"]
        cells = [name, f"{rate['median']:.1f}", f"{rate['least']:.1f}-{rate['most']:.1f}"]
        cells += [f"{ratio:.2f}", "" if mine else f">= {target:g}: {'yes' if ratio >= target else '**no**'}"]
        cells += [f"{cores[name]['median']:.1f}", f"{cost:.2f}", how]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"{found['pictures']} pictures. Of ultralytics' boxes with a score of 0.3 or more, "
        f"{100 * agree['theirs_that_ours_has']:.1f} % are found by ours, {100 * agree['ours_that_theirs_has']:.1f} % "
        f"of ours by ultralytics; median overlap {agree['median_iou']:.3f}.",
        "",
        "| ultralytics track, searched | pictures/s | core-ms a picture |",
        "| --- | --- | --- |",
    ]
    tried = sorted(found["searched"], key=lambda one: -one["pictures_per_s"])
    lines += [
        f"| {_said(one['how'])} | {one['pictures_per_s']:.1f} | {one['core_ms']:.1f} |" for one in tried
    ]
    path = HERE / "README.md"
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


def _said(how: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" if name != "weights" else str(value) for name, value in how.items())


if __name__ == "__main__":
    main()
