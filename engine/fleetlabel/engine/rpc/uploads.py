"""A drive that a client streams: what comes is written as a rig folder, which is then ingested like any other.

Memory is bounded by what a sensor gathers before it is written; a stream that ends without the commit leaves nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fleetlabel.engine.catalog import Operation
from fleetlabel.engine.detect.picture import MAX_PIXELS
from fleetlabel.engine.fleet.indexing import UPLOAD
from fleetlabel.engine.ingest.clocks import require_reach
from fleetlabel.engine.ingest.numbered import MAX_FRAMES
from fleetlabel.engine.ingest.rig_writer import RigWriter
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.requests import needed, request_id_of
from fleetlabel.engine.serving import Uploads
from fleetlabel.geometry.arrays import F64, I64, AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import InterruptedRunError, StoreExistsError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SampleStatus, SequenceInfo
from fleetlabel.v1 import sequence_service_pb2 as pb
from fleetlabel.wire.columns import column_of, numbers, rows_of
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.sensors import sensor_of, trajectory_of

_RIG = "rig"
_GATHER_BYTES = 64 << 20  # of all sensors together
_GATHER_FRAMES = 256
_MAX_SENSORS = 64
_MAX_SAMPLES = 4_000_000  # frames times sensors
_MAX_NAME = 200


async def receive(
    engine: ServedEngine, owner: str, requests: AsyncIterator[pb.UploadSequenceRequest]
) -> Operation:
    """Takes a drive in and starts the operation that ingests it; or finds the one that the same header started.

    Raises:
        RequestError: messages come in the wrong order or are not what they should be; names the field.
        StoreExistsError: there is such a sequence.
    """
    header = await _header(requests)
    request_id = request_id_of(header.request_id)
    # What is asked is what the header says: the same header again gets the same operation.
    said = f"{owner}\0".encode() + header.SerializeToString(deterministic=True)
    name = hashlib.sha256(said).hexdigest()[:32]
    store = needed("header.sequence_id", header.sequence_id)
    asked = {"source": f"{name}/{_RIG}", "store": store}

    upload = _Upload(engine.uploads, name)

    def begin() -> Operation | None:
        earlier = engine.operations.of_request(owner, UPLOAD, asked, request_id)
        if earlier is None:
            place = engine.roots.new_store(store)
            if place.exists():
                raise StoreExistsError(
                    f"there is a sequence {store} already; choose another name, or delete that one"
                )
            upload.begin(description_of(header, header.name or _stem(store)))
        return earlier

    def start() -> Operation:
        return engine.operations.start(owner, UPLOAD, asked, request_id)

    try:
        earlier = await engine.in_thread(begin)
        if earlier is not None:
            return earlier
        async for message in requests:
            if await engine.in_thread(_taking(upload, message)):
                break
        else:
            raise RequestError("commit", "a commit at the end of the stream", "the end without one")
        async for _ in requests:
            raise RequestError("part", "nothing after the commit", "something")
        return await engine.in_thread(lambda: upload.keep(start))
    finally:
        await asyncio.shield(engine.in_thread(upload.end))


def _taking(upload: _Upload, message: pb.UploadSequenceRequest) -> Callable[[], bool]:
    return lambda: upload.take(message)


async def _header(requests: AsyncIterator[pb.UploadSequenceRequest]) -> pb.UploadHeader:
    async for message in requests:
        if message.WhichOneof("part") != "header":
            break
        return message.header
    raise RequestError("header", "a header as the first message", "none")


def description_of(header: pb.UploadHeader, name: str) -> SequenceInfo:
    """The drive that a header describes.

    Raises:
        RequestError: something in it cannot be; names the field.
        SourceError: its parts do not fit together.
    """
    if len(name) > _MAX_NAME or not name.isprintable():
        raise RequestError("header.name", f"up to {_MAX_NAME} printable characters", repr(name[:_MAX_NAME]))
    frames: I64 = rows_of(header.frame_timestamp_ns_i64, "header.frame_timestamp_ns_i64", np.int64)
    if not 0 < len(header.sensors) <= _MAX_SENSORS:
        raise RequestError("header.sensors", f"1 to {_MAX_SENSORS} sensors", str(len(header.sensors)))
    most = min(MAX_FRAMES, _MAX_SAMPLES // len(header.sensors))
    if not 0 < len(frames) <= most:
        remedy = "send a long drive in several pieces"
        raise RequestError("header.frame_timestamp_ns_i64", f"1 to {most} frames", str(len(frames)), remedy)
    sensors = tuple(_sensor(f"header.sensors[{row}]", sensor) for row, sensor in enumerate(header.sensors))
    if header.HasField("trajectory"):
        trajectory = trajectory_of(header.trajectory, "header.trajectory")
    else:
        times = np.unique(frames[[0, -1]])
        trajectory = Trajectory(times, np.tile([0.0, 0, 0, 1, 0, 0, 0], (len(times), 1)))
    offset: F64 = np.zeros(3)
    if header.world_offset_m:
        offset = np.array(numbers(header.world_offset_m, "header.world_offset_m", 3))
    source = {"format": UPLOAD, "vehicle": header.vehicle} if header.vehicle else {"format": UPLOAD}
    info = SequenceInfo(name, sensors, frames, trajectory, offset, source)
    require_reach(frames, trajectory, "header.trajectory")
    return info


def _sensor(what: str, message: Any) -> Sensor:
    sensor = sensor_of(message, what)
    camera = sensor.camera
    if camera is not None and camera.width_px * camera.height_px > MAX_PIXELS:
        found = f"{camera.width_px} x {camera.height_px}"
        raise RequestError(f"{what}.camera", f"at most {MAX_PIXELS} pixels", found)
    return sensor


def _stem(store: str) -> str:
    return Path(store).name.removesuffix(".zarr")


@dataclass(slots=True)
class _Gathered:
    """Samples of one sensor that are not written yet.

    Attributes:
        start: frame after the last that is written.
        n_bytes: of all of them.
    """

    start: int = 0
    frames: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    columns: list[tuple[AnyArray, ...]] = field(default_factory=list)
    n_bytes: int = 0


class _Upload:
    """A drive on its way.

    Its methods block, each until no other is at work: the client may vanish at any time, and what its call has begun in
    a thread goes on. Whatever comes after :meth:`end` does nothing.
    """

    _info: SequenceInfo
    _writer: RigWriter

    def __init__(self, uploads: Uploads, name: str) -> None:
        self._uploads, self._name = uploads, name
        self._counts = {SensorKind.CAMERA: 0, SensorKind.LIDAR: 0}
        self._gathered: dict[str, _Gathered] = {}
        self._folder: Path | None = None
        self._ended = False
        self._lock = threading.Lock()

    def begin(self, info: SequenceInfo) -> None:
        """Makes room for a drive."""
        with self._at_work():
            self._info = info
            self._gathered = {sensor.name: _Gathered() for sensor in info.sensors}
            self._folder = self._uploads.begin(self._name)
            self._writer = RigWriter.create(self._folder / _RIG, info)

    def take(self, message: pb.UploadSequenceRequest) -> bool:
        """Takes what came; True: it was the last.

        Raises:
            RequestError: it is not what may come now.
        """
        with self._at_work():
            return self._take(message)

    def keep(self, start: Callable[[], Operation]) -> Operation:
        """Keeps the drive, which is complete, and starts the operation that ingests it."""
        with self._at_work() as folder:
            assert folder is not None, "it has begun"
            self._uploads.keep(self._name, folder)
            return start()

    def end(self) -> None:
        """Deletes what is not kept."""
        with self._lock:
            self._ended = True
            if self._folder is not None:
                self._uploads.end(self._name, self._folder)

    @contextmanager
    def _at_work(self) -> Iterator[Path | None]:
        with self._lock:
            if self._ended:
                raise InterruptedRunError("the client is gone")
            yield self._folder

    def _take(self, message: pb.UploadSequenceRequest) -> bool:
        part = message.WhichOneof("part")
        if part == "picture":
            picture = message.picture
            data = np.frombuffer(picture.picture, dtype=np.uint8)
            self._gather("picture.camera", SensorKind.CAMERA, picture.camera, picture, (data,))
        elif part == "sweep":
            sweep = message.sweep
            points: AnyArray = rows_of(sweep.points_xyzi_f32, "sweep.points_xyzi_f32", np.float32, 4)
            where = "sweep.point_time_offset_ns_i32"
            times = column_of(sweep.point_time_offset_ns_i32, where, np.int32, len(points), (), 0)
            self._gather("sweep.lidar", SensorKind.LIDAR, sweep.lidar, sweep, (points, times))
        elif part == "commit":
            self._complete(message.commit)
            return True
        else:
            raise RequestError("part", "a picture, a sweep or the commit", part or "none of them")
        return False

    def _gather(
        self,
        where: str,
        kind: SensorKind,
        name: str,
        sample: pb.UploadedPicture | pb.UploadedSweep,
        columns: tuple[AnyArray, ...],
    ) -> None:
        names = [sensor.name for sensor in self._info.of_kind(kind)]
        if name not in names:
            raise RequestError(
                where, f"one of {', '.join(names) or 'none: the header has no such sensor'}", repr(name)
            )
        waiting = self._gathered[name]
        least = waiting.frames[-1] + 1 if waiting.frames else waiting.start
        if not least <= sample.frame < self._info.n_frames:
            expected = f"{least} to {self._info.n_frames - 1}, for the next of {name}"
            raise RequestError(f"{where.partition('.')[0]}.frame", expected, str(sample.frame))
        waiting.frames.append(sample.frame)
        waiting.times_ns.append(sample.timestamp_ns)
        waiting.columns.append(columns)
        waiting.n_bytes += sum(column.nbytes for column in columns)
        self._counts[kind] += 1
        if waiting.n_bytes >= _GATHER_BYTES // len(self._gathered) or len(waiting.frames) >= _GATHER_FRAMES:
            self._write(name, sample.frame + 1)

    def _write(self, name: str, stop: int) -> None:
        """Writes what a sensor gathered; frames up to ``stop`` without a sample are missing."""
        waiting = self._gathered[name]
        self._gathered[name] = _Gathered(stop)
        rows = np.array(waiting.frames, dtype=np.int64) - waiting.start
        times = self._info.frame_timestamp_ns[waiting.start : stop].copy()
        status = np.full(len(times), SampleStatus.MISSING, dtype=np.uint8)
        counts = np.zeros(len(times), dtype=np.int64)
        times[rows], status[rows] = waiting.times_ns, SampleStatus.OK
        counts[rows] = [len(columns[0]) for columns in waiting.columns]
        if self._info.sensor(name).kind is SensorKind.CAMERA:
            empty: dict[str, AnyArray] = {"jpeg": np.empty(0, np.uint8)}
        else:
            empty = {"points": np.empty((0, 4), np.float32), "point_time_offset_ns": np.empty(0, np.int32)}
        flat = {
            column: np.concatenate([nothing, *(columns[row] for columns in waiting.columns)])
            for row, (column, nothing) in enumerate(empty.items())
        }
        self._writer.write_sensor_range(
            name, waiting.start, Part({"timestamp_ns": times, "status": status}, counts, flat)
        )

    def _complete(self, commit: pb.UploadCommit) -> None:
        arrived = (self._counts[SensorKind.CAMERA], self._counts[SensorKind.LIDAR])
        for what, sent, came in zip(
            ("pictures", "sweeps"), (commit.pictures, commit.sweeps), arrived, strict=True
        ):
            if sent != came:
                raise RequestError(
                    f"commit.{what}", f"{came}, which arrived", str(sent), "send the drive again"
                )
        for name, waiting in self._gathered.items():
            if waiting.start < self._info.n_frames:
                self._write(name, self._info.n_frames)
        self._writer.finish()
