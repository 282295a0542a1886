"""The GPU path measured on one card: whether it finds what the CPU finds, its limits, the whole job, and ultralytics.

    python benchmarks/gpu.py --weights yolo11n.pt --pictures DIR --work DIR [--json FILE] [--only PART ...]

``--pictures`` has a folder of consecutive JPEGs per camera. Drives are made of them, there and back again, without
lidar. ``--weights`` is what ``gpu_weights.py`` makes. ultralytics runs with the same weights, pictures and input size;
it reads files and stores nothing, while ours reads a store and keeps detections, tracks and a label version.

A rate is taken over processes that have loaded everything, and done a small drive, before they start together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import gpu_peers
from fleetlabel.engine.detect import DetectConfig, DetectFailure, Detector, FrameDetections, load_weights
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.geometry.iou import iou_2d
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore
from gpu_drives import ingest_drives, pictures_of
from gpu_limits import decode_limits, model_limits, transfer_limit
from gpu_workers import Crew

PARTS = ("agreement", "limits", "job", "peers")
SURE = 0.25  # boxes that people would look at


def agreement(expected: list[FrameDetections], found: list[FrameDetections]) -> dict[str, float]:
    """How much of what one finds the other finds as well, at IoU 0.5 in the same class, and how near."""
    hits, total, back, back_total, gaps, edges = 0, 0, 0, 0, [], []
    for a, b in zip(expected, found, strict=True):
        overlap = iou_2d(a.xyxy_px, b.xyxy_px) * (a.class_id[:, None] == b.class_id[None])
        sure, sure_back = a.score >= SURE, b.score >= SURE
        total, back_total = total + int(sure.sum()), back_total + int(sure_back.sum())
        if not overlap.size:
            continue
        best = overlap.max(axis=1)
        hits += int((best[sure] > 0.5).sum())
        back += int((overlap.max(axis=0)[sure_back] > 0.5).sum())
        matched = np.flatnonzero(sure & (best > 0.5))
        partner = overlap[matched].argmax(axis=1)
        gaps.append(np.abs(a.score[matched] - b.score[partner]))
        edges.append(np.abs(a.xyxy_px[matched] - b.xyxy_px[partner]).max(axis=1))
    gap, edge = np.concatenate(gaps), np.concatenate(edges)
    return {
        "boxes": total,
        "found_again": hits / total,
        "found_that_it_found": back / back_total,
        "score_gap_median": float(np.median(gap)),
        "score_gap_max": float(gap.max()),
        "edge_gap_px_median": float(np.median(edge)),
        "edge_gap_px_p99": float(np.quantile(edge, 0.99)),
    }


def detections(weights: Path, config: DetectConfig, files: list[bytes]) -> list[FrameDetections]:
    """Of all pictures, none of which fails."""
    with Detector(load_weights(weights), config) as detector:
        found = detector.detect(files)
    good = [one for one in found if not isinstance(one, DetectFailure)]
    assert len(good) == len(files), [one for one in found if isinstance(one, DetectFailure)]
    return good


def labels_of(store: SequenceStore, name: str) -> list[FrameDetections]:
    """The 2D boxes of a label version, per camera and frame."""
    found = []
    for camera in store.info.of_kind(SensorKind.CAMERA):
        boxes = store.labels2d(name, camera.name)
        for frame in range(store.info.n_frames):
            rows = np.flatnonzero(boxes.frame == frame)
            found.append(FrameDetections(boxes.xyxy_px[rows], boxes.score[rows], boxes.class_id[rows]))
    return found


def compare(
    weights: Path, files: list[bytes], store: Path, on_cpu: DetectConfig, on_gpu: DetectConfig
) -> Any:
    """Boxes of single pictures, and labels of a drive, against those of the CPU in fp32."""
    variants = {
        "gpu fp32, pictures decoded by the CPU": replace(on_gpu, precision="fp32", jpeg_decoder="cpu"),
        "gpu fp16, pictures decoded by the CPU": replace(on_gpu, jpeg_decoder="cpu"),
        "gpu fp16, pictures decoded by the GPU": on_gpu,
    }
    expected = detections(weights, on_cpu, files)
    out: dict[str, Any] = {}
    if on_gpu.device == "cpu":
        variants = {"the same on the CPU": on_gpu}
    whole = detections(weights, replace(on_cpu, dct_scaling=False), files)
    out["cpu fp32, pictures at full size"] = agreement(expected, whole)
    out["repeated"] = repeated(weights, on_gpu, files)
    for name, config in variants.items():
        found = detections(weights, config, files)
        out[name] = agreement(expected, found)
    if on_gpu.device == "cuda":
        name = "gpu fp16, pictures decoded by the GPU, against the CPU's at full size"
        out[name] = agreement(whole, detections(weights, on_gpu, files))
    # Whole drives: a threshold of its own gives the CPU's run another name.
    labels = []
    for config in (on_cpu, on_gpu):
        outcome = pipeline.label(store, RunConfig(model=weights, detect=config, workers=1))
        assert outcome.labels is not None
        labels.append(labels_of(SequenceStore.open(store), outcome.labels))
    out["labels of a drive"] = agreement(*labels)
    return out


def repeated(weights: Path, config: DetectConfig, files: list[bytes]) -> dict[str, int]:
    """Pictures whose boxes are the same to the last bit: again, each with nobody beside it, at another place."""

    def same(a: list[Any], b: list[Any]) -> int:
        return sum(
            np.array_equal(x.xyxy_px, y.xyxy_px) and np.array_equal(x.score, y.score)
            for x, y in zip(a, b, strict=True)
        )

    with Detector(load_weights(weights), config) as detector:
        batch = detector.config.batch or 1
        some = files[:batch]
        first = detector.detect(some)
        alone = [detector.detect([b""] * row + [file])[row] for row, file in enumerate(some)]
        return {
            "pictures": len(some),
            "again": same(first, detector.detect(some)),
            "alone at the same place": same(first, alone),
            "at another place": same(first, detector.detect(some[::-1])[::-1]),
        }


@contextmanager
def gpu_use(enabled: bool) -> Iterator[dict[str, float]]:
    """Mean use of the GPU and of its JPEG decoder, per cent, while the block runs."""
    use: dict[str, float] = {}
    if not enabled:
        yield use
        return
    import pynvml

    pynvml.nvmlInit()
    card = pynvml.nvmlDeviceGetHandleByIndex(0)
    seen: defaultdict[str, list[float]] = defaultdict(list)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            seen["gpu_percent"].append(pynvml.nvmlDeviceGetUtilizationRates(card).gpu)
            seen["memory_gib"].append(pynvml.nvmlDeviceGetMemoryInfo(card).used / 2**30)
            try:
                seen["jpeg_decoder_percent"].append(pynvml.nvmlDeviceGetJpgUtilization(card)[0])
            except pynvml.NVMLError:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield use
    finally:
        over.set()
        watcher.join()
        use.update({name: float(np.mean(values)) for name, values in seen.items() if values})


def versions() -> dict[str, Any]:
    """Card, libraries and cores."""
    import torch
    import ultralytics

    from record import cpu_name

    found: dict[str, Any] = {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "ultralytics": ultralytics.__version__,
    }
    if torch.cuda.is_available():
        import torchvision

        found["card"] = torch.cuda.get_device_name()
        found["torchvision"] = torchvision.__version__
    return found


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder for drives and stores")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--device", default="cuda", help="cpu: to try the script")
    parser.add_argument("--drives", type=int, default=48)
    parser.add_argument("--frames", type=int, default=120, help="per drive and camera")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--crews", nargs="*", default=["12x1", "16x1", "6x2"], help="processes x threads")
    parser.add_argument("--peer-frames", type=int, default=240, help="per process")
    parser.add_argument("--peer-crews", nargs="*", default=["12x1", "1x1", "1x16"], help="processes x batch")
    given = parser.parse_args()
    multiprocessing.set_start_method("spawn")

    on_gpu = DetectConfig(backend="torch", device=given.device, imgsz_px=given.imgsz, precision="fp16")
    if given.device == "cpu":
        on_gpu = replace(on_gpu, precision="fp32", batch=2)
    on_cpu = DetectConfig(
        backend="torch",
        device="cpu",
        imgsz_px=given.imgsz,
        conf=0.10001,
        threads=len(os.sched_getaffinity(0)),
    )
    out: dict[str, Any] = {"machine": versions(), "imgsz_px": given.imgsz}
    began = time.perf_counter()

    def keep(name: str) -> None:
        print(f"[{time.perf_counter() - began:.0f} s] {name}: {out[name]}", flush=True)
        if given.json:
            given.json.write_text(json.dumps(out, indent=1) + "\n")

    keep("machine")
    shutil.copytree(given.pictures, given.work / "pictures")  # drives link to them
    pictures = pictures_of(given.work / "pictures")
    files = [file.read_bytes() for camera in pictures.values() for file in camera]
    out["pictures"] = {"different": len(files), "mean_bytes": float(np.mean([len(f) for f in files]))}

    if "agreement" in given.only:
        small = ingest_drives(pictures, given.work / "small", 1, len(next(iter(pictures.values()))))[0]
        out["agreement"] = compare(given.weights, files, small, on_cpu, on_gpu)
        keep("agreement")
    if "limits" in given.only:
        out["model"] = model_limits(given.weights, on_gpu)
        keep("model")
        out["decode"] = decode_limits(files, given.device)
        keep("decode")
        out["transfer"] = transfer_limit(files, given.device)
        keep("transfer")
    if "job" in given.only:
        start = time.perf_counter()
        stores = ingest_drives(pictures, given.work / "drives", given.drives, given.frames)
        n_pictures = given.drives * given.frames * len(pictures)
        out["ingest_pictures_per_s"] = n_pictures / (time.perf_counter() - start)
        keep("ingest_pictures_per_s")
        out["job"] = {}
        shapes = [tuple(map(int, crew.split("x"))) for crew in given.crews]
        with Crew(max(processes for processes, _ in shapes), pictures, given.work / "warm") as crew:
            if given.device != "cpu":
                out.setdefault("decode", {})["in processes"] = crew.decode(files)
                keep("decode")
            for number, (processes, threads) in enumerate(shapes):
                # A threshold of its own gives each run another name: nothing is found done.
                config = replace(on_gpu, conf=0.1 + 1e-6 * number)
                with gpu_use(given.device != "cpu") as use:
                    job = crew.label(
                        processes, threads, stores, RunConfig(model=given.weights, detect=config)
                    )
                job["pictures_per_s"] = n_pictures / job["wall_s"]
                out["job"][f"{processes} processes x {threads} threads"] = {**job, **use}
                keep("job")
    if "peers" in given.only:
        out["peers"] = {}
        for name, rate in gpu_peers.measure(
            given.weights, pictures, given.work, given.imgsz, given.peer_frames, given.peer_crews
        ):
            out["peers"][name] = rate
            keep("peers")


if __name__ == "__main__":
    main()
