"""What sensors saw, through the engine, is what the store has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.flaky import flaky_line
from fleetlabel.client import Engine, RemoteFrames, RequestError
from fleetlabel.engine.ingest.testing import Scene, write_pandaset
from fleetlabel.engine.ingest.testing import ingest as ingest_drive
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import SampleStatus, SequenceStore, readers
from fleetlabel.v1 import frame_service_pb2
from fleetlabel.wire.samples import Picture, picture_message, picture_of, picture_pieces
from rpc.servers import Served, serving

_FRAMES = 12


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> SequenceStore:
    """A drive with two cameras and two lidars; one picture is missing, one is no picture."""
    folder = tmp_path_factory.mktemp("town")
    write_pandaset(folder / "drive", Scene(n_frames=_FRAMES, n_objects=3))
    pictures = folder / "drive" / "camera" / "front_camera"
    (pictures / "03.jpg").unlink()
    (pictures / "05.jpg").write_bytes(b"no picture")
    (folder / "data").mkdir()
    return ingest_drive(folder / "drive", folder / "data" / "town.zarr")


@pytest.fixture(scope="module")
def town_served(town: SequenceStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), town.root.parent) as served:
        yield served


@pytest.fixture
def frames(town_served: Served) -> Iterator[RemoteFrames]:
    """Its frames as a viewer sees them."""
    with Engine(town_served.target, token=town_served.token("eve", "viewer")) as engine:
        yield engine.sequence("town").frames


def test_pictures_are_the_files_frame_by_frame(frames: RemoteFrames, town: SequenceStore) -> None:
    found = list(frames.pictures())
    cameras = ["front_camera", "back_camera"]
    names = [sensor.name for sensor in town.info.sensors if sensor.name in cameras]
    assert [(p.frame, p.camera) for p in found] == [(f, name) for f in range(_FRAMES) for name in names]
    for picture in found:
        reader = town.camera(picture.camera)
        assert picture.data == reader.jpeg(picture.frame)
        assert picture.timestamp_ns == reader.time_ns(picture.frame)
        assert picture.status == reader.status[picture.frame]
    front = {picture.frame: picture for picture in found if picture.camera == "front_camera"}
    assert front[3].status is SampleStatus.MISSING and front[3].data == b""
    assert front[5].status is SampleStatus.QUARANTINED and front[5].data == b"no picture"
    assert front[4].status is SampleStatus.OK and front[4].data.startswith(b"\xff\xd8")


def test_sweeps_are_those_of_the_store_with_their_places(frames: RemoteFrames, town: SequenceStore) -> None:
    found = list(frames.sweeps(start=2, stop=5))
    lidars = [sensor.name for sensor in town.info.sensors if sensor.camera is None]
    assert [(s.frame, s.lidar) for s in found] == [(f, name) for f in range(2, 5) for name in lidars]
    for sample in found:
        sweep, sensor = town.lidar(sample.lidar).sweep(sample.frame), town.info.sensor(sample.lidar)
        np.testing.assert_array_equal(sample.sweep.points, sweep.points)
        np.testing.assert_array_equal(sample.sweep.point_time_offset_ns, sweep.point_time_offset_ns)
        place = town.info.trajectory.at(np.array([sweep.timestamp_ns]))[0] @ sensor.ego_from_sensor
        np.testing.assert_array_equal(sample.world_from_sensor, place)


def test_times_places_and_states_are_those_of_the_store(frames: RemoteFrames, town: SequenceStore) -> None:
    whole, some = frames.timeline(), frames.timeline(4, 99)
    np.testing.assert_array_equal(whole.frame_timestamp_ns, town.info.frame_timestamp_ns)
    assert (some.start, some.stop, some.n_frames) == (4, _FRAMES, _FRAMES)
    for name, samples in some.sensors.items():
        reader = town.camera(name) if "camera" in name else town.lidar(name)
        np.testing.assert_array_equal(samples.timestamp_ns, reader.timestamp_ns[4:])
        np.testing.assert_array_equal(samples.status, reader.status[4:])
        assert some.trajectory is not None
        np.testing.assert_array_equal(
            some.trajectory.at(samples.timestamp_ns), town.info.trajectory.at(samples.timestamp_ns)
        )
    assert list(some.sensors["front_camera"].quarantined) == [5]
    assert frames.timeline(_FRAMES).trajectory is None
    sensors = {sensor.name: sensor.to_dict() for sensor in frames.calibration()}
    assert sensors == {sensor.name: sensor.to_dict() for sensor in town.info.sensors}


def test_what_is_not_there_is_not_found(frames: RemoteFrames) -> None:
    assert [picture.frame for picture in frames.pictures(["back_camera"], 11, 99)] == [11]
    assert list(frames.pictures(start=40)) == []
    for look in (frames.pictures(["roof"]), frames.sweeps(["front_camera"]), frames.pictures(["../labels"])):
        with pytest.raises(StoreNotFoundError):
            next(look)
    for start, stop in ((3, 3), (-1, 2), (5, 4)):
        with pytest.raises(RequestError):
            next(frames.pictures(start=start, stop=stop))


def test_pictures_go_on_where_the_line_broke(town_served: Served, town: SequenceStore) -> None:
    token = town_served.token("eve", "viewer")
    expected = [(f, name) for f in range(_FRAMES) for name in ("front_camera", "back_camera")]
    with (
        flaky_line(town_served.addresses.port, seed=1, cut_after=60_000) as line,
        Engine(f"127.0.0.1:{line.port}", token=token) as engine,
    ):
        while not line.cuts:
            found = list(engine.sequence("town").frames.pictures())
            assert sorted((p.frame, p.camera) for p in found) == sorted(expected)
            assert [p.frame for p in found] == sorted(p.frame for p in found)
            assert all(p.data == town.camera(p.camera).jpeg(p.frame) for p in found)


@settings(deadline=None)
@given(
    st.text(st.sampled_from("front*\x05"), min_size=1),  # with bytes that begin the file as well
    st.sampled_from([0, 5, 42, 2**31 - 1]),
    st.sampled_from([0, 42, 10**18]),
    st.binary(max_size=300) | st.sampled_from([b"*" * 127, b"*\x01*" * 43, bytes(100_000)]),
)
def test_a_message_that_is_made_and_read_by_hand_is_the_same_message(
    camera: str, frame: int, timestamp_ns: int, data: bytes
) -> None:
    picture = Picture(camera, frame, timestamp_ns, SampleStatus.OK, data)
    by_hand = b"".join(picture_pieces(camera, frame, timestamp_ns, SampleStatus.OK, memoryview(data)))
    message = frame_service_pb2.StreamPicturesResponse.FromString(by_hand)
    assert message == picture_message(picture)
    assert picture_of(by_hand) == picture_of(message.SerializeToString()) == picture
    # A newer engine may send more, and in another order.
    assert picture_of(by_hand + b"\xfa\x01\x02hi") == picture


@given(st.binary(max_size=40))
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with suppress(RequestError):
        assert isinstance(picture_of(data), Picture)


def test_pictures_are_the_same_in_memory_and_from_a_disk(
    town_served: Served, town: SequenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    resident, at_all = readers.resident_rows, readers.read_rows

    def now(*arguments: Any) -> Any:
        reads.append("now")
        return resident(*arguments)

    def later(*arguments: Any) -> Any:
        reads.append("later")
        return at_all(*arguments)

    monkeypatch.setattr(readers, "read_rows", later)
    with Engine(town_served.target, token=town_served.token("eve", "viewer")) as engine:
        frames = engine.sequence("town").frames
        expected = [town.camera(p.camera).jpeg(p.frame) for p in frames.pictures()]
        for look in (
            now,
            lambda *_: reads.append("asked"),
        ):  # the second says that a disk has to be waited for
            monkeypatch.setattr(readers, "resident_rows", look)
            reads.clear()
            assert [p.data for p in frames.pictures()] == expected
            assert "later" in reads and len(set(reads)) == 2


def test_files_of_pictures_that_are_short_are_damage(town: SequenceStore, tmp_path: Path) -> None:
    import shutil

    from fleetlabel.model.errors import CorruptStoreError

    shutil.copytree(town.root, tmp_path / "town.zarr")
    chunk = next((tmp_path / "town.zarr" / "sensors" / "front_camera").rglob("flat.jpeg/c/0"))
    chunk.write_bytes(chunk.read_bytes()[:10])
    with pytest.raises(CorruptStoreError):
        SequenceStore.open(tmp_path / "town.zarr").camera("front_camera").jpegs(0, _FRAMES)
    camera = town.camera("front_camera")
    assert camera.resident_jpegs(0, 1) is None  # nothing of the part was read yet
    camera.jpegs(0, 1)
    found = camera.resident_jpegs(0, _FRAMES)
    joined = found and [(time, status, b"".join(file)) for time, status, file in found]
    assert joined in (None, camera.jpegs(0, _FRAMES))
