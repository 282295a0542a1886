"""ultralytics beside ours: ``YOLO.track`` and ``YOLO.predict`` with the same weights, pictures and input size."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_drives import there_and_back

WARM = 48  # pictures before the clock starts


def measure(
    weights: Path, pictures: dict[str, list[Path]], work: Path, imgsz_px: int, frames: int, crews: list[str]
) -> Iterator[tuple[str, float]]:
    """Pictures per second by call, number of processes and batch; a camera per process, half precision."""
    for call in ("track", "predict"):
        for crew in crews:
            processes, batch = map(int, crew.split("x"))
            rate = _rate(call, processes, batch, weights, pictures, work, imgsz_px, frames)
            yield f"{call}, {processes} processes, batch {batch}", rate


def _rate(
    call: str,
    processes: int,
    batch: int,
    weights: Path,
    pictures: dict[str, list[Path]],
    work: Path,
    imgsz_px: int,
    frames: int,
) -> float:
    answers: Any = multiprocessing.Queue()
    barrier = multiprocessing.Barrier(processes)
    running = []
    for number in range(processes):
        files = there_and_back(list(pictures.values())[number % len(pictures)], WARM + frames)
        source = work / f"peer_{number}.txt"
        source.write_text("\n".join(str(file.resolve()) for file in files))
        arguments = (call, batch, weights, source, imgsz_px, processes > 1, barrier, answers)
        running.append(multiprocessing.Process(target=_run, args=arguments, daemon=True))
        running[-1].start()
    times = [answers.get(timeout=240) for _ in running]
    for process in running:
        process.join()
    seconds = max(end for _, end, _ in times) - min(start for start, _, _ in times)
    return float(sum(n for _, _, n in times) / seconds)


def _run(
    call: str,
    batch: int,
    weights: Path,
    source: Path,
    imgsz_px: int,
    crowded: bool,
    barrier: Any,
    answers: Any,
) -> None:
    from fleetlabel.engine.detect.torch_backend import prepare_ultralytics

    prepare_ultralytics()
    import cv2
    import torch
    from ultralytics import YOLO

    if crowded:  # else every process starts a thread per core
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    model = YOLO(weights)
    settings: dict[str, Any] = {
        "source": str(source),
        "stream": True,
        "half": True,
        "batch": batch,
        "imgsz": imgsz_px,
        "conf": 0.1,
        "iou": 0.6,
        "device": 0,
        "verbose": False,
    }
    if call == "track":
        settings["tracker"] = "bytetrack.yaml"
    started, n = 0.0, 0
    for _ in getattr(model, call)(**settings):
        n += 1
        if n == WARM:
            barrier.wait()
            started = time.time()
    answers.put((started, time.time(), n - WARM))
