"""The stages as calls: each opens the store, plans what is missing, executes it and tells what came out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from fleetlabel.engine.detect import load_weights
from fleetlabel.engine.ingest import open_sequence
from fleetlabel.engine.pipeline.checking import plan_check, what_checks_say
from fleetlabel.engine.pipeline.choice import CHOICES
from fleetlabel.engine.pipeline.config import RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector, plan_detect, settling
from fleetlabel.engine.pipeline.driver import Hire, busy_stages, execute, hire_threads
from fleetlabel.engine.pipeline.ingesting import plan_ingest
from fleetlabel.engine.pipeline.labelling import plan_track
from fleetlabel.engine.pipeline.ledger import Ledger, ledger_path, make_ledger
from fleetlabel.engine.pipeline.lifting import plan_lift
from fleetlabel.engine.pipeline.planning import (
    check_labels_name,
    finish_ingest,
    open_store,
    plan_labels,
    refuse_taken_name,
)
from fleetlabel.engine.pipeline.tasks import Finished, Task
from fleetlabel.model.errors import InterruptedRunError, UsageError
from fleetlabel.store import Quarantined, SequenceStore, content_of
from fleetlabel.store.runs import latest_run


class Observer(Protocol):
    """Who is told how far a run is."""

    def planned(self, tasks: list[Task]) -> None:
        """These tasks will be done."""

    def finished(self, done: Finished) -> None:
        """One of them is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call left behind.

    Attributes:
        store: the store's folder.
        labels: the label version written, if any.
        content_hash: of the store after it.
        ledger, ledger_path: where the time went, and the file that keeps it.
        quarantined: (table, sample) that could not be used, those of earlier calls included.
        warnings: what else people should know.
    """

    store: Path
    labels: str | None
    content_hash: str
    ledger: Ledger
    ledger_path: Path
    quarantined: tuple[tuple[str, Quarantined], ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "store": str(self.store),
            "labels": self.labels,
            "content_hash": self.content_hash,
            "quarantined": [{"table": table, **asdict(entry)} for table, entry in self.quarantined],
            "warnings": list(self.warnings),
            "ledger": self.ledger.to_dict(),
        }


def ingest(
    source: Path, config: RunConfig, observer: Observer | None = None, hire: Hire = hire_threads
) -> Outcome:
    """Reads a drive log into a store; ground truth in it becomes the label version ``ground_truth``.

    Raises:
        SourceError: the log cannot be read.
        UsageError: ``source`` holds several sequences and none was named, or the store was made from another one.
        StoreError: the store exists (unless resumed or overwritten) or cannot be written.
    """
    session = _Session.ingesting(source, config, observer, hire)
    with session.driving():
        session.ingest()
        session.execute(plan_check(session.store, config))
        return session.outcome()


def prelabel(
    store: Path, config: RunConfig, observer: Observer | None = None, hire: Hire = hire_threads
) -> Outcome:
    """Detects 2D boxes in every camera of a store with the configured weights.

    Raises:
        UsageError: there are neither weights nor imported detections, or a setting does not fit the weights.
        ModelFileError: the weights cannot be used.
    """
    session = _Session(SequenceStore.open(store), config, observer, hire)
    with session.driving():
        _, tasks = plan_detect(session.store, config, session.warnings, session.settle())
        session.execute(tasks)
        return session.outcome()


def lift(
    store: Path, config: RunConfig, observer: Observer | None = None, hire: Hire = hire_threads
) -> Outcome:
    """Makes cuboids of the newest 2D detections and the lidar."""
    session = _Session(SequenceStore.open(store), config, observer, hire)
    with session.driving():
        _, tasks = plan_lift(session.store, config, latest_run(session.store, "detect"), [], session.warnings)
        session.execute(tasks)
        return session.outcome()


def track(
    store: Path, config: RunConfig, observer: Observer | None = None, hire: Hire = hire_threads
) -> Outcome:
    """Tracks the newest cuboids and the 2D detections under them, smooths the tracks, writes a label version."""
    check_labels_name(config)
    session = _Session(SequenceStore.open(store), config, observer, hire)
    with session.driving():
        lifted = latest_run(session.store, "lift")
        detected = latest_run(session.store, "detect")
        session.labels, tasks = plan_track(session.store, config, detected, lifted, [])
        refuse_taken_name(session.store, session.labels, tasks)
        session.execute(tasks)
        return session.outcome()


def label(
    store: Path,
    config: RunConfig,
    observer: Observer | None = None,
    hire: Hire = hire_threads,
    settled: SettledDetector | None = None,
) -> Outcome:
    """All stages after ingest: detects, lifts, tracks, smooths, and writes a label version.

    Args:
        settled: the configured weights, if they were settled before.
    """
    check_labels_name(config)
    session = _Session(SequenceStore.open(store), config, observer, hire)
    with session.driving():
        session.label(settled)
        return session.outcome()


def run(
    source: Path, config: RunConfig, observer: Observer | None = None, hire: Hire = hire_threads
) -> Outcome:
    """All stages, from a drive log to a label version; see :func:`ingest`, :func:`prelabel`, :func:`track`."""
    if config.model is None and config.detections2d is None:
        raise UsageError(
            "nothing says where 2D boxes come from; give --model WEIGHTS (`--model synthetic` for synthetic drives) "
            "or --detections2d FOLDER"
        )
    check_labels_name(config)
    if config.detections2d is None and config.model is not None:
        load_weights(config.model, trust_pickle=config.detect.trust_pickle)  # before a store is made in vain
    session = _Session.ingesting(source, config, observer, hire)
    with session.driving():
        session.ingest()
        session.label()
        return session.outcome()


class _Session:
    """One call's work on one store."""

    def __init__(
        self, store: SequenceStore, config: RunConfig, observer: Observer | None, hire: Hire
    ) -> None:
        self.store = store
        self.labels: str | None = None
        self.warnings: list[str] = []
        self._config = config
        self._observer = observer
        self._hire = hire
        self._finished: list[Finished] = []
        self._started_s = time.perf_counter()
        self._source: tuple[Path, str] | None = None
        self._set_aside: list[tuple[str, Quarantined]] = []

    @classmethod
    def ingesting(cls, source: Path, config: RunConfig, observer: Observer | None, hire: Hire) -> _Session:
        """A session on the store of a source, which is created unless it is there and may be resumed."""
        store, drive = open_store(source, config)
        session = cls(store, config, observer, hire)
        session.warnings.extend(drive.warnings)
        session._source = (source, drive.info.name)
        return session

    def ingest(self) -> None:
        """Commits what the store lacks of its source, ground truth last."""
        assert self._source is not None
        source, name = self._source
        self.store.clean()
        self.execute(plan_ingest(self.store, source, name, self._config.frames_per_task()))
        self._set_aside += finish_ingest(self.store, open_sequence(source, name), self.warnings)

    def label(self, settled: SettledDetector | None = None) -> None:
        """Makes whatever is missing of the labels."""
        settled = settled or self.settle()
        self.labels, tasks = plan_labels(self.store, self._config, self.warnings, settled)
        checking = plan_check(self.store, self._config) if self._source is not None else []
        self.execute([*checking, *tasks])

    @contextmanager
    def driving(self) -> Iterator[None]:
        """This call is the store's only driver; Ctrl-C tells what is kept.

        Raises:
            InterruptedRunError: Ctrl-C.
            StoreError: another process drives the store.
        """
        with self.store.writer_lock():
            try:
                yield
            except KeyboardInterrupt as error:
                raise InterruptedRunError(
                    f"interrupted; what was finished is kept in {self.store.root}: the same command goes on "
                    "(`run` and `ingest` with --resume)"
                ) from error

    def execute(self, tasks: Sequence[Task]) -> None:
        """Runs tasks on this call's workers."""
        if not tasks:
            return
        if self._observer:
            self._observer.planned(list(tasks))
        on_finished = self._observer.finished if self._observer else None
        with ExitStack() as stack:
            workers, in_flight = self._hire(self._config, stack)
            busy = busy_stages(self._config) if self._hire is hire_threads else None
            self._finished += execute(
                tasks, workers, in_flight=in_flight, of_stage=busy, on_finished=on_finished
            )

    def settle(self) -> SettledDetector | None:
        """The detector as those settle it who will run it; None: it is settled here, or there is none."""
        model = self._config.model
        if self._hire is hire_threads or model is None or self._config.detections2d is not None:
            return None
        with ExitStack() as stack:
            workers, _ = self._hire(self._config, stack)
            task = settling(self.store.root / CHOICES, model, self._config.detect)
            (done,) = execute([task], workers, in_flight=1)
        settled: SettledDetector = done.result.facts["settled"]
        return settled

    def outcome(self) -> Outcome:
        """What this call did; writes its ledger beside the store if it did anything."""
        wall_s = time.perf_counter() - self._started_s
        info = self.store.info
        if self._source is not None:
            self.warnings.extend(what_checks_say(self.store))
        ledger = make_ledger(
            info.name, info.n_frames, wall_s, self._config.workers, self._finished, self.warnings
        )
        path = ledger_path(self.store.root)
        # A call that had nothing to do leaves the ledger of the one that had.
        if self._finished or not path.exists():
            ledger.write(path)
        tables, content_hash = content_of(self.store)
        quarantined = [
            (table.path, entry)
            for table in tables
            if table.quarantined
            for record in self.store.table(table.path).records()
            for entry in record.quarantined
        ]
        return Outcome(
            self.store.root,
            self.labels,
            content_hash,
            ledger,
            path,
            (*quarantined, *self._set_aside),
            tuple(self.warnings),
        )
