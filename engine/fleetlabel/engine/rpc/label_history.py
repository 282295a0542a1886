"""Pages of the journal: all records, those of an object, or those of a box."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleetlabel.engine.rpc.requests import page_size_of
from fleetlabel.labels import Labels, Record
from fleetlabel.labels.edits import concerns
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.wire.edits import record_message
from fleetlabel.wire.errors import RequestError


def history_page(
    request: pb.GetHistoryRequest, labels: Labels, last: int
) -> Callable[[], pb.GetHistoryResponse]:
    """What makes the page that a request asks for, of records up to ``last``; calling it takes time.

    Raises:
        RequestError: the request is not as label_service.proto says.
    """
    size, after = page_size_of(request.page_size), _page_start(request)
    object_id = request.object_id if request.HasField("object_id") else None
    frame = request.frame if request.HasField("frame") else None
    camera = request.camera if request.HasField("camera") else None
    if frame is not None and frame < 0:
        raise RequestError("frame", "0 or more", str(frame))

    def wanted(record: Record) -> bool:
        if not after < record.sequence <= last:
            return False
        return (frame is None and camera is None) or any(
            concerns(edit, frame, camera)
            for edit in record.edits
            if object_id is None or object_id in edit.touches
        )

    def page() -> pb.GetHistoryResponse:
        history = labels.history
        listed: Sequence[Record] = (
            history.records[:last] if object_id is None else history.of_object(object_id)
        )
        found = list(filter(wanted, listed))
        answer = pb.GetHistoryResponse()
        for record in found[:size]:
            answer.entries.add(record=record_message(record), in_effect=history.is_in_effect(record.sequence))
        if len(found) > size:
            answer.next_page_token = str(found[size - 1].sequence)
        return answer

    return page


def _page_start(request: pb.GetHistoryRequest) -> int:
    """The record after which the page begins."""
    if request.after_record < 0:
        raise RequestError("after_record", "0 or more", str(request.after_record))
    token = request.page_token
    if not token:
        return request.after_record
    if len(token) > 18 or not (token.isascii() and token.isdecimal()):
        raise RequestError("page_token", "next_page_token of the page before", repr(token[:40]))
    return max(int(token), request.after_record)
