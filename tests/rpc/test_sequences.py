"""Drives brought in, listed, described, deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from fleetlabel.store import SequenceStore, describe
from fleetlabel.v1 import operations_pb2
from fleetlabel.v1 import sequence_service_pb2 as pb
from rpc.api import Api, Opened, refused, request_id
from rpc.conftest import FRAMES
from rpc.servers import Served, serving

Get, List, Delete = pb.GetSequenceRequest, pb.ListSequencesRequest, pb.DeleteSequenceRequest


def names(answer: pb.ListSequencesResponse) -> list[str]:
    return [sequence.sequence_id for sequence in answer.sequences]


def test_a_drive_that_the_engine_can_see_becomes_a_sequence(api: Api, root: Path) -> None:
    operation = api.done(api.ingest("drive", "drives/first.zarr"))
    assert operation.kind == operations_pb2.OPERATION_KIND_INGEST
    assert (operation.owner, operation.sequence_id) == ("admin", "drives/first.zarr")
    result, store = operation.pipeline, SequenceStore.open(root / "drives" / "first.zarr")
    assert (result.version, result.n_frames) == ("ground_truth", FRAMES)
    assert result.content_hash == describe(store).content_hash
    sequence = api.sequences.GetSequence(Get(sequence_id="drives/first.zarr")).sequence
    assert (sequence.source_format, sequence.n_frames) == ("pandaset", FRAMES)
    assert set(sequence.cameras) == {"front_camera", "back_camera"} and len(sequence.lidars) == 2
    assert (sequence.start_ns, sequence.stop_ns) == tuple(store.info.frame_timestamp_ns[[0, -1]])
    assert (sequence.labels_version, sequence.review) == ("ground_truth", pb.REVIEW_STATE_UNLABELLED)
    assert sequence.objects_by_class["Car"] == 4
    assert sequence in api.sequences.ListSequences(List()).sequences


def test_the_same_request_again_does_nothing_again(api: Api, opened: Opened) -> None:
    again = [api.ingest("drive", "a.zarr", request_id="once") for _ in range(3)]
    assert len({one.operation_id for one in again}) == 1
    api.done(again[0])
    assert api.ingest("drive", "a.zarr", request_id="once").state == operations_pb2.OPERATION_STATE_SUCCEEDED
    with refused(grpc.StatusCode.ALREADY_EXISTS, "EXISTS", "once"):
        api.ingest("drive", "b.zarr", request_id="once")
    theirs = opened("reviewer").ingest("drive", "b.zarr", request_id="once")  # ids are each client's own
    assert theirs.operation_id != again[0].operation_id
    for wrong in ("", "x" * 201, "a\nb"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "request_id"):
            api.ingest("drive", "c.zarr", request_id=wrong)


def test_a_sequence_that_exists_is_refused_resumed_or_replaced(api: Api, root: Path) -> None:
    error = api.ended(api.ingest("drive", "town.zarr")).error
    assert error.status_code == grpc.StatusCode.ALREADY_EXISTS.value[0]
    assert error.message.startswith("town.zarr exists")  # and not where that is
    before = describe(SequenceStore.open(root / "town.zarr")).content_hash
    for existing in (pb.EXISTING_SEQUENCE_RESUME, pb.EXISTING_SEQUENCE_OVERWRITE):
        assert api.done(api.ingest("drive", "town.zarr", existing=existing)).pipeline.content_hash == before
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "existing"):
        api.ingest("drive", "town.zarr", existing=77)


@pytest.fixture(scope="module")
def trapped(given_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Path]]:
    """The API of an engine with links in its root that lead to a folder elsewhere, and that folder."""
    folder = tmp_path_factory.mktemp("trapped")
    (folder / "elsewhere").mkdir()
    root = shutil.copytree(given_root, folder / "data")
    (root / "link").symlink_to(folder / "elsewhere")
    (root / "with_link").mkdir()
    (root / "with_link" / "lidar").symlink_to(folder / "elsewhere")
    with serving(folder, root) as served, served.channel(served.token("admin", "admin")) as channel:
        yield Api(channel), folder / "elsewhere"


@pytest.mark.parametrize(
    ("source", "sequence_id", "code"),
    [
        ("../elsewhere", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive/../../elsewhere", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("/etc", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("link", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("with_link", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("file:///etc", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("http://169.254.169.254/latest", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("s3://secrets/drive", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive\0", "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("d" * 5000, "a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive", "../a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive", "/tmp/a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive", "link/a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive", "s3://secrets/a.zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive", "..zarr", grpc.StatusCode.PERMISSION_DENIED),
        ("drive", "drives/no_store", grpc.StatusCode.INVALID_ARGUMENT),
        ("drive", "", grpc.StatusCode.INVALID_ARGUMENT),
        ("", "a.zarr", grpc.StatusCode.INVALID_ARGUMENT),
        ("nothing", "a.zarr", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_nothing_outside_of_the_data_roots_is_touched(
    trapped: tuple[Api, Path], source: str, sequence_id: str, code: grpc.StatusCode
) -> None:
    api, elsewhere = trapped
    with refused(code):
        api.ingest(source, sequence_id)
    assert list(elsewhere.iterdir()) == [] and not (elsewhere.parent / "data" / "a.zarr").exists()


def test_pages_and_filters_find_each_sequence_once(api: Api, root: Path) -> None:
    for name in ("a.zarr", "b.zarr", "drives/c.zarr"):
        api.done(api.ingest("drive", name))
    every = ["a.zarr", "b.zarr", "drives/c.zarr", "town.zarr"]
    seen: list[str] = []
    token = ""
    while True:
        page = api.sequences.ListSequences(List(page_size=1, page_token=token))
        seen += names(page)
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == every
    look = api.sequences.ListSequences
    assert names(look(List(filter=pb.SequenceFilter(name_pattern="drives/*")))) == ["drives/c.zarr"]
    assert names(look(List(filter=pb.SequenceFilter(name_pattern="t?wn*")))) == ["town.zarr"]
    assert sorted(names(look(List(filter=pb.SequenceFilter(class_names=["Car"]))))) == every
    assert names(look(List(filter=pb.SequenceFilter(class_names=["Unicorn"])))) == []
    assert names(look(List(filter=pb.SequenceFilter(review=pb.REVIEW_STATE_REVIEWED)))) == []
    assert sorted(names(look(List(filter=pb.SequenceFilter(quarantined=False))))) == every
    assert names(look(List(filter=pb.SequenceFilter(stop_ns=1)))) == []
    for wrong in (List(page_token="x"), List(page_size=-1), List(filter=pb.SequenceFilter(review=9))):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE"):
            look(wrong)
    (root / "b.zarr" / "zarr.json").write_text("{")
    (broken,) = [one for one in look(List()).sequences if one.problem]
    assert broken.sequence_id == "b.zarr"


def test_a_deleted_sequence_is_gone_for_good(api: Api, root: Path) -> None:
    asked = Delete(request_id=request_id(), sequence_id="town.zarr", reason="request 4711")
    deleted = api.sequences.DeleteSequence(asked)
    assert deleted.freed_bytes > 10_000
    again = api.sequences.DeleteSequence(asked)
    assert (again.deleted_ns, again.freed_bytes) == (deleted.deleted_ns, 0)
    with refused(grpc.StatusCode.NOT_FOUND, "DELETED", "request 4711"):
        api.sequences.GetSequence(Get(sequence_id="town.zarr"))
    assert names(api.sequences.ListSequences(List())) == []
    assert [path.name for path in (root / "town.zarr").iterdir() if not path.name.startswith(".")] == [
        "zarr.json"
    ]
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        api.sequences.DeleteSequence(Delete(request_id="x", sequence_id="nothing.zarr", reason="why"))
    for wrong in ("", "  ", "x" * 2000, "a\x07"):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "reason"):
            api.sequences.DeleteSequence(Delete(request_id="y", sequence_id="town.zarr", reason=wrong))


def test_a_sequence_that_a_link_leads_to_elsewhere_is_not_there(
    served: Served, api: Api, root: Path, tmp_path: Path
) -> None:
    (root / "town.zarr").rename(tmp_path / "elsewhere.zarr")
    (root / "town.zarr").symlink_to(tmp_path / "elsewhere.zarr")
    assert names(api.sequences.ListSequences(List())) == []
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION"):
        api.sequences.GetSequence(Get(sequence_id="town.zarr"))
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION"):
        api.sequences.DeleteSequence(Delete(request_id="z", sequence_id="town.zarr", reason="why"))
    assert (tmp_path / "elsewhere.zarr" / "sensors").is_dir()
