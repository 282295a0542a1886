"""What runs next: a state machine that is told what ended and says what to start.

It does nothing itself, so that one drive on threads and a fleet on a cluster are driven by the same decisions, and
tests can put it through any order of events. It holds the tasks of the open sequences and nothing of the others.

- A sequence is opened when those that are open leave room; so memory does not grow with the fleet.
- Open sequences take turns. Within one, earlier frames go first, whatever their stage: tracking of the first frames
  runs beside detection of later ones, and what is begun gets finished.
- What is in flight is bounded in number, in bytes, and per stage, for stages that wait for something rare (GPUs).
- A hiccup is tried again a few times. A task whose workers die is tried once more where it can kill nothing but
  itself; so those that merely shared a worker with it are cleared. What fails then fails its sequence, not the others.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleetlabel.engine.pipeline.faults import Fault, Trouble
from fleetlabel.engine.pipeline.tasks import Key, Task


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be going on at once.

    Attributes:
        in_flight: tasks given to workers and not ended.
        open_sequences: sequences begun and not ended.
        abreast: as many are opened even where fewer would do, so that a short one need not wait for a long one.
        bytes_in_flight: sum of the tasks' ``n_bytes``; a task larger than that runs alone. None: any.
        of_stage: tasks in flight of single stages.
        tries: of a task that meets hiccups.
    """

    in_flight: int
    open_sequences: int = 1
    abreast: int = 1
    bytes_in_flight: int | None = None
    of_stage: Mapping[str, int] = field(default_factory=dict)
    tries: int = 4


@dataclass(frozen=True, slots=True)
class Start:
    """The instruction to start a task.

    Attributes:
        sequence: whose task it is.
        task: what to do.
        attempt: 1 the first time.
        isolated: in a process of its own, because workers died while they had it.
    """

    sequence: str
    task: Task
    attempt: int = 1
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """A sequence is over: done, or failed at a task."""

    sequence: str
    failed_at: Task | None = None
    fault: Fault | None = None


class Schedule:
    """Decides what runs next; see the module.

    Args:
        sequences: names with the tasks that each begins with; taken one by one as there is room.
        limits: how much may be going on at once.

    Raises:
        ValueError: tasks wait for one another, or for a task that their sequence does not have.
    """

    def __init__(self, sequences: Iterable[tuple[str, Sequence[Task]]], limits: Limits) -> None:
        self._coming = iter(sequences)
        self._limits = limits
        self._open: dict[str, _Sequence] = {}
        self._turns: OrderedDict[str, None] = OrderedDict()
        self._ended: list[End] = []
        self._in_flight = 0
        self._bytes = 0
        self._of_stage: Counter[str] = Counter()
        self._more_come = True

    @property
    def in_flight(self) -> int:
        """Tasks started and not ended."""
        return self._in_flight

    @property
    def n_open(self) -> int:
        """Sequences begun and not ended."""
        return len(self._open)

    def is_over(self) -> bool:
        """Whether there is nothing left to start or to wait for."""
        return not self._in_flight and not self._open and not self._more_come

    def stop(self) -> None:
        """Starts nothing more; what is in flight may still end."""
        self._more_come = False
        self._turns.clear()
        for name, sequence in list(self._open.items()):
            sequence.drop()
            self._close_if_over(name)

    def take(self) -> list[Start]:
        """What to start now; it counts as in flight from here on."""
        starts = []
        while len(self._open) < self._limits.abreast and self._open_another():
            pass
        while self._in_flight < self._limits.in_flight:
            start = self._next_of_open()
            if start is None:
                if not self._open_another():
                    break
                continue
            self._in_flight += 1
            self._bytes += start.task.n_bytes
            self._of_stage[start.task.stage] += 1
            starts.append(start)
        if not self._in_flight and self._open:
            name, sequence = next(iter(self._open.items()))
            raise ValueError(f"{name}: tasks wait for one another: {sorted(sequence.waiting)[:5]}")
        return starts

    def done(self, start: Start, more: Sequence[Task] = ()) -> None:
        """A task is done and left more to do."""
        sequence = self._landed(start)
        if not sequence.dropped:
            sequence.finish(start.task.key)
            sequence.admit(more)
            self._give_turn(start.sequence)
        self._close_if_over(start.sequence)

    def failed(self, start: Start, fault: Fault) -> None:
        """A task did not end well: it is tried again, or its sequence has failed."""
        sequence = self._landed(start)
        if not sequence.dropped:
            if fault.trouble is Trouble.TRANSIENT and start.attempt < self._limits.tries:
                sequence.push(replace(start, attempt=start.attempt + 1))
            elif fault.trouble is Trouble.KILLED and not start.isolated:
                sequence.push(replace(start, isolated=True))
            else:
                sequence.drop()
                sequence.failure = End(start.sequence, start.task, fault)
            self._give_turn(start.sequence)
        self._close_if_over(start.sequence)

    def ended(self) -> list[End]:
        """Sequences that are over since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def _next_of_open(self) -> Start | None:
        for _ in range(len(self._turns)):
            name, _ = self._turns.popitem(last=False)
            sequence = self._open[name]
            start = sequence.pop(self._fits)
            self._give_turn(name)
            if start is not None:
                return start
        return None

    def _fits(self, task: Task) -> bool:
        of_stage = self._limits.of_stage.get(task.stage)
        if of_stage is not None and self._of_stage[task.stage] >= of_stage:
            return False
        limit = self._limits.bytes_in_flight
        return limit is None or not self._in_flight or self._bytes + task.n_bytes <= limit

    def _open_another(self) -> bool:
        if not self._more_come or len(self._open) >= self._limits.open_sequences:
            return False
        coming = next(self._coming, None)
        if coming is None:
            self._more_come = False
            return False
        name, tasks = coming
        if name in self._open:
            raise ValueError(f"two sequences are called {name}")
        self._open[name] = _Sequence(name)
        self._open[name].admit(tasks)
        self._give_turn(name)
        self._close_if_over(name)
        return True

    def _landed(self, start: Start) -> _Sequence:
        self._in_flight -= 1
        self._bytes -= start.task.n_bytes
        self._of_stage[start.task.stage] -= 1
        sequence = self._open[start.sequence]
        sequence.running -= 1
        return sequence

    def _give_turn(self, name: str) -> None:
        if self._open[name].has_ready():
            self._turns.setdefault(name)

    def _close_if_over(self, name: str) -> None:
        sequence = self._open[name]
        if sequence.running or sequence.waiting or sequence.has_ready():
            return
        self._turns.pop(name, None)
        del self._open[name]
        if sequence.failure or not sequence.dropped:
            self._ended.append(sequence.failure or End(name))


class _Sequence:
    """Tasks of an open sequence: waiting for others, ready, running."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: dict[Key, tuple[Task, set[Key]]] = {}
        self.running = 0
        self.dropped = False
        self.failure: End | None = None
        self._waited_for: dict[Key, list[Key]] = {}
        self._ready: dict[str, list[tuple[int, int, Start]]] = {}
        self._done: set[Key] = set()
        self._known: dict[Key, int] = {}

    def admit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if task.key in self._known:
                raise ValueError(f"{self.name}: two tasks are called {task.key}")
            self._known[task.key] = len(self._known)
        for task in tasks:
            unknown = [key for key in task.after if key not in self._known]
            if unknown:
                raise ValueError(f"{self.name}: {task.key} waits for {unknown[0]}, which there is not")
            before = set(task.after) - self._done
            if not before:
                self.push(Start(self.name, task))
                continue
            self.waiting[task.key] = (task, before)
            for key in before:
                self._waited_for.setdefault(key, []).append(task.key)

    def finish(self, key: Key) -> None:
        self._done.add(key)
        for waiter in self._waited_for.pop(key, ()):
            task, before = self.waiting[waiter]
            before.remove(key)
            if not before:
                del self.waiting[waiter]
                self.push(Start(self.name, task))

    def push(self, start: Start) -> None:
        entry = (start.task.start, self._known[start.task.key], start)
        heapq.heappush(self._ready.setdefault(start.task.stage, []), entry)

    def pop(self, fits: Callable[[Task], bool]) -> Start | None:
        """The ready task of the earliest frames that fits."""
        heaps = [heap for heap in self._ready.values() if heap and fits(heap[0][2].task)]
        if not heaps:
            return None
        self.running += 1
        return heapq.heappop(min(heaps, key=lambda heap: heap[0][:2]))[2]

    def has_ready(self) -> bool:
        return any(self._ready.values())

    def drop(self) -> None:
        """Forgets what is not running: nothing more of it will be done."""
        self.dropped = True
        self.waiting.clear()
        self._waited_for.clear()
        self._ready.clear()
