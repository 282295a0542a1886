"""Labels in other tools' formats, made by the engine and fetched from it."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from pathlib import Path

import grpc

from fleetlabel.engine.exchange import StoredLabels, export_labels, writable_format
from fleetlabel.store import SequenceStore
from fleetlabel.v1 import export_service_pb2 as pb
from fleetlabel.v1 import operations_pb2, sequence_service_pb2
from rpc.api import Api, Opened, refused, request_id
from rpc.servers import Served

Start, Download = pb.StartExportRequest, pb.DownloadExportRequest


def export(api: Api, **more: str) -> operations_pb2.Operation:
    asked = {"request_id": request_id(), "sequence_id": "town.zarr", "format": "kitti"} | more
    return api.exports.StartExport(Start(**asked)).operation


def download(api: Api, operation: operations_pb2.Operation, *paths: str) -> dict[str, bytes]:
    files: dict[str, list[bytes]] = defaultdict(list)
    ended: list[str] = []
    for piece in api.exports.DownloadExport(Download(operation_id=operation.operation_id, paths=paths)):
        assert piece.offset_bytes == sum(map(len, files[piece.path])) and piece.path not in ended
        files[piece.path].append(piece.data)
        ended += [piece.path] * piece.last
    assert ended == list(files)
    return {path: b"".join(pieces) for path, pieces in files.items()}


def test_an_export_has_the_files_of_the_command_line(opened: Opened, root: Path, tmp_path: Path) -> None:
    api = opened("viewer")
    operation = api.done(export(api))
    assert operation.export.version == "ground_truth" and operation.export.notes
    files = download(api, operation)
    labels = StoredLabels(SequenceStore.open(root / "town.zarr"), "ground_truth")
    export_labels(labels, writable_format("kitti"), tmp_path / "here", "ground_truth")
    here = {
        path.relative_to(tmp_path / "here").as_posix(): path.read_bytes()
        for path in (tmp_path / "here").rglob("*")
        if path.is_file()
    }
    assert str(root.parent) not in str((operation, files["loss_report.json"]))
    assert files == here
    assert {file.path: (file.size_bytes, file.sha256) for file in operation.export.files} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in here.items()
    }
    one = sorted(files)[0]
    assert download(api, operation, one, one) == {one: files[one]}


def test_a_file_of_many_pieces_comes_whole(api: Api, served: Served) -> None:
    operation = api.done(export(api))
    path = operation.export.files[0].path
    folder = served.engine.settings.scratch / "exports" / operation.operation_id
    for content in (bytes(range(256)) * 12_288, b"x" * (1 << 20), b""):
        (folder / "files" / path).write_bytes(content)
        assert download(api, operation, path) == {path: content}


def test_what_cannot_be_exported_or_fetched_is_said(api: Api, served: Served) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "kitti"):
        export(api, format="stone tablets")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "format"):
        export(api, format="")
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        export(api, version="../../town.zarr/labels/ground_truth")
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        export(api, sequence_id="none.zarr")
    operation = api.done(export(api))
    for path in ("../sequence", "/etc/passwd", "nothing", ""):
        with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
            download(api, operation, path)
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"):
        list(api.exports.DownloadExport(Download(operation_id="../" + operation.operation_id)))
    other = api.done(api.ingest("drive", "new.zarr"))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "export"):
        download(api, other)
    shutil.rmtree(served.engine.settings.scratch / "exports" / operation.operation_id)
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "not kept any more"):
        download(api, operation)


def test_deleting_a_sequence_deletes_its_exports(api: Api, served: Served) -> None:
    operation = api.done(export(api))
    asked = sequence_service_pb2.DeleteSequenceRequest(request_id="1", sequence_id="town.zarr", reason="why")
    api.sequences.DeleteSequence(asked)
    assert list((served.engine.settings.scratch / "exports").iterdir()) == []
    with refused(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "not kept any more"):
        download(api, operation)
