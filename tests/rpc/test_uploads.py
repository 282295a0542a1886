"""Drives that come from a client that shares no files with the engine."""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.ingest.rig_writer import write_rig
from fleetlabel.engine.ingest.source import SequenceSource
from fleetlabel.model.sensors import SensorKind
from fleetlabel.store import SampleStatus, SequenceStore, describe
from fleetlabel.v1 import operations_pb2
from fleetlabel.v1 import sequence_service_pb2 as pb
from fleetlabel.wire.sensors import sensor_message, trajectory_message
from rpc.api import Api, refused, request_id
from rpc.servers import Served

Message = pb.UploadSequenceRequest
Change = Callable[[list[Message]], object]


def header_of(source: SequenceSource, sequence_id: str) -> pb.UploadHeader:
    info = source.info
    return pb.UploadHeader(
        request_id=request_id(),
        sequence_id=sequence_id,
        name="monday",
        vehicle="van 7",
        sensors=[sensor_message(sensor) for sensor in info.sensors],
        frame_timestamp_ns_i64=info.frame_timestamp_ns.astype("<i8").tobytes(),
        trajectory=trajectory_message(info.trajectory),
        world_offset_m=info.world_offset_m.tolist(),
    )


def messages_of(source: SequenceSource, sequence_id: str, gap: int | None = None) -> list[Message]:
    """What a client sends of a drive; ``gap``: a frame that it leaves out."""
    pieces: list[tuple[int, Message]] = []
    counts = {SensorKind.CAMERA: 0, SensorKind.LIDAR: 0}
    for sensor in source.info.sensors:
        part, _ = source.read_sensor(sensor.name, 0, source.info.n_frames)
        for frame in range(len(part)):
            if frame == gap or part.samples["status"][frame] == SampleStatus.MISSING:
                continue
            rows = slice(int(part.offsets[frame]), int(part.offsets[frame + 1]))
            counts[sensor.kind] += 1
            when = int(part.samples["timestamp_ns"][frame])
            if sensor.kind is SensorKind.CAMERA:
                picture = part.flat["jpeg"][rows].tobytes()
                message = Message(
                    picture=pb.UploadedPicture(
                        camera=sensor.name, frame=frame, timestamp_ns=when, picture=picture
                    )
                )
            else:
                message = Message(
                    sweep=pb.UploadedSweep(
                        lidar=sensor.name,
                        frame=frame,
                        timestamp_ns=when,
                        points_xyzi_f32=part.flat["points"][rows].astype("<f4").tobytes(),
                        point_time_offset_ns_i32=part.flat["point_time_offset_ns"][rows]
                        .astype("<i4")
                        .tobytes(),
                    )
                )
            pieces.append((frame, message))
    pieces.sort(key=lambda piece: piece[0])  # sensors take turns, as they do on the road
    commit = pb.UploadCommit(pictures=counts[SensorKind.CAMERA], sweeps=counts[SensorKind.LIDAR])
    first = Message(header=header_of(source, sequence_id))
    return [first, *(message for _, message in pieces), Message(commit=commit)]


@pytest.fixture
def source(given_root: Path) -> SequenceSource:
    return open_sequence(given_root / "drive", None)


def test_an_uploaded_drive_is_stored_as_the_same_drive_from_files(
    api: Api, served: Served, root: Path, tmp_path: Path, source: SequenceSource
) -> None:
    write_rig(source, tmp_path / "rig")
    (tmp_path / "rig").rename(root / "rig")
    there = api.done(api.ingest("rig", "from_files.zarr"))
    operation = api.sequences.UploadSequence(iter(messages_of(source, "from_client.zarr"))).operation
    assert operation.kind == operations_pb2.OPERATION_KIND_UPLOAD
    uploaded = api.done(operation)
    assert uploaded.sequence_id == "from_client.zarr" and not uploaded.pipeline.quarantined_samples
    one, other = (SequenceStore.open(root / f"{name}.zarr") for name in ("from_files", "from_client"))
    hashes = [
        {
            table.path: table.content_hash
            for table in describe(store).tables
            if table.path.startswith("sensors/")
        }
        for store in (one, other)
    ]
    assert hashes[0] == hashes[1] and len(hashes[0]) == len(source.info.sensors)
    np.testing.assert_array_equal(one.info.frame_timestamp_ns, other.info.frame_timestamp_ns)
    assert [s.to_dict() for s in one.info.sensors] == [s.to_dict() for s in other.info.sensors]
    assert there.pipeline.n_frames == uploaded.pipeline.n_frames
    sequence = api.sequences.GetSequence(pb.GetSequenceRequest(sequence_id="from_client.zarr")).sequence
    assert (sequence.name, sequence.vehicle, sequence.source_format) == ("monday", "van 7", "upload")
    served.engine.tidy()
    assert list(served.engine.uploads.folder.iterdir()) == []


def test_frames_without_a_sample_are_missing_and_the_same_upload_again_does_nothing(
    api: Api, root: Path, source: SequenceSource
) -> None:
    sent = messages_of(source, "gap.zarr", gap=3)
    operation = api.done(api.sequences.UploadSequence(iter(sent)).operation)
    store = SequenceStore.open(root / "gap.zarr")
    for sensor in source.info.of_kind(SensorKind.CAMERA):
        status = store.camera(sensor.name).status
        assert np.flatnonzero(status == SampleStatus.MISSING).tolist() == [3]
    again = api.sequences.UploadSequence(iter(sent)).operation
    assert again.operation_id == operation.operation_id
    del sent[0].header.sensors[0]
    with refused(grpc.StatusCode.ALREADY_EXISTS, "EXISTS"):
        api.sequences.UploadSequence(iter(sent))
    with refused(grpc.StatusCode.ALREADY_EXISTS, "EXISTS", "gap.zarr"):
        api.sequences.UploadSequence(iter(messages_of(source, "gap.zarr")))


def _without_commit(sent: list[Message]) -> None:
    sent.pop()


def _without_header(sent: list[Message]) -> None:
    sent.pop(0)


def _more_after_the_commit(sent: list[Message]) -> None:
    sent.append(sent[1])


def _a_picture_too_few(sent: list[Message]) -> None:
    sent.pop(1)


def _a_picture_twice(sent: list[Message]) -> None:
    sent.insert(1, sent[1])


def _a_second_header(sent: list[Message]) -> None:
    sent.insert(1, sent[0])


def _an_empty_message(sent: list[Message]) -> None:
    sent.insert(1, Message())


def _another_camera(sent: list[Message]) -> None:
    next(one for one in sent if one.HasField("picture")).picture.camera = "../../etc"


def _half_a_point(sent: list[Message]) -> None:
    sweep = next(one for one in sent if one.HasField("sweep")).sweep
    sweep.points_xyzi_f32 = sweep.points_xyzi_f32[:-3]


def _a_frame_that_is_not(sent: list[Message]) -> None:
    next(one for one in reversed(sent) if one.HasField("picture")).picture.frame = 2**31 - 1


def _a_camera_of_a_billion_pixels(sent: list[Message]) -> None:
    camera = next(sensor for sensor in sent[0].header.sensors if sensor.HasField("camera")).camera
    camera.width_px = camera.height_px = 100_000


def _a_sensor_elsewhere(sent: list[Message]) -> None:
    sent[0].header.sensors[0].name = "../../elsewhere"


def _no_sensors(sent: list[Message]) -> None:
    del sent[0].header.sensors[:]


def _a_thousand_sensors(sent: list[Message]) -> None:
    for number in range(1000):
        sent[0].header.sensors.add().CopyFrom(sent[0].header.sensors[0])
        sent[0].header.sensors[-1].name = f"camera{number}"


def _a_million_frames(sent: list[Message]) -> None:
    sent[0].header.frame_timestamp_ns_i64 = np.arange(2_000_000, dtype="<i8").tobytes()


def _frames_that_go_back(sent: list[Message]) -> None:
    sent[0].header.frame_timestamp_ns_i64 = np.array([2, 1], dtype="<i8").tobytes()


def _poses_elsewhen(sent: list[Message]) -> None:
    poses = sent[0].header.trajectory
    poses.timestamp_ns_i64 = (np.frombuffer(poses.timestamp_ns_i64, "<i8") + 10**15).tobytes()


def _an_offset_of_two(sent: list[Message]) -> None:
    del sent[0].header.world_offset_m[:1]


def _a_name_of_a_megabyte(sent: list[Message]) -> None:
    sent[0].header.name = "x" * 2**20


def _outside(sent: list[Message]) -> None:
    sent[0].header.sequence_id = "../outside.zarr"


@pytest.mark.parametrize(
    "change",
    [
        _without_commit, _without_header, _more_after_the_commit, _a_picture_too_few, _a_picture_twice,
        _a_second_header, _an_empty_message, _another_camera, _half_a_point, _a_frame_that_is_not,
        _a_camera_of_a_billion_pixels, _a_sensor_elsewhere, _no_sensors, _a_thousand_sensors, _a_million_frames,
        _frames_that_go_back, _poses_elsewhen, _an_offset_of_two, _a_name_of_a_megabyte, _outside,
    ],
)  # fmt: skip
def test_an_upload_that_cannot_be_leaves_nothing(
    shared: Api, shared_engine: Served, given_root: Path, source: SequenceSource, change: Change
) -> None:
    sent = messages_of(source, "new.zarr")
    change(sent)
    code = grpc.StatusCode.PERMISSION_DENIED if change is _outside else grpc.StatusCode.INVALID_ARGUMENT
    with refused(code):
        shared.sequences.UploadSequence(iter(sent))
    assert list(shared_engine.engine.uploads.folder.iterdir()) == []
    assert not (given_root / "new.zarr").exists() and not shared_engine.engine.operations.list().operations


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_client_that_vanishes_leaves_nothing(
    api: Api, served: Served, source: SequenceSource, share: float
) -> None:
    """It does so as soon as the engine has begun, in the middle, and when just the commit is missing."""
    sent = messages_of(source, "new.zarr")[:-1]
    folder, vanish = served.engine.uploads.folder, threading.Event()

    def some() -> Iterator[Message]:
        yield from sent[: 1 + int(share * len(sent))]
        vanish.wait()  # the stream stays open

    call = api.sequences.UploadSequence.future(some())
    if share:
        _until(lambda: any(folder.iterdir()))
    call.cancel()
    vanish.set()
    with pytest.raises(grpc.FutureCancelledError):
        call.result()
    assert api.sequences.ListSequences(
        pb.ListSequencesRequest()
    ).sequences  # later than what the engine had begun
    _until(lambda: not any(folder.iterdir()))
    assert not served.engine.operations.list().operations


def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.01)


def _png(width: int, height: int) -> bytes:
    """A PNG that says it is so large, with one row of pixels in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def test_pictures_that_cannot_be_used_are_set_aside(api: Api, root: Path, source: SequenceSource) -> None:
    sent = messages_of(source, "new.zarr")
    pictures = [
        one.picture for one in sent if one.HasField("picture") and one.picture.camera == "front_camera"
    ]
    pictures[1].picture = _png(2**31 - 1, 2**31 - 1)
    pictures[2].picture = b"\xff\xd8" + b"\0" * 100
    pictures[3].picture = b""
    pictures[4].picture = b"#!/bin/sh\n"
    operation = api.done(api.sequences.UploadSequence(iter(sent)).operation)
    assert operation.pipeline.quarantined_samples == 4
    camera = SequenceStore.open(root / "new.zarr").camera("front_camera")
    assert np.flatnonzero(camera.status == SampleStatus.QUARANTINED).tolist() == [1, 2, 3, 4]
    assert describe(SequenceStore.open(root / "new.zarr")).content_hash == operation.pipeline.content_hash
