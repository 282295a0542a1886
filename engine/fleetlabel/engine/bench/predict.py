"""How long an unseen drive will take, and how much it will hold, from a measurement of another one on this machine."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from fleetlabel.engine.bench.result import Bench, Sizes
from fleetlabel.engine.ingest import SequenceSource, open_sequence
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SequenceStore, describe
from fleetlabel.store.groups import read_group

_SAMPLES = 5  # of each sensor of a drive log that are read to know how large they are
_POINT_BYTES = 16
_POINTS_LIKE_A_PICTURE = 40_000  # are lifted in the time of a picture's detections: measured on PandaSet


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an unseen drive will take.

    Attributes:
        sizes: of the drive; of a log, extrapolated from a few samples.
        label_s: wall time from the store to labels.
        ingest_s: wall time from the log to the store; None if that was not measured, or there is a store already.
        store_bytes: of the store in the end.
    """

    sizes: Sizes
    label_s: float
    ingest_s: float | None
    store_bytes: int


def predict(drive: Path, bench: Bench, sequence: str | None = None) -> Prediction:
    """Predicts the labelling of a store, or of a drive log, with the settings of a measurement on this machine.

    Each step's core time grows with what it works on: decoding with the bytes of pictures, the network with their
    number, lifting with points and pictures, writing with parts. The cores are taken to be as busy as they were.

    Raises:
        SourceError: the log cannot be read.
    """
    if "schema" in (read_group(drive) or {}):
        store = SequenceStore.open(drive)
        sizes, is_store = sizes_of(store), True
    else:
        sizes, is_store = _sizes_of_log(open_sequence(drive, sequence)), False
    if "lift" not in {line.step for line in bench.steps}:
        sizes = Sizes(sizes.frames, sizes.cameras, 0, sizes.pictures, sizes.picture_bytes, 0)
    core_s = sum(line.core_s * _ratio(line.step, sizes, bench) for line in bench.steps if line.core_s > 0)
    measured_core_s = sum(line.core_s for line in bench.steps if line.core_s > 0)
    input_bytes = bench.input_bytes * _data(sizes) / max(_data(bench.sizes), 1)
    ingest_s = None
    if not is_store and bench.ingest is not None:
        ingest_s = bench.ingest["wall_s"] * _data(sizes) / max(_data(bench.sizes), 1)
    return Prediction(
        sizes=sizes,
        label_s=core_s * bench.wall_s / measured_core_s,
        ingest_s=ingest_s,
        store_bytes=round(
            input_bytes
            + bench.document_bytes * _parts(sizes, bench) / _parts(bench.sizes, bench)
            + (bench.output_bytes - bench.document_bytes) * sizes.pictures / max(bench.sizes.pictures, 1)
        ),
    )


def sizes_of(store: SequenceStore) -> Sizes:
    """How much work a store is, from its commit records."""
    cameras, lidars = store.info.of_kind(SensorKind.CAMERA), store.info.of_kind(SensorKind.LIDAR)
    rows = {info.path: info.rows for info in describe(store).tables}
    readers = [store.camera(camera.name) for camera in cameras]
    return Sizes(
        frames=store.info.n_frames,
        cameras=len(cameras),
        lidars=len(lidars),
        pictures=int(sum((reader.status == 0).sum() for reader in readers)),
        picture_bytes=sum(rows[f"sensors/{camera.name}"] for camera in cameras),
        points=sum(rows[f"sensors/{lidar.name}"] for lidar in lidars),
    )


def _sizes_of_log(drive: SequenceSource) -> Sizes:
    frames = drive.info.n_frames
    at = sorted({round(i * (frames - 1) / max(_SAMPLES - 1, 1)) for i in range(_SAMPLES)})

    def rows(kind: SensorKind) -> float:
        """Flat rows of all samples of a kind of sensor: bytes or points."""
        of_each = [
            statistics.fmean(int(drive.read_sensor(sensor.name, f, f + 1)[0].counts.sum()) for f in at)
            for sensor in drive.info.of_kind(kind)
        ]
        return sum(of_each) * frames

    cameras, lidars = drive.info.of_kind(SensorKind.CAMERA), drive.info.of_kind(SensorKind.LIDAR)
    return Sizes(
        frames=frames,
        cameras=len(cameras),
        lidars=len(lidars),
        pictures=frames * len(cameras),
        picture_bytes=round(rows(SensorKind.CAMERA)),
        points=round(rows(SensorKind.LIDAR)),
    )


def _ratio(step: str, new: Sizes, bench: Bench) -> float:
    """How many times as much of a step there is to do."""
    old = bench.sizes
    if step == "decode":
        return new.picture_bytes / max(old.picture_bytes, 1)
    if step == "read":
        return _data(new) / max(_data(old), 1)
    if step == "lift":
        return _lifted(new) / max(_lifted(old), 1)
    if step in ("write", "other"):
        return _parts(new, bench) / _parts(old, bench)
    return new.pictures / max(old.pictures, 1)


def _lifted(sizes: Sizes) -> int:
    return sizes.points + _POINTS_LIKE_A_PICTURE * sizes.pictures if sizes.points else 0


def _data(sizes: Sizes) -> int:
    return sizes.picture_bytes + _POINT_BYTES * sizes.points


def _parts(sizes: Sizes, bench: Bench) -> int:
    """Parts that are written: detection and tracking of each camera, lifting and tracking, smoothing and labels."""
    config = RunConfig(workers=bench.how["workers"], chunk_frames=bench.how["chunk_frames"])
    of_camera = -(-sizes.frames // config.frames_per_task(sizes.frames * sizes.cameras))
    of_world = -(-sizes.frames // config.frames_per_task())
    return 2 * (sizes.cameras * of_camera + of_world + sizes.cameras + 1)
