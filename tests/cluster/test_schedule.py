"""What runs next, in any order of completions, failures and deaths: bounds are kept and everything ends, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.pipeline.faults import Fault, Trouble
from fleetlabel.engine.pipeline.schedule import End, Limits, Schedule, Start
from fleetlabel.engine.pipeline.tasks import Key, Task, TaskResult

STAGES = ("ingest", "detect", "track")


def nothing() -> TaskResult:
    return TaskResult()


def task(stage: str, start: int, after: tuple[Key, ...] = (), n_bytes: int = 0) -> Task:
    return Task(stage, "all", start, start + 1, nothing, after, n_bytes)


@dataclass
class Plan:
    """A sequence: tasks at first, and those that its last first task plans."""

    first: list[Task]
    later: list[Task]
    faults: dict[Key, list[Trouble]] = field(default_factory=dict)

    def must_fail(self) -> bool:
        """By itself: too many hiccups, an error, or a task that kills even a process of its own."""
        for troubles in self.faults.values():
            if Trouble.ERROR in troubles or troubles.count(Trouble.TRANSIENT) >= 3:
                return True
            if troubles.count(Trouble.KILLED) >= 2:
                return True
        return False


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    def tasks(stages: tuple[str, ...], known: list[Task]) -> list[Task]:
        made: list[Task] = []
        for stage in stages:
            for start in range(draw(st.integers(0, 3))):
                after = draw(st.lists(st.sampled_from([*known, *made]), max_size=2)) if known or made else []
                made.append(
                    task(stage, start, tuple({one.key: None for one in after}), draw(st.integers(0, 9)))
                )
        return made

    first = [*tasks(("ingest",), []), task("plan", 0)]
    first[-1] = task("plan", 0, tuple(one.key for one in first[:-1]))
    later = tasks(STAGES[1:], first)
    troubles = st.lists(st.sampled_from(list(Trouble)), max_size=3)
    faulty = draw(
        st.dictionaries(st.sampled_from([one.key for one in (*first, *later)]), troubles, max_size=2)
    )
    return Plan(first, later, faulty)


class Simulation:
    """Workers that end tasks in any order, and count what the schedule must not do."""

    def __init__(self, fleet: dict[str, Plan], limits: Limits) -> None:
        self.fleet, self.limits = fleet, limits
        self.running: list[Start] = []
        self.done: Counter[tuple[str, Key]] = Counter()
        self.faults = {
            (name, key): list(them) for name, plan in fleet.items() for key, them in plan.faults.items()
        }
        self.ends: list[End] = []
        self.schedule = Schedule(((name, plan.first) for name, plan in fleet.items()), limits)

    def begin(self) -> list[Start]:
        starts = self.schedule.take()
        for start in starts:
            key = (start.sequence, start.task.key)
            assert key not in {(one.sequence, one.task.key) for one in self.running}, "started while it runs"
            assert not self.done[key], "started again although done"
            assert all(self.done[start.sequence, before] for before in start.task.after)
            self.running.append(start)
        assert len(self.running) <= self.limits.in_flight
        assert self.schedule.in_flight == len(self.running)
        assert self.schedule.n_open <= self.limits.open_sequences
        if self.limits.bytes_in_flight is not None and len(self.running) > 1:
            assert sum(one.task.n_bytes for one in self.running) <= self.limits.bytes_in_flight
        for stage, most in self.limits.of_stage.items():
            assert sum(one.task.stage == stage for one in self.running) <= most
        return starts

    def land(self, which: int) -> None:
        start = self.running.pop(which)
        faults = self.faults.get((start.sequence, start.task.key))
        if faults:
            self.schedule.failed(start, Fault(faults.pop(0), "broken"))
        else:
            self.done[start.sequence, start.task.key] += 1
            planned = start.task.stage == "plan"
            self.schedule.done(start, self.fleet[start.sequence].later if planned else ())
        self.ends += self.schedule.ended()

    def run(self, choose: Callable[[int], int]) -> None:
        while True:
            self.begin()
            self.ends += self.schedule.ended()
            if self.schedule.is_over():
                break
            self.land(choose(len(self.running)))


LIMITS = st.builds(
    Limits,
    in_flight=st.integers(1, 6),
    open_sequences=st.integers(1, 4),
    abreast=st.integers(1, 3),
    bytes_in_flight=st.one_of(st.none(), st.integers(1, 20)),
    of_stage=st.dictionaries(st.sampled_from(STAGES), st.integers(1, 2)),
    tries=st.just(3),
)


@given(st.lists(plans(), max_size=5), LIMITS, st.data())
def test_everything_is_done_once_or_its_sequence_fails_alone(
    drives: list[Plan], limits: Limits, data: st.DataObject
) -> None:
    fleet = {f"drive{number}": plan for number, plan in enumerate(drives)}
    simulation = Simulation(fleet, limits)
    simulation.run(lambda n: data.draw(st.integers(0, n - 1)))
    assert sorted(end.sequence for end in simulation.ends) == sorted(fleet)
    for end in simulation.ends:
        plan = fleet[end.sequence]
        assert (end.fault is not None) == plan.must_fail()
        if end.fault is None:
            assert all(simulation.done[end.sequence, one.key] == 1 for one in (*plan.first, *plan.later))
        else:
            assert end.failed_at is not None
            assert not simulation.done[end.sequence, end.failed_at.key]


@given(st.lists(plans(), min_size=1, max_size=4), LIMITS, st.integers(0, 12), st.data())
def test_stopping_starts_nothing_more_and_ends(
    drives: list[Plan], limits: Limits, after: int, data: st.DataObject
) -> None:
    fleet = {f"drive{number}": plan for number, plan in enumerate(drives)}
    simulation = Simulation(fleet, limits)
    for _ in range(after):
        simulation.begin()
        if not simulation.running:
            break
        simulation.land(data.draw(st.integers(0, len(simulation.running) - 1)))
    simulation.schedule.stop()
    assert simulation.begin() == []
    while simulation.running:
        simulation.land(0)
        assert simulation.begin() == []
    assert simulation.schedule.is_over()


def started(schedule: Schedule) -> list[tuple[str, str, int]]:
    return [(start.sequence, start.task.stage, start.task.start) for start in schedule.take()]


def test_sequences_take_turns() -> None:
    fleet = {name: [task("detect", start) for start in range(20)] for name in "abcdef"}
    schedule = Schedule(fleet.items(), Limits(in_flight=1, open_sequences=6, abreast=4))
    order = []
    for _ in range(40):
        (start,) = schedule.take()
        order.append(start.sequence)
        schedule.done(start)
    counts = Counter(order)
    assert counts == dict.fromkeys("abcd", 10), "a long drive does not keep the others waiting"


def test_early_frames_are_tracked_while_later_ones_are_detected() -> None:
    detect = [task("detect", start) for start in range(8)]
    track = [
        task("track", start, (("detect", "all", start), *((("track", "all", start - 1),) if start else ())))
        for start in range(8)
    ]
    schedule = Schedule([("drive", [*detect, *track])], Limits(in_flight=2))
    order: list[tuple[str, int]] = []
    running: list[Start] = []
    while True:
        running += schedule.take()
        if schedule.is_over():
            break
        start = running.pop(0)
        order.append((start.task.stage, start.task.start))
        schedule.done(start)
    assert order.index(("track", 2)) < order.index(("detect", 6))


def test_a_stage_that_waits_for_something_rare_does_not_keep_the_others_waiting() -> None:
    tasks = [task("detect", start) for start in range(5)] + [task("lift", start) for start in range(5, 10)]
    schedule = Schedule([("drive", tasks)], Limits(in_flight=4, of_stage={"detect": 1}))
    assert [stage for _, stage, _ in started(schedule)] == ["detect", "lift", "lift", "lift"]


def test_what_kills_its_worker_is_tried_alone_and_then_given_up() -> None:
    schedule = Schedule([("drive", [task("detect", 0)])], Limits(in_flight=2))
    (start,) = schedule.take()
    schedule.failed(start, Fault(Trouble.KILLED, "its worker died"))
    (again,) = schedule.take()
    assert again.isolated
    schedule.failed(again, Fault(Trouble.KILLED, "its process died"))
    assert schedule.take() == []
    assert [end.fault.reason for end in schedule.ended() if end.fault] == ["its process died"]
    assert schedule.is_over()


def test_memory_hangs_on_open_sequences_not_on_the_fleet() -> None:
    taken = 0

    def coming() -> object:
        nonlocal taken
        for number in range(1_000_000):
            taken = number + 1
            yield f"drive{number}", [task("detect", 0)]

    schedule = Schedule(coming(), Limits(in_flight=3, open_sequences=5))  # type: ignore[arg-type]
    for _ in range(100):
        for start in schedule.take():
            schedule.done(start)
    assert taken <= 305
    assert schedule.n_open <= 5


def test_tasks_that_wait_for_one_another_are_refused() -> None:
    circle = [task("a", 0, (("b", "all", 0),)), task("b", 0, (("a", "all", 0),))]
    with pytest.raises(ValueError, match="wait for one another"):
        Schedule([("drive", circle)], Limits(in_flight=1)).take()
    with pytest.raises(ValueError, match="which there is not"):
        Schedule([("drive", [task("a", 0, (("c", "all", 0),))])], Limits(in_flight=1)).take()
