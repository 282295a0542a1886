"""People who edit the same few tracks at once, and what must be true of the journal afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fleetlabel.client import Engine, LabelsState, RemoteLabels, UnavailableError
from fleetlabel.client.connection import new_request_id
from fleetlabel.labels import Edit, LabelObject, Labels
from fleetlabel.labels import edits as e
from labels.scenes import FRAMES, TRACKS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Saved:
    """A commit that the engine said is saved."""

    request_id: str
    record: int
    base: int
    edits: tuple[Edit, ...]


@dataclass(slots=True)
class Annotator:
    """One person: reads, edits on what was read, and reads again when somebody was faster.

    Attributes:
        name: whose token it is.
        saved: what the engine acknowledged.
        asked: request ids of everything that was ever sent.
        conflicts: how often somebody was faster.
    """

    name: str
    seed: int
    saved: list[Saved] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    conflicts: int = 0

    def work(self, engine: Engine, goes_on: Callable[[], bool]) -> None:
        """Edits for as long as ``goes_on`` says; a request whose answer was lost is made again until it has one."""
        labels, rng = engine.sequence("drive").labels, random.Random(self.seed)
        while goes_on():
            state = _insistently(lambda: labels.now().state)
            self._edit(labels, state, _some_edits(rng))

    def _edit(self, labels: RemoteLabels, state: LabelsState, said: list[Edit]) -> None:
        request_id = new_request_id()
        self.asked.add(request_id)
        done = _insistently(lambda: labels.commit(said, base=state, request_id=request_id))
        if done.record is None:
            self.conflicts += 1
        else:
            self.saved.append(Saved(request_id, done.record.sequence, state.record, done.record.edits))


def _insistently(call: Callable[[], T]) -> T:
    while True:
        try:
            return call()
        except UnavailableError:
            continue


def _some_edits(rng: random.Random) -> list[Edit]:
    pose = {
        "frame": rng.randrange(FRAMES),
        "center_m": (rng.uniform(-20, 20), rng.uniform(-20, 20), 0.5),
        "yaw_rad": 0.0,
    }
    if rng.random() < 0.2:
        return [e.CreateObject(object_id=1, class_name="car"), e.SetKeyframe3D(object_id=1, **pose)]
    return [e.SetKeyframe3D(object_id=rng.randint(1, TRACKS), **pose)]


def check_journal(labels: Labels, annotators: list[Annotator]) -> None:
    """Everything that was acknowledged is there, once, as it was sent; and nothing went over what nobody had seen."""
    records = labels.history.records
    by_request = {record.request_id: record for record in records}
    assert len(by_request) == len(records), "a request was done twice"
    assert set(by_request) <= {request for annotator in annotators for request in annotator.asked}
    for annotator in annotators:
        for saved in annotator.saved:
            record = by_request[saved.request_id]
            assert (record.sequence, record.author, record.edits) == (
                saved.record,
                annotator.name,
                saved.edits,
            )
            for between in records[saved.base : saved.record - 1]:
                assert not set(between.objects) & set(record.objects), (
                    "somebody's edit was overwritten unseen"
                )
    _check_state(labels)


def _check_state(labels: Labels) -> None:
    """What the labels say is what the records say, done one after the other by the simplest means there are."""
    poses: dict[int, dict[int, tuple[float, ...]]] = {}
    for record in labels.history.records:
        for edit in record.edits:
            if isinstance(edit, e.SetKeyframe3D):
                poses.setdefault(edit.object_id, {})[edit.frame] = edit.center_m
    found = {item.object_id: _centers(item) for item in labels.now.state}
    assert found == poses


def _centers(item: LabelObject) -> dict[int, tuple[float, ...]]:
    return {frame: pose.center_m for frame, pose in item.poses.items()}
