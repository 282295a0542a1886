"""The service of what sensors saw: pictures, sweeps, times, places."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import grpc
import numpy as np

from fleetlabel.engine.rpc.access import Context
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.requests import needed
from fleetlabel.geometry.arrays import F64, I64
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.model.sweep import Sweep
from fleetlabel.store import Part, SampleStatus, SequenceStore
from fleetlabel.v1 import frame_service_pb2 as pb
from fleetlabel.v1 import frame_service_pb2_grpc as services
from fleetlabel.wire.columns import column_bytes
from fleetlabel.wire.frames import range_of
from fleetlabel.wire.samples import LidarSample, picture_pieces, sweep_message
from fleetlabel.wire.sensors import Samples, samples_message, sensor_message, trajectory_message

M = TypeVar("M")
T = TypeVar("T")

Pieces = tuple[bytes | memoryview, ...]

_FIRST_FRAMES, _MOST_FRAMES = 4, 256
_BYTES_AT_ONCE = 4 << 20  # read by a thread
_BYTES_AT_A_TIME = 512 << 10  # read on the event loop, out of memory: tens of microseconds
_SWEEP = ("timestamp_ns", "status", "points", "point_time_offset_ns")


class FrameService(services.FrameServiceServicer):
    """See frame_service.proto."""

    def __init__(self, engine: ServedEngine) -> None:
        self._engine = engine

    async def StreamPictures(
        self, request: pb.StreamPicturesRequest, _: Context
    ) -> AsyncGenerator[list[Pieces]]:
        """Pictures, frame by frame, as pieces of serialized messages: joining them is the only copy of their files."""
        store = await self._store(request.sequence_id)
        cameras = _sensors(store, SensorKind.CAMERA, request.cameras)
        frames = range_of(request.frames, store.info.n_frames)
        readers = await self._engine.in_thread(
            lambda: [self._engine.camera(store, camera.name) for camera in cameras]
        )
        if not cameras:
            return

        def read(start: int, stop: int) -> tuple[list[Pieces], int]:
            columns = [reader.jpegs(start, stop) for reader in readers]
            size = sum(len(file) for column in columns for _, _, file in column)
            return [
                picture_pieces(camera.name, start + row, *column[row])
                for row in range(stop - start)
                for camera, column in zip(cameras, columns, strict=True)
            ], size

        def resident(start: int, stop: int) -> list[Pieces] | None:
            columns = []
            for reader in readers:
                column = reader.resident_jpegs(start, stop)
                if column is None:
                    return None
                columns.append(column)
            return [  # joined at once, while they are there
                (b"".join(picture_pieces(camera.name, start + row, time, status, *file)),)
                for row in range(stop - start)
                for camera, (time, status, file) in zip(cameras, (c[row] for c in columns), strict=True)
            ]

        async for batch in self._batches(frames, read, resident):
            yield batch

    async def StreamSweeps(
        self, request: pb.StreamSweepsRequest, _: Context
    ) -> AsyncGenerator[list[pb.StreamSweepsResponse]]:
        """Sweeps, frame by frame."""
        store = await self._store(request.sequence_id)
        lidars = _sensors(store, SensorKind.LIDAR, request.lidars)
        frames = range_of(request.frames, store.info.n_frames)
        if not lidars:
            return

        def read(start: int, stop: int) -> tuple[list[pb.StreamSweepsResponse], int]:
            parts = [store.table(f"sensors/{lidar.name}").read(start, stop, _SWEEP) for lidar in lidars]
            columns = [
                _sweeps(lidar, part, start, store.info.trajectory)
                for lidar, part in zip(lidars, parts, strict=True)
            ]
            messages = [sweep_message(column[row]) for row in range(stop - start) for column in columns]
            return messages, sum(part.flat["points"].nbytes for part in parts)

        async for batch in self._batches(frames, read, lambda *_: None):
            yield batch

    async def GetTimeline(self, request: pb.GetTimelineRequest, _: Context) -> pb.GetTimelineResponse:
        """Times and places."""
        store = await self._store(request.sequence_id)
        frames = range_of(request.frames, store.info.n_frames)
        answer = await self._engine.in_thread(lambda: _timeline(store, frames))
        for sensor in answer.sensors:
            for broken in sensor.quarantined:
                broken.reason = self._engine.in_clients_words(broken.reason)
        return answer

    async def GetCalibration(
        self, request: pb.GetCalibrationRequest, _: Context
    ) -> pb.GetCalibrationResponse:
        """Sensors with intrinsics and extrinsics."""
        store = await self._store(request.sequence_id)
        return pb.GetCalibrationResponse(sensors=[sensor_message(sensor) for sensor in store.info.sensors])

    async def _store(self, sequence_id: str) -> SequenceStore:
        needed("sequence_id", sequence_id)
        return await self._engine.in_thread(lambda: self._engine.store(sequence_id))

    async def _batches(
        self,
        frames: range,
        read: Callable[[int, int], tuple[list[M], int]],
        resident: Callable[[int, int], list[M] | None],
    ) -> AsyncGenerator[list[M]]:
        """Messages of a range of frames, in batches.

        What is in memory is read right here, when the batch before is sent: a thread would cost more than the reading,
        since it and this one would pass the interpreter to and fro. What a disk has to be waited for is read by
        threads, some MiB at a time, while the batch before is sent.

        Args:
            read: messages of the frames ``start:stop``, and their size in bytes; blocks.
            resident: the same messages, None if that would block.
        """
        first, last, step, per_frame = frames.start, frames.start, _FIRST_FRAMES, float(_BYTES_AT_ONCE)
        coming: asyncio.Future[tuple[list[M], int]] | None = None
        try:
            while first < frames.stop:
                if coming is None and per_frame < _BYTES_AT_ONCE:
                    last = min(first + max(1, int(_BYTES_AT_A_TIME / per_frame)), frames.stop)
                    found = resident(first, last)
                    if found is not None:
                        first = last
                        yield found
                        continue
                if coming is None:
                    last = min(first + step, frames.stop)
                    coming = self._reading(read, first, last)
                batch, size = await coming
                per_frame = max(size / (last - first), _BYTES_AT_ONCE / _MOST_FRAMES)
                step = max(1, min(2 * (last - first), int(_BYTES_AT_ONCE / per_frame)))
                first, coming = last, None
                if first < frames.stop and resident(first, first + 1) is None:
                    last = min(first + step, frames.stop)
                    coming = self._reading(read, first, last)
                yield batch
        finally:
            if coming is not None:
                coming.cancel()

    def _reading(self, read: Callable[[int, int], T], start: int, stop: int) -> asyncio.Future[T]:
        return asyncio.ensure_future(self._engine.in_thread(lambda: read(start, stop)))


def _sensors(store: SequenceStore, kind: SensorKind, names: Sequence[str]) -> list[Sensor]:
    """Sensors of a kind: those that were named, or all of them."""
    known = {sensor.name: sensor for sensor in store.info.of_kind(kind)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise StoreNotFoundError(f"there is no {kind} {unknown[0]!r}; the sequence has {list(known)}")
    return [known[name] for name in dict.fromkeys(names or known)]


def _sweeps(lidar: Sensor, part: Part, start: int, trajectory: Trajectory) -> list[LidarSample]:
    times, status = part.samples["timestamp_ns"], part.samples["status"].tolist()
    places = _places(lidar, times, trajectory)
    offsets = part.offsets.tolist()
    found = []
    for row, (low, high) in enumerate(pairwise(offsets)):
        sweep = Sweep(
            int(times[row]), part.flat["points"][low:high], part.flat["point_time_offset_ns"][low:high]
        )
        found.append(LidarSample(lidar.name, start + row, SampleStatus(status[row]), sweep, places[row]))
    return found


def _places(lidar: Sensor, times: I64, trajectory: Trajectory) -> list[F64 | None]:
    """Where the lidar was at each time; None where the trajectory does not reach."""
    first, last = int(trajectory.timestamp_ns[0]), int(trajectory.timestamp_ns[-1])
    reach = trajectory.max_extrapolation_ns
    inside = np.flatnonzero((times >= first - reach) & (times <= last + reach))
    places: list[F64 | None] = [None] * len(times)
    if len(inside):
        for row, pose in zip(inside.tolist(), trajectory.at(times[inside]), strict=True):
            places[row] = pose @ lidar.ego_from_sensor
    return places


def _timeline(store: SequenceStore, frames: range) -> pb.GetTimelineResponse:
    info = store.info
    answer = pb.GetTimelineResponse(
        n_frames=info.n_frames,
        start_frame=frames.start,
        stop_frame=frames.stop,
        frame_timestamp_ns_i64=column_bytes(info.frame_timestamp_ns[frames.start : frames.stop]),
        world_offset_m=info.world_offset_m.tolist(),
    )
    if not frames:
        return answer
    low, high = int(info.frame_timestamp_ns[frames.start]), int(info.frame_timestamp_ns[frames.stop - 1])
    for sensor in info.sensors:
        samples = _samples(store, sensor.name, frames)
        if samples is None:
            continue
        answer.sensors.append(samples_message(samples))
        low, high = min(low, int(samples.timestamp_ns.min())), max(high, int(samples.timestamp_ns.max()))
    answer.trajectory.CopyFrom(trajectory_message(_between(info.trajectory, low, high)))
    return answer


def _samples(store: SequenceStore, sensor: str, frames: range) -> Samples | None:
    """Times and state of a sensor's samples, None if it is not ingested yet."""
    path = f"sensors/{sensor}"
    if not store.has_table(path):
        return None
    table = store.table(path)
    try:
        part = table.read(frames.start, frames.stop, ("timestamp_ns", "status"))
    except StoreNotFoundError:
        return None
    broken = {
        entry.sample: entry.reason
        for record in table.records()
        for entry in record.quarantined
        if entry.sample in frames
    }
    return Samples(sensor, part.samples["timestamp_ns"], part.samples["status"], broken)


def _between(trajectory: Trajectory, low: int, high: int) -> Trajectory:
    """The poses that poses at the times ``low..high`` depend on."""
    times = trajectory.timestamp_ns
    first = max(int(np.searchsorted(times, low, side="right")) - 2, 0)
    last = min(int(np.searchsorted(times, high)) + 2, len(times))
    first = min(first, last - 1)
    return Trajectory(
        times[first:last], trajectory.world_from_ego[first:last], trajectory.max_extrapolation_ns
    )


def add_frame_service(server: grpc.aio.Server, engine: ServedEngine) -> str:
    """Adds the service to a server, and tells its name."""
    name, service, generated = "fleetlabel.v1.FrameService", FrameService(engine), _Handlers()
    services.add_FrameServiceServicer_to_server(service, generated)
    pictures = grpc.unary_stream_rpc_method_handler(
        service.StreamPictures,
        pb.StreamPicturesRequest.FromString,
        b"".join,
    )
    handlers = generated.handlers | {"StreamPictures": pictures}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    server.add_registered_method_handlers(name, handlers)
    return name


class _Handlers:
    """In a server's place: takes from generated code what it would add."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, _: Any) -> None:
        """Has the same handlers."""

    def add_registered_method_handlers(self, _: str, handlers: dict[str, Any]) -> None:
        """By the methods' names."""
        self.handlers = handlers
