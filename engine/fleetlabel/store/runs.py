"""Machine runs of a store: which stages ran on it, with what identity, on top of which other runs.

Each stage has runs of its own, named by the hash of everything that can change its output: algorithm version, model,
parameters, backend, and the runs it builds on. A changed parameter therefore starts new runs of just the stages that
depend on it, and the same parameters find their run again and go on with it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store.groups import canonical_json, read_group, subgroups, write_group
from fleetlabel.store.hierarchy import add_group
from fleetlabel.store.sequence import SequenceStore


@dataclass(frozen=True, slots=True)
class Run:
    """One stage's run.

    Attributes:
        stage: e.g. ``detect``.
        run_id: 16 hexadecimal digits of the identity's SHA-256.
        identity: JSON-ready: algorithm version, parameters, model, backend, ...
        upstream: stage -> run id of the runs it builds on.
        created_ns: when it was begun; not part of the identity.
    """

    stage: str
    run_id: str
    identity: Mapping[str, Any]
    upstream: Mapping[str, str]
    created_ns: int

    @property
    def path(self) -> str:
        """Where its tables are."""
        return f"runs/{self.stage}/{self.run_id}"

    def table_path(self, sensor: str) -> str:
        """Path of the table of one sensor; stages over all sensors call it ``all``."""
        return f"{self.path}/{sensor}"


def declare_run(
    store: SequenceStore, stage: str, identity: Mapping[str, Any], upstream: Mapping[str, str] | None = None
) -> Run:
    """The run of this identity: begun now, or found again."""
    named = {"stage": stage, "identity": dict(identity), "upstream": dict(upstream or {})}
    canonical = canonical_json(named)
    run_id = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    folder = store.root / "runs" / stage / run_id
    if not read_group(folder):
        add_group(store.root, f"runs/{stage}")
        write_group(folder, {**json.loads(canonical), "created_ns": time.time_ns()})
    return open_run(store, stage, run_id)


def open_run(store: SequenceStore, stage: str, run_id: str) -> Run:
    """A run by its id.

    Raises:
        StoreNotFoundError: the stage has no such run.
    """
    head = read_group(store.root / "runs" / stage / run_id)
    if not head:
        known = [run.run_id for run in find_runs(store, stage)]
        raise StoreNotFoundError(f"{store.root} has no {stage} run {run_id!r}; it has {known}")
    return Run(stage, run_id, head["identity"], head["upstream"], head["created_ns"])


def find_runs(store: SequenceStore, stage: str) -> tuple[Run, ...]:
    """All runs of a stage, oldest first."""
    folder = store.root / "runs" / stage
    runs = [open_run(store, stage, run_id) for run_id in subgroups(folder) if read_group(folder / run_id)]
    return tuple(sorted(runs, key=lambda run: (run.created_ns, run.run_id)))


def latest_run(store: SequenceStore, stage: str) -> Run:
    """The newest run of a stage.

    Raises:
        StoreNotFoundError: the stage has not run yet.
    """
    runs = find_runs(store, stage)
    if not runs:
        raise StoreNotFoundError(
            f"{store.root} has no {stage} run yet; `fleetlabel run` does every stage in order"
        )
    return runs[-1]
