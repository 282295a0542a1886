"""Who may do what: tokens, roles, limits; and that the log says so."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import grpc
import pytest

from fleetlabel.engine.catalog import Role
from fleetlabel.engine.rpc.logs import JsonLines
from fleetlabel.engine.rpc.methods import RULES
from fleetlabel.v1 import operation_service_pb2, sequence_service_pb2
from rpc.api import METHODS, Api, Opened, refused
from rpc.servers import Served, serving

LIST = sequence_service_pb2.ListSequencesRequest()


def test_every_method_of_the_api_has_a_rule() -> None:
    assert {method for method in RULES if method.startswith("/fleetlabel")} == set(METHODS)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_whoever_has_a_lesser_role_is_refused(shared_engine: Served, method: str) -> None:
    needed = RULES[method].role
    assert needed is not None
    lesser = [role for role in Role if needed.covers(role) and role is not needed]
    for role in lesser:
        needs = refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION", f"takes at least {needed}")
        with shared_engine.channel(shared_engine.token(role, role)) as channel, needs:
            Api(channel).send(method, b"")


def test_a_viewer_who_tries_to_edit_changes_nothing(opened: Opened, root: Path) -> None:
    before = sorted(path for path in root.rglob("*") if path.is_file())
    viewer = opened("viewer")
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION", "viewer is viewer"):
        viewer.ingest("drive", "new.zarr")
    with refused(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION"):
        viewer.sequences.DeleteSequence(
            sequence_service_pb2.DeleteSequenceRequest(
                request_id="1", sequence_id="town.zarr", reason="why not"
            )
        )
    assert sorted(path for path in root.rglob("*") if path.is_file()) == before


def test_no_wrong_expired_or_revoked_token_lets_anybody_in(shared_engine: Served) -> None:
    served = shared_engine
    good = served.token("ann", "viewer")
    expired = served.token("bob", "viewer", lasts_s=1e-6)
    revoked = served.token("eve", "viewer")
    served.engine.catalog.tokens.revoke("eve")
    forged = good[:-1] + ("A" if good[-1] != "A" else "B")
    with served.channel() as channel:
        api = Api(channel)
        attempts = [
            (),
            *(
                (("authorization", f"Bearer {token}"),)
                for token in (expired, revoked, forged, "fl_", "x" * 5000)
            ),
            (("authorization", good),),
            (("authorization", f"Basic {good}"),),
            (("authorization", "Bearer "),),
            (("authorization", f"Bearer {good}"), ("authorization", f"Bearer {good}")),
            (("authorization-bin", f"Bearer {good}".encode()),),
        ]
        for metadata in attempts:
            with refused(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED") as details:
                api.sequences.ListSequences(LIST, metadata=metadata)
            assert all(good not in str(detail) for detail in details)
        assert api.sequences.ListSequences(LIST, metadata=(("authorization", f"bearer {good}"),)).sequences


def test_the_log_names_the_request_and_keeps_the_token_to_itself(shared_engine: Served) -> None:
    served = shared_engine
    token = served.token("ann", "viewer")
    written: list[str] = []

    class Writing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(JsonLines().format(record))

    logger = logging.getLogger("fleetlabel")
    handler = Writing()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with served.channel(token) as channel, refused(grpc.StatusCode.PERMISSION_DENIED) as details:
            Api(channel).ingest("drive\n{}", "new.zarr")
        name = details[0].log_request_id
        while not (lines := [json.loads(line) for line in written if name in line]):
            time.sleep(0.01)  # the answer is sent first
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    (line,) = lines
    assert (line["principal"], line["status"], line["error"]) == ("ann", "PERMISSION_DENIED", "permission")
    assert line["method"] == "/fleetlabel.v1.SequenceService/IngestSequence" and line["level"] == "warning"
    assert all(token not in text and "\n" not in text for text in written)


def test_a_client_has_a_limit_of_streams_and_gets_them_back(
    root: Path, tmp_path: Path, held: threading.Event
) -> None:
    with serving(tmp_path, root, max_streams=3) as served:
        ann, bob = (served.channel(served.token(name, "admin")) for name in ("ann", "bob"))
        with ann, bob:
            api = Api(ann)
            operation = api.ingest("drive", "new.zarr")
            asked = operation_service_pb2.WatchOperationRequest(operation_id=operation.operation_id)
            streams = [api.operations.WatchOperation(asked) for _ in range(3)]
            assert all(next(stream).operation.operation_id == operation.operation_id for stream in streams)
            with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT", "3 streams"):
                list(api.operations.WatchOperation(asked))
            assert next(Api(bob).operations.WatchOperation(asked))
            assert api.sequences.ListSequences(LIST).sequences  # no stream, so it is not counted
            streams[0].cancel()
            while not _is_open(api.operations.WatchOperation(asked)):
                time.sleep(0.01)  # until the engine has heard of it
            held.set()
            assert [answer.operation.done for answer in streams[1]][-1]


def test_a_client_has_a_limit_of_operations(root: Path, tmp_path: Path, held: threading.Event) -> None:
    with serving(tmp_path, root, max_operations=2) as served:
        ann, bob = (served.channel(served.token(name, "admin")) for name in ("ann", "bob"))
        with ann, bob:
            api = Api(ann)
            begun = [api.ingest("drive", f"{name}.zarr") for name in "ab"]
            with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT", "2 operations open"):
                api.ingest("drive", "c.zarr")
            theirs = Api(bob).ingest("drive", "d.zarr")
            held.set()
            for operation in (*begun, theirs):
                api.done(operation)
            api.done(api.ingest("drive", "c.zarr"))


def _is_open(stream: grpc.Call) -> bool:
    try:
        return bool(next(stream))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
