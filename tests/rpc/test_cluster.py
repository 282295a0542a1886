"""An engine whose work is done by the workers of a Dask cluster."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from fleetlabel.engine.cluster import start_local
from fleetlabel.store import SequenceStore, describe
from fleetlabel.v1 import prelabel_service_pb2, tracking_service_pb2
from rpc.api import Api, request_id
from rpc.servers import serving

pytestmark = pytest.mark.slow


def labelled(api: Api, sequence_id: str) -> str:
    """The content hash of a drive that was labelled stage by stage."""
    detect = prelabel_service_pb2.DetectSettings(conf=0.1, backend="onnxruntime")
    api.done(api.ingest("drive", sequence_id))
    named = {"request_id": request_id(), "sequence_id": sequence_id}
    asked = prelabel_service_pb2.StartPrelabelRequest(**named, model="bright.onnx", detect=detect)
    api.done(api.prelabel.StartPrelabel(asked).operation)
    named["request_id"] = request_id()
    api.done(api.prelabel.StartLift(prelabel_service_pb2.StartLiftRequest(**named)).operation)
    named["request_id"] = request_id()
    tracked = api.done(
        api.tracking.StartTracking(tracking_service_pb2.StartTrackingRequest(**named)).operation
    )
    return tracked.pipeline.content_hash


def test_a_clusters_labels_are_those_of_this_machine(root: Path, tmp_path: Path) -> None:
    hashes = []
    with ExitStack() as stack:
        cluster = start_local(1, stack).client.scheduler.address
        for name, address in (("here", None), ("there", cluster)):
            (tmp_path / name).mkdir()
            served = stack.enter_context(serving(tmp_path / name, root, cluster=address))
            channel = stack.enter_context(served.channel(served.token("ann", "admin")))
            hashes.append(labelled(Api(channel), f"{name}.zarr"))
    assert hashes[0] == hashes[1] == describe(SequenceStore.open(root / "there.zarr")).content_hash


def test_a_cluster_that_is_not_there_fails_the_operation_and_nothing_else(root: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        served = stack.enter_context(serving(tmp_path, root, cluster="tcp://127.0.0.1:9"))
        api = Api(stack.enter_context(served.channel(served.token("ann", "admin"))))
        ended = api.ended(api.ingest("drive", "new.zarr"))
        assert ended.done and ended.error.status_code == grpc.StatusCode.UNAVAILABLE.value[0], ended
        assert "127.0.0.1:9" in ended.error.message
