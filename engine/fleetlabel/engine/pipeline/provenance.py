"""What each part of a run says of its making: by what, with which settings, of which data, where and how long."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleetlabel.engine.steps import step
from fleetlabel.store import Part, Quarantined, SequenceStore, Table
from fleetlabel.store.runs import Run, open_run

# Entries of a run's identity that have names of their own in a part's provenance.
_ALGORITHM, _DETECTOR, _IMPORTED, _INPUT = "algorithm_version", "detector", "imported_sha256", "input"


@dataclass(frozen=True, slots=True)
class Making:
    """A part that is being made: begin it before the work, commit it after.

    Attributes:
        table: that it will belong to.
        start: its first sample.
        provenance: JSON-ready, for its commit record.
        started_s: ``time.perf_counter()`` when the work began.
    """

    table: Table
    start: int
    provenance: Mapping[str, Any]
    started_s: float

    @classmethod
    def begin(cls, store: SequenceStore, path: str, start: int, stop: int, inputs: Iterable[str]) -> Making:
        """The part of frames ``start:stop`` of a run's table.

        Args:
            path: of the table, ``runs/<stage>/<run>/<sensor>``.
            inputs: paths of the tables that it is made of; tables that are not there are left out.
        """
        started_s = time.perf_counter()
        _, stage, run_id, _ = path.split("/")
        described = describe_run(open_run(store, stage, run_id))
        described["input_sha256"] = {
            name: content_sha256(store.table(name), start, stop) for name in inputs if store.has_table(name)
        }
        return cls(store.table(path), start, described, started_s)

    def commit(self, part: Part, quarantined: Sequence[Quarantined] = ()) -> None:
        """Commits what was made."""
        with step("write", len(part), sum(column.nbytes for column in part.arrays().values())):
            self.table.write(
                self.start,
                part,
                provenance=self.provenance,
                quarantined=quarantined,
                started_s=self.started_s,
            )


def describe_run(run: Run) -> dict[str, Any]:
    """What made a run's parts, JSON-ready: stage, run, algorithm version, model, parameters, runs that it builds on."""
    identity = dict(run.identity)
    detector = dict(identity.pop(_DETECTOR, {}))
    identity.pop(_INPUT, None)  # said part by part, of just what each was made of
    return {
        "stage": run.stage,
        "run": run.run_id,
        "algorithm_version": identity.pop(_ALGORITHM, None),
        "model_sha256": detector.pop("model_sha256", None) or identity.pop(_IMPORTED, None),
        "parameters": {**identity.pop("config", {}), **detector, **identity},
        "upstream": dict(run.upstream),
    }


def content_sha256(table: Table, start: int, stop: int) -> str:
    """SHA-256 over the content of samples ``start:stop``, the same however the table was cut into parts."""
    digest = hashlib.sha256()
    for low, high in table.ranges():
        if low < stop and start < high:
            stored = table.digests(table.record(low, high))
            digest.update(stored[max(start - low, 0) : min(stop, high) - low].tobytes())
    return digest.hexdigest()
