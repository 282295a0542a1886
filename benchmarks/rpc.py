"""The engine over gRPC: boxes/s, pictures/s beside bare gRPC, and how long readers wait while others edit and it works.

    python benchmarks/rpc.py [--json FILE] [--folder DIR] [--seconds 20] [--write]

The engine is `fleetlabel serve` in a process of its own, its clients are in another one, and everything is on this
machine, so that both share its cores. ``--write`` puts the table into README.md, between its two markers.

* boxes: 2,000,000 cuboids, read through the client into numpy.
* pictures: 600 pictures of 200 kB in one stream, out of the store's files, which the system has in its memory, through
  the client, which gives views of their messages. Beside them a bare grpc.aio server: its handler writes 600 messages
  of that size, which are all bytes objects that it has, to one stream of a bare grpc client, without protobuf, token,
  log or limits. Best of five, alternating; the first time, when the engine opens the pictures, is told apart.
* readers: 100 connections, each of which reads 20 frames of labels about once a second, while 10 others save an edit
  about once a second; then the same while an operation with one worker detects objects. The first three seconds, in
  which the engine opens the labels for the first time, are told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from fleetlabel.client import Engine
from fleetlabel.engine.catalog import Catalog, Role
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.geometry.arrays import AnyArray
from fleetlabel.geometry.trajectory import Trajectory
from fleetlabel.model.cameras import PinholeCamera
from fleetlabel.model.sensors import Sensor, SensorKind
from fleetlabel.store import Part, SequenceInfo, SequenceStore
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.v1.label_service_pb2_grpc import LabelServiceStub
from fleetlabel.wire.boxes import boxes3d_of
from labels import make_store

HERE = Path(__file__).parent
BEGIN, END = "<!-- table: rpc.py --write -->\n", "<!-- end of rpc table -->\n"
PICTURES, PICTURE_BYTES, PART_FRAMES = 600, 200_000, 100
BOX_FRAMES, BOXES_PER_FRAME = 10_000, 200
READERS, EDITORS, WINDOW_FRAMES = 100, 10, 20
TRACK_FRAMES, TRACKS = 2_000, 40
WARMING_S = 3.0
MESSAGE_LIMIT = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]


def main() -> None:
    """Measure; print, keep, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=HERE / "results" / "rpc.json", help="where numbers go")
    parser.add_argument("--folder", type=Path, help="where stores are made: the disk that is measured")
    parser.add_argument("--seconds", type=float, default=20.0, help="of reading, each time")
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--write", action="store_true", help="only: put the last numbers' table into README.md"
    )
    args = parser.parse_args()
    if args.bare is not None:
        asyncio.run(serve_bare(args.bare))
    elif args.write:
        write_table(json.loads(args.json.read_text()))
    else:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            found = measure(Path(folder), args.seconds)
        print(json.dumps(found, indent=2))
        args.json.write_text(json.dumps(found, indent=2) + "\n")


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """All of it."""
    data = folder / "data"
    data.mkdir()
    make_store(data / "boxes.zarr", BOX_FRAMES, BOXES_PER_FRAME)
    make_store(data / "tracks.zarr", TRACK_FRAMES, TRACKS)
    make_pictures(data / "pictures.zarr")
    write_pandaset(data / "drive", Scene(n_frames=800, n_objects=4))
    with Catalog(str(folder / "catalog.sqlite")) as catalog:
        token = catalog.tokens.create("bench", Role.ADMIN)[1]
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    with served(folder) as (address, pid):
        with Engine(address, token=token) as engine:
            found |= boxes_per_second(engine) | pictures_per_second(engine)
            found["rss_mib_after_streams"] = memory_mib(pid, "VmRSS")
            found["idle"] = asyncio.run(readers_and_editors(address, token, seconds))
            found["rss_mib_after_readers"] = memory_mib(pid, "VmRSS")
            engine.ingest("drive", "drive.zarr").wait()
            work = engine.sequence("drive.zarr").prelabel("synthetic")
            while work.now().stage == "":
                time.sleep(0.1)
            found["beside_a_run"] = asyncio.run(readers_and_editors(address, token, seconds))
            found["run_went_on"] = not work.now().done
            work.cancel()
        found["rss_mib_at_most"] = memory_mib(pid, "VmHWM")
    return found


# --- rates ------------------------------------------------------------------------------------------------------------


def boxes_per_second(engine: Engine) -> dict[str, Any]:
    """Cuboids into numpy, best of three."""
    snapshot = engine.sequence("boxes").labels.now()
    best_s = float("inf")
    for _ in range(3):
        began_s = time.perf_counter()
        total = sum(len(block.boxes) for block in snapshot.blocks3d())
        best_s = min(best_s, time.perf_counter() - began_s)
    assert total == BOX_FRAMES * BOXES_PER_FRAME
    return {"boxes": total, "boxes_per_s": total / best_s}


def pictures_per_second(engine: Engine) -> dict[str, Any]:
    """Pictures through the client, and messages of their size through bare gRPC, in turns."""
    frames = engine.sequence("pictures").frames
    ours, bare = [], []
    with bare_server() as address, grpc.insecure_channel(address, MESSAGE_LIMIT) as channel:
        method: Any = channel.unary_stream("/bare/Stream", None, None)
        for _ in range(5):
            began_s = time.perf_counter()
            sizes = [len(message) for message in method(PICTURES.to_bytes(4, "big"))]
            bare.append(PICTURES / (time.perf_counter() - began_s))
            assert sizes == [PICTURE_BYTES] * PICTURES
            began_s = time.perf_counter()
            sizes = [len(picture.file) for picture in frames.pictures()]
            ours.append(PICTURES / (time.perf_counter() - began_s))
            assert sizes == [PICTURE_BYTES] * PICTURES
    return {
        "pictures_per_s": max(ours),
        "bare_messages_per_s": max(bare),
        "pictures_of_bare": max(ours) / max(bare),
        "pictures_per_s_first": ours[0],
    }


async def serve_bare(port: int) -> None:
    """Answers a number with so many messages, without protobuf."""
    messages = [os.urandom(PICTURE_BYTES) for _ in range(PICTURES)]

    async def stream(request: bytes, context: Any) -> None:
        for number in range(int.from_bytes(request, "big")):
            await context.write(messages[number])

    handler: Any = grpc.unary_stream_rpc_method_handler(stream)
    server = grpc.aio.server(options=MESSAGE_LIMIT)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bare", {"Stream": handler})])
    print(server.add_insecure_port(f"127.0.0.1:{port}"), flush=True)
    await server.start()
    await server.wait_for_termination()


# --- readers and editors ----------------------------------------------------------------------------------------------


async def readers_and_editors(address: str, token: str, seconds: float) -> dict[str, Any]:
    """How long label reads and commits take, from the request until numpy has the boxes, or the disk the edit."""
    metadata = (("authorization", f"Bearer {token}"),)
    connected = asyncio.Barrier(READERS + EDITORS)  # the clock runs once everybody is there
    reads: list[float] = []
    first_reads: list[float] = []
    commits: list[float] = []
    errors: list[str] = []

    async def read(seed: int) -> None:
        rng = random.Random(seed)
        async with grpc.aio.insecure_channel(address, MESSAGE_LIMIT) as channel:
            stub = LabelServiceStub(channel)
            await stub.ListVersions(pb.ListVersionsRequest(sequence_id="tracks"), metadata=metadata)
            await connected.wait()
            until_s = time.monotonic() + WARMING_S + seconds
            await asyncio.sleep(rng.random())
            while time.monotonic() < until_s:
                start = rng.randrange(TRACK_FRAMES - WINDOW_FRAMES)
                request = pb.GetBoxes3DRequest(
                    sequence_id="tracks", frames={"start_frame": start, "stop_frame": start + WINDOW_FRAMES}
                )
                began_s = time.perf_counter()
                try:
                    async for answer in stub.GetBoxes3D(request, metadata=metadata):
                        boxes3d_of(answer.boxes)
                    counted = reads if time.monotonic() > until_s - seconds else first_reads
                    counted.append(time.perf_counter() - began_s)
                except grpc.RpcError as error:
                    errors.append(str(error))
                await asyncio.sleep(rng.expovariate(1.0))

    async def edit(seed: int) -> None:
        rng = random.Random(seed)
        async with grpc.aio.insecure_channel(address, MESSAGE_LIMIT) as channel:
            stub = LabelServiceStub(channel)
            head = await stub.ListVersions(pb.ListVersionsRequest(sequence_id="tracks"), metadata=metadata)
            record = head.head.record
            await connected.wait()
            until_s = time.monotonic() + WARMING_S + seconds
            while time.monotonic() < until_s:
                await asyncio.sleep(rng.expovariate(1.0))
                frame = rng.randrange(TRACK_FRAMES)
                track = frame // 200 * TRACKS + seed % TRACKS + 1  # each editor has tracks of its own
                pose = {"frame": frame, "center_m": [rng.uniform(0, 99), 4.0, 0.8], "yaw_rad": 0.0}
                request = pb.CommitEditsRequest(
                    request_id=str(rng.random()),
                    sequence_id="tracks",
                    base_record=record,
                    edits=[{"object_id": track, "set_keyframe_3d": pose}],
                )
                began_s = time.perf_counter()
                try:
                    done = await stub.CommitEdits(request, metadata=metadata)
                    if time.monotonic() > until_s - seconds:
                        commits.append(time.perf_counter() - began_s)
                    record = done.record.record
                except grpc.RpcError as error:
                    errors.append(str(error))

    await asyncio.gather(*map(read, range(READERS)), *map(edit, range(EDITORS)))
    assert not errors, errors[0]
    return {
        "reads": len(reads),
        "reads_per_s": len(reads) / seconds,
        "read_ms_p50": float(np.percentile(reads, 50)) * 1e3,
        "read_ms_p99": float(np.percentile(reads, 99)) * 1e3,
        "first_read_ms_max": max(first_reads) * 1e3,
        "commits": len(commits),
        "commit_ms_p50": float(np.percentile(commits, 50)) * 1e3,
        "commit_ms_p99": float(np.percentile(commits, 99)) * 1e3,
        "errors": len(errors),
    }


# --- what is served ---------------------------------------------------------------------------------------------------


def make_pictures(root: Path) -> None:
    """A sequence of one camera with pictures of random bytes."""
    times = np.arange(PICTURES, dtype=np.int64) * 100_000_000
    poses = np.tile([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (PICTURES, 1))
    camera = Sensor("front", SensorKind.CAMERA, np.eye(4), PinholeCamera(1600, 900, 800, 800, 800, 450))
    store = SequenceStore.create(root, SequenceInfo("pictures", (camera,), times, Trajectory(times, poses)))
    table = store.sensor_table("front")
    rng = np.random.default_rng(0)
    for start in range(0, PICTURES, PART_FRAMES):
        samples: dict[str, AnyArray] = {
            "timestamp_ns": times[start : start + PART_FRAMES],
            "status": np.zeros(PART_FRAMES, dtype=np.uint8),
        }
        counts = np.full(PART_FRAMES, PICTURE_BYTES, dtype=np.int64)
        flat = {"jpeg": rng.integers(0, 256, PART_FRAMES * PICTURE_BYTES, dtype=np.uint8)}
        table.write(start, Part(samples, counts, flat), provenance={})


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """`fleetlabel serve` in a process of its own: its address, and the process's id."""
    command = [
        sys.executable,
        "-m",
        "fleetlabel.engine.cli",
        "serve",
        "--data",
        folder / "data",
        "--port",
        "0",
    ]
    command += [
        "--catalog",
        folder / "catalog.sqlite",
        "--scratch",
        folder / "scratch",
        "--workers",
        "1",
        "--json",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True)
    with ended(process):
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"], process.pid


@contextmanager
def bare_server() -> Iterator[str]:
    """The bare server in a process of its own: its address."""
    command = [sys.executable, __file__, "--bare", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with ended(process):
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Ends a process with the block."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def memory_mib(pid: int, what: str) -> float:
    """Resident memory of a process, now (VmRSS) or at most (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:"))


# --- the table --------------------------------------------------------------------------------------------------------


def write_table(found: dict[str, Any]) -> None:
    """Puts numbers beside their targets into README.md."""
    idle, busy = found["idle"], found["beside_a_run"]
    rows = [
        (
            "label blocks into numpy, boxes/s",
            found["boxes_per_s"],
            ">= 1,000,000",
            found["boxes_per_s"] >= 1e6,
        ),
        ("pictures/s", found["pictures_per_s"], "", None),
        ("messages/s of the same size through bare gRPC", found["bare_messages_per_s"], "", None),
        (
            "pictures/s over bare gRPC's",
            found["pictures_of_bare"],
            ">= 0.7",
            found["pictures_of_bare"] >= 0.7,
        ),
        ("pictures/s, the first time", found["pictures_per_s_first"], "", None),
        ("100 readers, 10 editors: the slowest of the first reads, ms", idle["first_read_ms_max"], "", None),
        ("100 readers, 10 editors: a read, ms, p50", idle["read_ms_p50"], "", None),
        ("100 readers, 10 editors: a read, ms, p99", idle["read_ms_p99"], "< 50", idle["read_ms_p99"] < 50),
        (
            "the same beside a run with one worker, ms, p99",
            busy["read_ms_p99"],
            "< 250",
            busy["read_ms_p99"] < 250,
        ),
        ("a commit, ms, p99", idle["commit_ms_p99"], "", None),
        ("errors", idle["errors"] + busy["errors"], "0", idle["errors"] + busy["errors"] == 0),
        ("the engine's memory after streams, MiB", found["rss_mib_after_streams"], "", None),
        ("the engine's memory at most, MiB", found["rss_mib_at_most"], "", None),
    ]
    lines = ["| what | measured | target | met |", "| --- | --- | --- | --- |"]
    for what, value, target, met in rows:
        lines.append(
            f"| {what} | {value:,.4g} | {target} | {'' if met is None else 'yes' if met else '**no**'} |"
        )
    path = HERE / "README.md"
    before, rest = path.read_text().split(BEGIN)
    path.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
