"""The table of errors: what the API's page promises, and the way back."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest

import fleetlabel.v1
from fleetlabel.labels import Conflict
from fleetlabel.model import errors
from fleetlabel.model.errors import FleetLabelError
from fleetlabel.v1 import errors_pb2
from fleetlabel.wire.errors import (
    TABLE,
    ConflictError,
    EngineFaultError,
    RequestError,
    RequestIdError,
    Status,
    detail_of,
    detail_of_kept,
    error_of,
    error_of_status,
)

_CONFLICTS = (
    Conflict(7, 12, "ada", 1_700_000_000_000_000_000, ("set_keyframe_3d", "split"), "too far left"),
    Conflict(None, 13, "grace", 1_700_000_000_000_000_001, ("restore",), ""),
)


def _one_of(error: type[FleetLabelError]) -> FleetLabelError:
    return ConflictError(3, 13, _CONFLICTS) if error is ConflictError else error("what went wrong")


def _promised() -> dict[str, str]:
    """Kind -> status code, as the comments of errors.proto name it."""
    text = (Path(fleetlabel.v1.__file__).parent / "errors.proto").read_text()
    body = text[text.index("enum ErrorKind") : text.index("message ErrorDetail")]
    return {
        kind: re.findall(r"\b([A-Z][A-Z_]{6,})\b", " ".join(comment.split()))[0]
        for comment, kind in re.findall(r"((?:  //.*\n)+)  (ERROR_KIND_\w+)", body)
    }


def test_status_codes_are_grpcs() -> None:
    assert {code.name: code.value[0] for code in grpc.StatusCode} == {
        code.name: code.value for code in Status
    }


def test_every_kind_has_the_code_that_the_api_promises() -> None:
    promised = _promised()
    assert len(promised) == len(errors_pb2.ErrorKind.keys())
    for kind, status in TABLE.values():
        assert promised[errors_pb2.ErrorKind.Name(kind)] == status.name
    assert {errors_pb2.ErrorKind.Name(kind) for kind, _ in TABLE.values()} == set(promised)


@pytest.mark.parametrize("error", TABLE)
def test_an_error_comes_back_as_one_that_is_treated_alike(error: type[FleetLabelError]) -> None:
    told = detail_of(_one_of(error), "r-1")
    back = error_of(errors_pb2.ErrorDetail.FromString(told.SerializeToString()))
    assert TABLE[type(back)] == TABLE[error]
    assert str(back) == str(_one_of(error))
    assert "r-1" in back.__notes__[0]


def test_every_error_of_the_tree_that_a_call_can_meet_is_more_than_a_fault() -> None:
    tree = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, FleetLabelError)]
    told = {e.__name__: detail_of(e("x")).status_code for e in tree if e is not FleetLabelError}
    assert len(told) > 15 and Status.INTERNAL not in told.values()
    assert {name: detail_of_kept(name, "x").status_code for name in told} == told


def test_a_fault_tells_nothing_of_the_inside() -> None:
    told = detail_of(KeyError("/srv/secret"))
    assert told.status_code == Status.INTERNAL and "secret" not in told.message
    assert isinstance(error_of(told), EngineFaultError)
    assert detail_of_kept("InternalError", "a fault").status_code == Status.INTERNAL


def test_conflicts_arrive_whole() -> None:
    back = error_of(detail_of(ConflictError(3, 13, _CONFLICTS)))
    assert isinstance(back, ConflictError)
    assert (back.base_record, back.head_record, back.conflicts) == (3, 13, _CONFLICTS)


def test_a_wrong_field_is_named() -> None:
    error = RequestError("center_m", "3 numbers", "2", "give x, y and z").below("edits[2].set_keyframe_3d")
    told = detail_of(error)
    assert told.what == "edits[2].set_keyframe_3d.center_m" and told.remedy == "give x, y and z"
    back = error_of(told)
    assert isinstance(back, RequestError) and (back.what, back.found) == (error.what, "2")


def test_what_a_call_sends_last_fits_into_its_headers() -> None:
    many = [Conflict(i, 10**12, "a" * 200, 10**18, ("set_keyframe_3d",), "é" * 10_000) for i in range(1_000)]
    assert detail_of(ConflictError(0, 1, many)).ByteSize() < 6_000
    told = detail_of(errors.UsageError("\udcff" + "ü" * 100_000))
    assert told.ByteSize() < 6_000 and "\\udcff" in told.message


def test_what_was_never_promised_is_a_fault() -> None:
    assert isinstance(
        error_of(errors_pb2.ErrorDetail(kind=999, status_code=13, message="m")), EngineFaultError
    )  # type: ignore[arg-type]
    assert isinstance(error_of_status(Status.UNKNOWN, "m"), EngineFaultError)
    with pytest.raises(errors.UsageError):
        raise error_of_status(Status.UNIMPLEMENTED, "no such method")


def test_a_request_id_used_for_something_else_exists_already() -> None:
    assert detail_of(RequestIdError("used")).status_code == Status.ALREADY_EXISTS
