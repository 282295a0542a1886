"""Labels on the engine at one moment: whole, in blocks, object by object, and as edits would make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fleetlabel.client.connection import Connection, made
from fleetlabel.labels import Edit, LabelObject, ObjectBoxes
from fleetlabel.model.boxes import Boxes2D, Boxes3D
from fleetlabel.model.errors import StoreError
from fleetlabel.v1 import label_service_pb2 as pb
from fleetlabel.v1.label_service_pb2_grpc import LabelServiceStub
from fleetlabel.wire.boxes import Block, boxes2d_of, boxes3d_of, joined
from fleetlabel.wire.edits import edit_message
from fleetlabel.wire.frames import LabelsState, at_message, range_message
from fleetlabel.wire.objects import solved_of


@dataclass(frozen=True, slots=True, eq=False)
class ObjectView:
    """One object with the boxes that follow from what people said.

    Attributes:
        object_id: of the object.
        item: what people said; None if there is no such object (any more).
        class_name: where it begins.
        boxes: all of its boxes; None if there is no such object.
    """

    object_id: int
    item: LabelObject | None
    class_name: str
    boxes: ObjectBoxes | None


class RemoteSnapshot:
    """Labels at one moment: whatever is edited meanwhile, they stay as they are.

    Attributes:
        state: which labels these are; edits that are made on them name it.
    """

    def __init__(self, connection: Connection, sequence_id: str, state: LabelsState) -> None:
        self.state = state
        self._connection = connection
        self._sequence_id = sequence_id
        self._stub = connection.stub(LabelServiceStub)
        self._at = at_message(state.version or state.record)

    def boxes3d(self, start: int | None = None, stop: int | None = None) -> Boxes3D:
        """Cuboids of the frames ``start:stop``, all by default; columns are not to be written to."""
        return joined(list(self.blocks3d(start, stop)), Boxes3D)

    def boxes2d(self, camera: str, start: int | None = None, stop: int | None = None) -> Boxes2D:
        """2D boxes in one camera's pictures of the frames ``start:stop``; columns are not to be written to."""
        return joined(list(self.blocks2d(camera, start, stop)), Boxes2D)

    def blocks3d(self, start: int | None = None, stop: int | None = None) -> Iterator[Block[Boxes3D]]:
        """The same in blocks of ascending frames, as they arrive, with where each box comes from."""

        def request(first: int | None) -> pb.GetBoxes3DRequest:
            frames = range_message(first, stop)
            return made(pb.GetBoxes3DRequest, sequence_id=self._sequence_id, at=self._at, frames=frames)

        return self._blocks(self._stub.GetBoxes3D, request, boxes3d_of, start, stop)

    def blocks2d(
        self, camera: str, start: int | None = None, stop: int | None = None
    ) -> Iterator[Block[Boxes2D]]:
        """The same in blocks of ascending frames, as they arrive, with where each box comes from."""

        def request(first: int | None) -> pb.GetBoxes2DRequest:
            frames = range_message(first, stop)
            return made(
                pb.GetBoxes2DRequest,
                sequence_id=self._sequence_id,
                at=self._at,
                cameras=[camera],
                frames=frames,
            )

        return self._blocks(self._stub.GetBoxes2D, request, boxes2d_of, start, stop)

    def object(self, object_id: int) -> ObjectView:
        """One object with all of its boxes.

        Raises:
            StoreNotFoundError: there is no such object in these labels.
        """
        request = made(pb.GetObjectRequest, sequence_id=self._sequence_id, at=self._at, object_id=object_id)
        answer = self._connection.call(self._stub.GetObject, request)
        self.check(answer.state)
        return ObjectView(object_id, *solved_of(answer.object))

    def after(self, edits: Sequence[Edit]) -> list[ObjectView]:
        """What would become of the objects that edits touch, without saving anything: a preview.

        Raises:
            EditError: one of them cannot be done.
        """
        messages = [edit_message(edit, f"edits[{i}]") for i, edit in enumerate(edits)]
        request = made(pb.PreviewEditsRequest, sequence_id=self._sequence_id, at=self._at, edits=messages)
        views: dict[int, ObjectView] = {}
        for answer in self._connection.stream(self._stub.PreviewEdits, lambda: request):
            self.check(answer.state)
            known = solved_of(answer.object) if answer.HasField("object") else (None, "", None)
            views[answer.object_id] = ObjectView(answer.object_id, *known)
        return list(views.values())

    def _blocks(
        self,
        method: Callable[..., Any],
        request: Callable[[int | None], Any],
        decode: Callable[[Any], Block[Any]],
        start: int | None,
        stop: int | None,
    ) -> Iterator[Block[Any]]:
        first = start

        def ask() -> Any:
            done = stop is not None and first is not None and first >= stop > (start or 0)
            return None if done else request(first)

        for answer in self._connection.stream(method, ask):
            self.check(answer.state)
            block = decode(answer.boxes)
            first = block.stop
            yield block

    def check(self, state: Any) -> None:
        """Refuses an answer that is of other labels than these.

        Raises:
            StoreError: the base version of the sequence has changed.
        """
        if state.base_version != self.state.base_version:
            raise StoreError(
                f"these labels were on the version {self.state.base_version!r}, and a newer one, "
                f"{state.base_version!r}, has taken its place; read the labels as they are now"
            )
