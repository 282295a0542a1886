"""What runs of a store cost, which of them something still needs, and taking the others away.

A run is needed by every label version that was made of it, and so are the runs below it. The newest run of each
stage is kept whatever became of it, and so is the newest that is whole. What is not needed is taken away from the end
of the pipeline to its beginning, each run at once: at no moment does anything point to a run that is not there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fleetlabel.engine.pipeline.choice import CHOICES
from fleetlabel.engine.pipeline.provenance import describe_run
from fleetlabel.labels.records import record_of
from fleetlabel.store import SequenceStore
from fleetlabel.store.durable import take_away
from fleetlabel.store.groups import read_group, subgroups
from fleetlabel.store.integrity import file_sizes
from fleetlabel.store.pins import pins_of
from fleetlabel.store.runs import Run, find_runs
from fleetlabel.store.sequence import GROUND_TRUTH

LABELS = "labels"
_OWN_NAMES = "auto-"  # of label versions that people gave no name

Key = tuple[str, str]
"""Stage and run id; of a label version, ``labels`` and its name."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A run or a superseded label version, what it costs, and what needs it.

    Attributes:
        store: that it is in.
        stage: of the run; ``labels`` for a label version.
        name: the run's id, or the version's name.
        n_bytes: on disk.
        created_ns: when it was begun.
        made: algorithm version, model, parameters, runs below it.
        pinned_by: what needs it, in words; nothing: it can go.
    """

    store: Path
    stage: str
    name: str
    n_bytes: int
    created_ns: int
    made: Mapping[str, Any]
    pinned_by: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where it is in the store."""
        return f"labels/{self.name}" if self.stage == LABELS else f"runs/{self.stage}/{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        age_s = max(0.0, round((time.time_ns() - self.created_ns) / 1e9))
        return asdict(self) | {"store": str(self.store), "age_s": age_s}


def survey(store: SequenceStore, *, superseded: bool = False) -> list[Holding]:
    """Every run of a store, by stage and age, with what needs it.

    Args:
        superseded: label versions that a newer one took the place of, that people neither named nor edited, and that
            are in no release, are listed as well, and their runs are needed no more.

    Raises:
        CorruptStoreError: a description or the journal is damaged, so nobody knows what is needed.
    """
    old_labels = _superseded(store) if superseded else {}
    runs = {(run.stage, run.run_id): run for stage in _stages(store) for run in find_runs(store, stage)}
    pins = _pins(store, runs, old_labels)
    holdings = [
        Holding(
            store.root,
            run.stage,
            run.run_id,
            sum(file_sizes(store.root / run.path)),
            run.created_ns,
            describe_run(run),
            tuple(pins.get(key, ())),
        )
        for key, run in runs.items()
    ]
    for name, head in old_labels.items():
        size = sum(file_sizes(store.root / "labels" / name))
        made = {"runs": head["provenance"]["runs"]}
        holdings.append(Holding(store.root, LABELS, name, size, head["created_ns"], made, ()))
    return holdings


def collect(store: SequenceStore, *, superseded: bool = False) -> list[Holding]:
    """Takes away what :func:`survey` says nothing needs, and what dead writers left; returns what it said.

    Killed at any moment, nothing that is needed is harmed, no reader sees half a run, and the next call goes on.

    Raises:
        StoreError: another process writes the store, or the file system refused.
        CorruptStoreError: nobody knows what is needed.
    """
    with store.writer_lock():
        holdings = survey(store, superseded=superseded)
        for holding in _last_first(holding for holding in holdings if not holding.pinned_by):
            take_away(store.root / holding.path)
        for stage in _stages(
            store
        ):  # on object storage, what is taken away loses its document before the rest
            for name in subgroups(store.root / "runs" / stage):
                if read_group(store.root / "runs" / stage / name) is None:
                    take_away(store.root / "runs" / stage / name)
        store.clean()
    return holdings


def _stages(store: SequenceStore) -> list[str]:
    return [name for name in subgroups(store.root / "runs") if name != CHOICES.name]


def _pins(
    store: SequenceStore, runs: Mapping[Key, Run], without: Iterable[str]
) -> dict[Key, dict[str, None]]:
    """What needs each run, in words; label versions ``without`` need nothing."""
    pins: dict[Key, dict[str, None]] = {}

    def pin(key: Key, why: str) -> None:
        if key in runs and why not in pins.setdefault(key, {}):
            pins[key][why] = None
            for below in runs[key].upstream.items():
                pin(below, why)

    edited = _edited(store)
    releases = pins_of(store.root)
    for name, head in _label_heads(store).items():
        if name not in without:
            said = ", which people edit" if name in edited else ""
            said += "".join(f", release {release}" for release in releases if releases[release] == name)
            for key in head.get("provenance", {}).get("runs", {}).items():
                pin(key, f"labels {name}{said}")
    for stage in dict.fromkeys(stage for stage, _ in runs):
        oldest_first = [run for run in runs.values() if run.stage == stage]
        pin((stage, oldest_first[-1].run_id), f"newest {stage}")
        whole = [run for run in oldest_first if _is_whole(store, run)]
        if whole:
            pin((stage, whole[-1].run_id), f"newest {stage}")
    return pins


def _label_heads(store: SequenceStore) -> dict[str, dict[str, Any]]:
    """Descriptions of label versions by name, of those that are not finished as well."""
    folder = store.root / "labels"
    found = {name: read_group(folder / name) for name in subgroups(folder)}
    return {name: head for name, head in found.items() if head}


def _edited(store: SequenceStore) -> set[str]:
    """Label versions that people edit, or once edited."""
    entries = store.journal().read()
    return {record_of(entry, number).base for number, entry in enumerate(entries, start=1)}


def _superseded(store: SequenceStore) -> dict[str, dict[str, Any]]:
    heads = _label_heads(store)
    released = pins_of(store.root).values()
    needed = {GROUND_TRUTH, *_edited(store), *released, *(head.get("base") for head in heads.values())}
    if store.label_versions():
        newest = store.latest_labels()
        needed |= {newest.name, newest.base}
    finished = set(store.label_versions())
    return {
        name: head
        for name, head in heads.items()
        if name in finished - needed and name.startswith(_OWN_NAMES) and head["provenance"].get("runs")
    }


def _is_whole(store: SequenceStore, run: Run) -> bool:
    paths = [f"{run.path}/{sensor}" for sensor in subgroups(store.root / run.path)]
    return bool(paths) and all(store.has_table(path) and store.table(path).is_complete() for path in paths)


def _last_first(holdings: Iterable[Holding]) -> list[Holding]:
    """Label versions, then runs such that none goes before those that were made of it."""
    left = list(holdings)
    upstream = {(h.stage, h.name): list(h.made.get("upstream", {}).items()) for h in left}

    def height(key: Key) -> int:
        return 1 + max((height(below) for below in upstream.get(key, ())), default=0)

    return sorted(left, key=lambda h: (h.stage != LABELS, -height((h.stage, h.name))))
