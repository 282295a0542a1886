"""Messages that are none, too large, too many, or random: the right status, and an engine that goes on."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetlabel.engine.rpc.methods import RULES
from fleetlabel.v1 import operation_service_pb2, sequence_service_pb2
from fleetlabel.wire.errors import TABLE
from rpc.api import METHODS, Api, detail_of, refused, request_types
from rpc.servers import Served, serving

# What a request may be answered with: the statuses of the table, and that it was done. An engine that breaks says
# INTERNAL, which is in the table for the log's sake and must not be seen here.
ANSWERS = {status for _, status in TABLE.values()} - {grpc.StatusCode.INTERNAL.value[0]}
WATCHES = {method for method, rule in RULES.items() if rule.watches}
LIST = "/fleetlabel.v1.SequenceService/ListSequences"


def alive(api: Api) -> bool:
    return bool(
        api.sequences.ListSequences(sequence_service_pb2.ListSequencesRequest(), timeout=60).sequences
    )


@pytest.mark.parametrize("method", sorted(METHODS))
def test_bytes_that_are_no_message_are_refused(shared: Api, method: str) -> None:
    for data in (b"\xff\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x00", b"<html>", b"\x0b" * 5000):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "USAGE", "is not what the method takes"):
            shared.send(method, data)


def test_a_call_without_a_message_is_refused(shared: Api) -> None:
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT", "no request came"):
        shared.send(LIST, [])


def test_a_method_that_is_not_there_is_said(shared: Api) -> None:
    for name in (
        "/fleetlabel.v1.SequenceService/DropTables",
        "/x",
        "/fleetlabel.v1.SequenceService/" + "x" * 4000,
    ):
        with refused(grpc.StatusCode.UNIMPLEMENTED):
            shared.channel.unary_unary(name)(b"")


def test_messages_of_absurd_sizes_are_refused_before_they_are_read(root: Path, tmp_path: Path) -> None:
    with serving(tmp_path, root, max_message_mib=1) as served:
        with served.channel(served.token("ann", "admin")) as channel:
            api = Api(channel)
            for method in (LIST, "/fleetlabel.v1.LabelService/CommitEdits"):
                with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
                    api.send(method, b"\x0a" + b"x" * (8 << 20))
            upload = "/fleetlabel.v1.SequenceService/UploadSequence"
            with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
                api.send(upload, [b"x" * (8 << 20)])
            assert alive(api)
        # A token of a megabyte does not even get as far as that.
        with served.channel("x" * (1 << 20)) as channel, pytest.raises(grpc.RpcError):
            Api(channel).send(LIST, b"")
        assert served.engine.operations.list().operations == ()


@pytest.mark.slow
def test_ten_thousand_streams_that_are_opened_and_abandoned_hold_nothing(
    root: Path, tmp_path: Path, held: threading.Event
) -> None:
    with serving(tmp_path, root, max_streams=500) as served:
        token = served.token("ann", "admin")
        with served.channel(token) as channel:
            api = Api(channel)
            asked = operation_service_pb2.WatchOperationRequest(
                operation_id=api.ingest("drive", "new.zarr").operation_id
            )
            before = _threads_and_files()
            for round_ in range(100):
                with served.channel(token, use_local_subchannel_pool=1) as other:
                    streams = [Api(other).operations.WatchOperation(asked) for _ in range(100)]
                    for stream in streams[:: 1 + round_ % 2]:  # others may not even have begun
                        _is_open(stream)
                    for stream in streams[: round_ % 100]:
                        stream.cancel()
                # The channel is closed with all others.
            assert alive(api)
            while not _all_open(api, asked):
                time.sleep(0.1)  # until the engine has heard of the last of them
            held.set()
            threads, files = _threads_and_files()
            assert threads <= before[0] + 20 and files <= before[1] + 50


def _all_open(api: Api, asked: Any) -> bool:
    """Whether a client may have as many streams as it may have."""
    streams = [api.operations.WatchOperation(asked) for _ in range(500)]
    opened = [_is_open(stream) for stream in streams]
    for stream in streams:
        stream.cancel()
    return all(opened)


def _is_open(stream: Any) -> bool:
    try:
        return bool(next(stream))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False


def _threads_and_files() -> tuple[int, int]:
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


# --- random requests ------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(
    ["", "town.zarr", "town", "../town.zarr", "/etc/passwd", "s3://a/b.zarr", "ground_truth", "kitti", "drive",
     "bright.onnx", "front_camera", "Car", "synthetic", "x" * 5000, "\0", "é\U0001f600", "*", "0-" + "0" * 32]
)  # fmt: skip
_INTEGERS = st.sampled_from([0, 1, -1, 2, 7, 100, 4096, 2**31 - 1, -(2**31)])
_LONGS = _INTEGERS | st.sampled_from([2**63 - 1, -(2**63)])
_FLOATS = st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")])
_F = FieldDescriptor
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _F.TYPE_STRING: _WORDS | st.text(max_size=20),
    _F.TYPE_BYTES: st.binary(max_size=64) | st.sampled_from([b"", b"\0" * 24, b"\xff" * 56]),
    _F.TYPE_INT32: _INTEGERS,
    _F.TYPE_INT64: _LONGS,
    _F.TYPE_DOUBLE: _FLOATS,
    _F.TYPE_FLOAT: _FLOATS.filter(lambda value: abs(value) < 1e30 or value != value),
    _F.TYPE_BOOL: st.booleans(),
    _F.TYPE_ENUM: st.integers(0, 30),
}


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.type == _F.TYPE_MESSAGE:
        return _fields(field.message_type, depth - 1)
    return _SCALARS[field.type]


def _fields(descriptor: Any, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Some fields of a message with values, as keyword arguments would have them."""
    if descriptor.full_name == "google.protobuf.Struct":
        number = _FLOATS.map(lambda value: {"number_value": value})
        word = _WORDS.map(lambda value: {"string_value": value})
        entries = st.dictionaries(
            st.sampled_from(["tracker2d", "min_points", "conf", "x"]), number | word, max_size=2
        )
        return entries.map(lambda entries: {"fields": entries})
    chosen = {
        field.name: st.lists(_values(field, depth), max_size=3)
        if field.is_repeated
        else _values(field, depth)
        for field in descriptor.fields
        if depth or field.type != _F.TYPE_MESSAGE
    }
    return st.fixed_dictionaries({}, optional=chosen)


def _filled(message: Any, values: dict[str, Any]) -> Any:
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        target = getattr(message, name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key, entry in value.items():
                _filled(target[key], entry)
        elif field.is_repeated and field.type == _F.TYPE_MESSAGE:
            for entry in value:
                _filled(target.add(), entry)
        elif field.is_repeated:
            target.extend(value)
        elif field.type == _F.TYPE_MESSAGE:
            target.SetInParent()
            _filled(target, value)
        else:
            setattr(message, name, value)
    return message


def requests_of(method: str) -> st.SearchStrategy[Any]:
    """Random requests of a method; most are nonsense, many are almost right."""
    kind = request_types(METHODS[method])
    usual = {"request_id": "fuzz", "sequence_id": "town.zarr", "reason": "because", "source": "drive"}
    known = {name: value for name, value in usual.items() if name in kind.DESCRIPTOR.fields_by_name}
    random = _fields(kind.DESCRIPTOR, 4)
    return st.builds(lambda base, more: _filled(kind(), base | more), st.sampled_from([{}, known]), random)


def _fuzz(api: Api, method: str, requests: list[Any]) -> None:
    call = api.channel.stream_stream(method, lambda request: request.SerializeToString(), None)
    answers = call(iter(requests), timeout=0.3 if method in WATCHES else 60)
    try:
        for _ in answers:
            pass
        return
    except grpc.RpcError:
        code = answers.code()
    if method in WATCHES and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return  # it watches something that is there
    detail = detail_of(answers)
    assert code.value[0] in ANSWERS, (code, answers.details(), requests)
    assert detail is not None and detail.status_code == code.value[0], (code, answers.details(), requests)
    # Where the engine keeps things is no business of a client's.
    assert tempfile.gettempdir() not in f"{answers.details()} {detail}", (answers.details(), requests)


@pytest.fixture(scope="module")
def fuzzed(given_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An engine whose data may end up as they please."""
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copytree(given_root, folder / "data")
    with serving(folder, folder / "data", max_streams=10_000, max_operations=100_000) as engine:
        yield engine


DESTROYS = {"/fleetlabel.v1.SequenceService/DeleteSequence"}


@pytest.mark.parametrize("method", sorted(set(METHODS) - DESTROYS))
def test_random_requests_get_a_status_of_the_table(fuzzed: Served, method: str) -> None:
    streams = METHODS[method].client_streaming

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(requests=st.lists(requests_of(method), min_size=1, max_size=4 if streams else 1))
    def fuzz(requests: list[Any]) -> None:
        _fuzz(api, method, requests)

    with fuzzed.channel(fuzzed.token("fuzz", "admin")) as channel:
        api = Api(channel)
        fuzz()
        assert alive(api)


def test_random_requests_to_delete_get_a_status_of_the_table(root: Path, tmp_path: Path) -> None:
    (method,) = DESTROYS

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(request=requests_of(method))
    def fuzz(request: Any) -> None:
        _fuzz(api, method, [request])

    with serving(tmp_path, root) as served, served.channel(served.token("fuzz", "admin")) as channel:
        api = Api(channel)
        fuzz()
        assert api.sequences.ListSequences(sequence_service_pb2.ListSequencesRequest())
