"""The physical limit: what the steps that cannot be left out take when nothing else runs.

They are decoding at the scale that the network needs, the network itself in its fastest configuration, and writing the
labels compressed, once. The first two are measured as the detector does them, on all workers at the same time, since
cores that share caches and memory are slower together; their core time is counted, and what the detector does between
them is not. With a GPU, where the detector's own parts run beside one another, the limit is the detector alone, given
pictures that are in memory; `benchmarks/gpu.py` takes that apart into network, decoding and transfer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numcodecs.zstd import Zstd

from fleetlabel.engine.detect import DetectConfig
from fleetlabel.engine.pipeline.warm_detectors import warm_detector
from fleetlabel.engine.steps import recording
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore, describe

_PICTURES = 96


def pictures_of(store: SequenceStore) -> list[bytes]:
    """Some pictures, drawn from all cameras and frames."""
    readers = [store.camera(camera.name) for camera in store.info.of_kind(SensorKind.CAMERA)]
    places = [(frame, reader) for frame in range(store.info.n_frames) for reader in readers]
    usable = [(frame, reader) for frame, reader in places if reader.usable(frame)]
    some = np.random.default_rng(0).permutation(len(usable))[:_PICTURES]
    return [usable[row][1].jpeg(usable[row][0]) for row in sorted(some.tolist())]


def needed_core_s(
    pictures: Sequence[bytes], model: Path, config: DetectConfig, workers: int
) -> dict[str, float]:
    """Core time per picture of ``decode`` and ``inference`` alone, with all workers at it; of ``detector`` on a GPU."""
    if not pictures:
        return {"decode": 0.0, "inference": 0.0}

    def work(worker: int) -> None:
        with warm_detector(model, config) as detector:
            detector.detect([*pictures[worker:], *pictures[:worker]])

    started_s = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool, recording() as times:
        list(pool.map(work, range(workers)))
    done = workers * len(pictures)
    if config.device == "cuda":
        return {"detector": workers * (time.perf_counter() - started_s) / done}
    return {
        name: sum(one.core_s for one in times if one.name == name) / done for name in ("decode", "inference")
    }


def written_once_core_s(store: SequenceStore, scratch: Path) -> float:
    """Core time of compressing the newest labels and writing them as one file that is on the disk in the end."""
    version = f"labels/{store.latest_labels().name}/"
    columns = []
    for info in describe(store).tables:
        if info.path.startswith(version):
            table = store.table(info.path)
            columns += [
                column.tobytes()
                for record in table.records()
                for column in table.read_part(record).arrays().values()
            ]
    started_s = time.thread_time()
    with scratch.open("wb") as stream:
        for column in columns:
            if column:
                stream.write(Zstd(level=1).encode(column))
        stream.flush()
        os.fsync(stream.fileno())
    return time.thread_time() - started_s
