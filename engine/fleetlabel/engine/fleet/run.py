"""Labels a fleet of drives on the workers of one machine or of a cluster; resumable after whatever happened."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fleetlabel.engine.detect import load_weights
from fleetlabel.engine.fleet.estimate import Estimate, estimate
from fleetlabel.engine.fleet.failures import Group, cause_of, group_failures
from fleetlabel.engine.fleet.progress import Progress
from fleetlabel.engine.fleet.root import Ended, FleetRoot, Member
from fleetlabel.engine.fleet.sources import find_drives
from fleetlabel.engine.fleet.stages import opening
from fleetlabel.engine.fleet.stores import is_store
from fleetlabel.engine.fleet.workplace import Workplace, find_workers
from fleetlabel.engine.pipeline.config import Existing, RunConfig
from fleetlabel.engine.pipeline.detecting import SettledDetector, settling
from fleetlabel.engine.pipeline.driver import drive
from fleetlabel.engine.pipeline.planning import check_labels_name, check_place
from fleetlabel.engine.pipeline.schedule import End, Limits, Schedule
from fleetlabel.engine.pipeline.tasks import Finished, Task
from fleetlabel.model.errors import (
    ClusterError,
    CorruptStoreError,
    FleetLabelError,
    InterruptedRunError,
    StoreDeletedError,
    StoreWriteError,
    UsageError,
)
from fleetlabel.store.groups import read_group
from fleetlabel.store.lease import Lease
from fleetlabel.store.tombstones import refuse_deleted

_NEWS_S = 1.0
_ABREAST = 4  # sequences that take turns at least
_STORAGE_FAILURES = 3  # in a row: then it is not the drive


class FleetObserver(Protocol):
    """Who is told how far a fleet is."""

    def begun(self, expected: Estimate, workplace: Workplace) -> None:
        """This is about to be done."""

    def turn(self, snapshot: Mapping[str, Any]) -> None:
        """So far it is now."""

    def ended(self, ended: Ended) -> None:
        """A sequence is over."""


@dataclass(frozen=True, slots=True)
class FleetOutcome:
    """What a run over a fleet left behind.

    Attributes:
        root: its folder.
        sequences, done: how many there are, and how many are labelled now.
        frames, quarantined: of the latter.
        failures: the others, by cause.
        failed_list: a list of the drives that failed, for ``fleetlabel run``; None if none did.
        warnings: how many sequences have some; the journal holds them.
        wall_s, slots: how long it took, and tasks at once.
        stages: totals of each stage: tasks, frames, boxes, wall_s, cpu_s.
        deleted: drives that were left out because people deleted them: by whom, when and why.
    """

    root: Path
    sequences: int
    done: int
    frames: int
    quarantined: int
    failures: tuple[Group, ...]
    failed_list: Path | None
    warnings: int
    wall_s: float
    slots: int
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    deleted: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {
            "root": str(self.root),
            "failed_list": None if self.failed_list is None else str(self.failed_list),
        }


def run_fleet(
    sources: Sequence[str | Path],
    config: RunConfig,
    *,
    cluster: object = None,
    observer: FleetObserver | None = None,
) -> FleetOutcome:
    """Labels every drive that the sources name, each in a store of its own below ``config.out``.

    Args:
        sources: folders of drives, globs, lists; see :func:`fleetlabel.engine.fleet.sources.find_drives`.
        config: ``workers`` counts processes of this machine; ``fleet`` says what else there is to say.
        cluster: instead: a Dask cluster or client, a scheduler's address, or a scheduler file.
        observer: is told how far it is.

    Raises:
        UsageError: there is nothing to label, or settings exclude each other.
        ModelFileError: the weights cannot be used.
        StoreError: another process drives this fleet, its stores exist and are not to be resumed, or nothing can be
            written.
        ClusterError: workers cannot be reached, do not fit, or were lost.
        InterruptedRunError: Ctrl-C; what was running is committed.
    """
    _check(config)
    assert config.out is not None
    if is_store(config.out):
        raise UsageError(
            f"{config.out} is the store of one drive; give the folder for the stores of many as --out"
        )
    drives = find_drives(sources, config.sequence)
    for one in drives:
        check_place(config.out, one.source)
    root = FleetRoot(config.out)
    root.prepare()
    with Lease(root.state) as lease, ExitStack() as stack:
        if config.existing is Existing.REFUSE:
            root.refuse_existing(root.enlist(drives))
        members, deleted = _living(root, root.enlist(drives))
        inputs = [one.source for one in drives[:: max(1, len(drives) // 10)] if one.problem is None]
        inputs += [path for path in (config.model, config.detections2d, config.detections3d) if path]
        with root.noting_failure():
            workplace = find_workers(config, cluster, stack)
            workplace.check(root.state, lease.token, [path.resolve() for path in inputs])
        return _Fleet(root, config, workplace, lease, observer).run(members, deleted, stack)


def _living(root: FleetRoot, members: Sequence[Member]) -> tuple[list[Member], list[str]]:
    """Members, those apart that people deleted; and what is to be said of the latter."""
    living, deleted = [], []
    for member in members:
        try:
            refuse_deleted(root.store(member.name), read_group(root.store(member.name)))
            living.append(member)
        except StoreDeletedError as error:
            deleted.append(str(error))
        except CorruptStoreError:
            living.append(member)  # its own task says so
    if deleted and not living:
        raise StoreDeletedError(deleted[0])
    return living, deleted


def _check(config: RunConfig) -> None:
    if config.out is None:
        raise UsageError("nothing says where the stores go; give --out FOLDER")
    if config.model is None and config.detections2d is None:
        raise UsageError(
            "nothing says where 2D boxes come from; give --model WEIGHTS (`--model synthetic` for synthetic drives) "
            "or --detections2d FOLDER"
        )
    check_labels_name(config)
    if config.detections2d is None and config.model is not None:
        load_weights(config.model, trust_pickle=config.detect.trust_pickle)


class _Fleet:
    """One run over a fleet."""

    def __init__(
        self,
        root: FleetRoot,
        config: RunConfig,
        workplace: Workplace,
        lease: Lease,
        observer: FleetObserver | None,
    ) -> None:
        self._root = root
        self._config = config.model_copy(
            update={
                name: path.resolve()
                for name in ("model", "detections2d", "detections3d")
                if (path := getattr(config, name)) is not None
            }
        )
        self._workplace = workplace
        self._lease = lease
        self._observer = observer
        self._failed: list[Ended] = []
        self._storage_failures = 0
        self._quarantined = 0
        self._warned = 0
        self._told_s = 0.0
        self._progress = Progress(0, workplace.slots)

    def run(self, members: Sequence[Member], deleted: Sequence[str], stack: ExitStack) -> FleetOutcome:
        self._progress = Progress(len(members), self._workplace.slots)
        self._tell("starting")
        try:
            settled = self._settle()
            if self._observer:
                expected = estimate(members, self._config, settled, self._workplace.slots_of("detect"))
                self._observer.begun(expected, self._workplace)
            for member in members:
                if member.drive.problem is not None:
                    self._end(
                        Ended(member.name, cause_of(member.drive.problem), "open", member.drive.problem)
                    )
            if settled and self._config.model:
                self._workplace.warm(self._config.model, settled.choice.config, stack)
            schedule = Schedule(self._begin(members, settled), self._limits())
            drive(
                schedule,
                self._workplace.workers,
                on_finished=self._progress.finished,
                on_end=self._on_end,
                on_turn=self._on_turn,
            )
        except KeyboardInterrupt as error:
            self._tell("stopped")
            raise InterruptedRunError(
                f"interrupted; what was finished is kept in {self._root.path}: the same command with --resume goes on"
            ) from error
        except BaseException as error:
            self._tell("failed", str(error) or type(error).__name__)
            raise
        self._tell("finished")
        return self._outcome(members, deleted)

    def _settle(self) -> SettledDetector | None:
        """Chooses the backend of all stores, once, where detection will run."""
        if self._config.model is None or self._config.detections2d is not None:
            return None
        kept: list[SettledDetector] = []

        def keep(_: str, done: Finished) -> None:
            kept.append(done.result.facts["settled"])

        def complain(end: End) -> None:
            if end.fault is not None:
                raise end.fault.error or ClusterError(end.fault.reason)

        task = settling(self._root.state / "choices", self._config.model, self._config.detect)
        drive(
            Schedule([("settle", [task])], Limits(1)),
            self._workplace.workers,
            on_finished=keep,
            on_end=complain,
        )
        return kept[0]

    def _begin(
        self, members: Sequence[Member], settled: SettledDetector | None
    ) -> Iterator[tuple[str, list[Task]]]:
        replace = self._config.existing is Existing.OVERWRITE
        existing = Existing.OVERWRITE if replace else Existing.RESUME
        for member in members:
            if member.drive.problem is None:
                own = {
                    "out": self._root.store(member.name),
                    "sequence": member.drive.sequence,
                    "existing": existing,
                }
                task = opening(member.drive.source, self._config.model_copy(update=own), settled)
                yield member.name, [task]

    def _limits(self) -> Limits:
        place = self._workplace
        needed = {"detect": 2 * place.slots_of("detect")} if place.needs else {}
        return Limits(
            in_flight=place.in_flight,
            open_sequences=self._config.fleet.open_sequences or max(4, 2 * place.slots),
            abreast=_ABREAST,
            bytes_in_flight=place.memory_bytes // 2 or None,
            of_stage=needed,
        )

    def _on_end(self, end: End) -> None:
        state = self._progress.ended(end.sequence, failed=end.fault is not None)
        warnings = tuple(state.warnings)
        if end.fault is None:
            self._storage_failures = 0
            self._end(
                Ended(
                    end.sequence,
                    frames=state.frames,
                    boxes=state.boxes,
                    quarantined=state.facts.get("quarantined", 0),
                    content_hash=state.facts.get("content_hash", ""),
                    labels=state.facts.get("labels"),
                    warnings=warnings,
                )
            )
            return
        stage = end.failed_at.stage if end.failed_at else ""
        reason = end.fault.reason
        if end.failed_at and stage not in ("open", "plan", "close"):
            reason = f"{stage} of {end.failed_at.sensor}, frames {end.failed_at.start}..{end.failed_at.stop}: {reason}"
        self._end(
            Ended(end.sequence, cause_of(end.fault.reason), stage, reason, warnings=warnings), counted=True
        )
        self._storage_failures += end.fault.of_storage
        if self._storage_failures >= _STORAGE_FAILURES:
            raise StoreWriteError(
                f"{end.fault.reason} (so it was for {self._storage_failures} drives in a row)"
            )

    def _end(self, ended: Ended, *, counted: bool = False) -> None:
        if ended.cause is not None:
            self._failed.append(ended)
            if not counted:
                self._progress.ended(ended.name, failed=True)
        self._quarantined += ended.quarantined
        self._warned += bool(ended.warnings)
        self._root.note_end(ended)
        if self._observer:
            self._observer.ended(ended)

    def _on_turn(self) -> None:
        now = time.monotonic()
        if now - self._told_s >= _NEWS_S:
            self._told_s = now
            self._lease.check()
            self._tell("running")

    def _tell(self, state: str, reason: str | None = None) -> None:
        snapshot = self._progress.snapshot() | {
            "state": state,
            "reason": reason,
            "dashboard": self._workplace.dashboard,
            "slots": self._workplace.slots,
            "updated_ns": time.time_ns(),
        }
        try:
            self._root.note_progress(snapshot)
        except FleetLabelError:
            if state in ("starting", "running", "finished"):
                raise
        if self._observer:
            self._observer.turn(snapshot)

    def _outcome(self, members: Sequence[Member], deleted: Sequence[str]) -> FleetOutcome:
        failed_names = {one.name for one in self._failed}
        failed = [member for member in members if member.name in failed_names]
        return FleetOutcome(
            root=self._root.path,
            sequences=len(members),
            done=self._progress.done,
            frames=round(self._progress.frames_done),
            quarantined=self._quarantined,
            failures=tuple(group_failures(self._failed)),
            failed_list=self._root.list_failed(failed) if failed else None,
            warnings=self._warned,
            wall_s=round(self._progress.elapsed_s, 3),
            slots=self._workplace.slots,
            stages=self._progress.stage_totals(),
            deleted=tuple(deleted),
        )
