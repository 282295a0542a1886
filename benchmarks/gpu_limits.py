"""What the card can do of each part alone: the network, decoding, and bringing bytes to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from fleetlabel.engine.detect import DetectConfig, load_weights
from fleetlabel.engine.detect.choose import choose_backend
from fleetlabel.engine.detect.config import Precision
from fleetlabel.engine.detect.device_path import shared_device_path
from fleetlabel.engine.detect.picture import decode_picture

NETWORK_HW = (384, 640)  # of 1920 x 1080
SECONDS = 1.0


def rate(work: Callable[[], object], per_call: int) -> float:
    """Pictures per second, waiting for the GPU after every few calls."""
    import torch

    def wait() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    for _ in range(3):
        work()
    wait()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        for _ in range(4):
            work()
        wait()
        calls += 4
    return calls * per_call / (time.perf_counter() - start)


def model_limits(weights: Path, config: DetectConfig) -> dict[str, float]:
    """Pictures per second of the graph: network, head and suppression on inputs that lie on the device."""
    import torch

    found = {}
    loaded = load_weights(weights)
    ways: list[tuple[Precision, int]] = [("fp32", 2)]
    if config.device == "cuda":
        ways = [("fp16", 32), ("fp16", 64), ("fp32", 32)]
    for precision, batch in ways:
        definite = choose_backend(loaded, replace(config, batch=batch, precision=precision)).config
        path = shared_device_path(loaded, definite)
        with torch.inference_mode(), torch.cuda.stream(path._stream):
            lane = path._lane(NETWORK_HW)
            lane._inputs.uniform_()
            found[f"{precision} batch {batch}"] = rate(lane.run, batch)
    return found


def decode_limits(files: list[bytes], device: str) -> dict[str, float]:
    """JPEGs per second: the GPU's decoder in batches, and all cores at the size that the network needs."""
    found = {}
    many = files * max(1, 512 // len(files))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for reduction in (2, 1):
            work = partial(decode_picture, reduction=reduction)
            list(pool.map(work, files))
            start = time.perf_counter()
            list(pool.map(work, many))
            found[f"cpu, all cores, 1/{reduction}"] = len(many) / (time.perf_counter() - start)
    if device == "cuda":
        import torch

        from fleetlabel.engine.detect.device_pictures import PictureLoader

        loader = PictureLoader(torch.device(device), nvjpeg=True)
        for batch in (32, 128):
            some = many[:batch]
            found[f"gpu batch {batch}"] = rate(partial(loader.load, some, [1] * batch), batch)
    return found


def transfer_limit(files: list[bytes], device: str) -> dict[str, float]:
    """Compressed pictures per second over the bus, from pinned memory; and decoded ones at half their size."""
    if device != "cuda":
        return {}
    import torch

    block = torch.empty(64 << 20, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(block.shape, dtype=torch.uint8, device=device)
    bytes_per_s = rate(lambda: there.copy_(block, non_blocking=True), block.numel())
    mean = sum(map(len, files)) / len(files)
    return {
        "gb_per_s": bytes_per_s / 1e9,
        "jpegs": bytes_per_s / mean,
        "decoded at 1/2": bytes_per_s / (960 * 540 * 3),
    }
