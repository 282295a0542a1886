"""Sending people to the boxes that are most worth a look, in one sequence or several."""

from __future__ import annotations

from contextlib import AsyncExitStack

from fleetlabel.engine.rpc.access import caller
from fleetlabel.engine.rpc.engine import ServedEngine
from fleetlabel.engine.rpc.label_sessions import LabelSessions
from fleetlabel.labels import Leases
from fleetlabel.labels.leases import LASTS_S, next_items_of
from fleetlabel.labels.queue import Item
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.wire.errors import RequestError
from fleetlabel.wire.label_answers import item_message, progress_message

_MOST_ITEMS, _MOST_SEQUENCES = 1_000, 1_000
_LEAST_IOU, _USUAL_IOU, _MOST_IOU = 0.5, 0.7, 0.95


async def next_items(
    engine: ServedEngine, sessions: LabelSessions, request: pb.NextItemsRequest
) -> pb.NextItemsResponse:
    """Boxes that are most worth a look, leased to the caller."""
    iou = request.iou if request.HasField("iou") else _USUAL_IOU
    if not _LEAST_IOU <= iou <= _MOST_IOU:
        raise RequestError("iou", f"{_LEAST_IOU} to {_MOST_IOU}", f"{iou:g}")
    if not 0 <= request.count <= _MOST_ITEMS:
        raise RequestError("count", f"1 to {_MOST_ITEMS}", str(request.count))
    if not (request.lease_s == 0 or 0 < request.lease_s <= LASTS_S):
        raise RequestError("lease_s", f"more than 0 and at most {LASTS_S:g}", f"{request.lease_s:g}")
    names = list(dict.fromkeys(request.sequence_ids))
    if not 1 <= len(names) <= _MOST_SEQUENCES:
        raise RequestError("sequence_ids", f"1 to {_MOST_SEQUENCES} sequences", str(len(names)))
    opened = {name: await sessions.of(name) for name in names}
    for session in opened.values():
        await session.now()
    person, count, lease_s = caller().name, request.count or 1, request.lease_s or LASTS_S

    def work() -> pb.NextItemsResponse:
        queues = {name: session.queue(iou) for name, session in opened.items()}
        found = next_items_of(list(queues.values()), person, count, lease_s)
        until = {
            (name, lease.object_id): lease.until_ns
            for name, session in opened.items()
            for lease in Leases(session.store, lease_s).held()
        }
        name_of = {id(queue): name for name, queue in queues.items()}
        answer = pb.NextItemsResponse()
        for queue, item in found:
            name = name_of[id(queue)]
            answer.items.append(_leased(item, name, until))
        answer.progress.extend(progress_message(queue.progress, name) for name, queue in queues.items())
        return answer

    async with AsyncExitStack() as stack:
        for session in sorted(set(opened.values()), key=id):  # in one order, so that nobody waits in a ring
            await stack.enter_async_context(session.queue_lock)
        return await engine.in_thread(work)


async def release_items(
    engine: ServedEngine, sessions: LabelSessions, request: pb.ReleaseItemsRequest
) -> pb.ReleaseItemsResponse:
    """Gives back what the caller was sent to."""
    session = await sessions.of(request.sequence_id)
    person, only = caller().name, set(request.object_ids)

    def work() -> list[int]:
        leases = Leases(session.store)
        mine = [lease.object_id for lease in leases.held() if lease.person == person]
        kept = [object_id for object_id in mine if only and object_id not in only]
        leases.give_back(person, kept)
        return [object_id for object_id in mine if object_id not in kept]

    return pb.ReleaseItemsResponse(released_object_ids=await engine.in_thread(work))


def _leased(item: Item, name: str, until: dict[tuple[str, int], int]) -> pb.QueueItem:
    return item_message(item, name, until.get((name, item.object_id), 0))
