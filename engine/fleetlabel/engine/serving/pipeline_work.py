"""The kinds of operations: the stages and whole runs as the command line does them, with a client's words for paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fleetlabel.engine.fleet.estimate import Estimate
from fleetlabel.engine.fleet.root import Ended
from fleetlabel.engine.fleet.run import run_fleet
from fleetlabel.engine.fleet.workplace import Workplace, find_workers
from fleetlabel.engine.pipeline import run as pipeline
from fleetlabel.engine.pipeline.config import Existing, RunConfig, load_config
from fleetlabel.engine.pipeline.driver import Workers, hire_threads
from fleetlabel.engine.serving.requests import check_words, text
from fleetlabel.engine.serving.roots import DataRoots
from fleetlabel.engine.serving.work import Report, Work
from fleetlabel.model.errors import StoreExistsError, UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.store.object_path import place_of
from fleetlabel.store.sequence import GROUND_TRUTH

_SHOWN = 100
_WEIGHTS_OF_OURS = "synthetic"
_PATHS = ("model", "detections2d", "detections3d")
_OURS = {"out", "existing", "sequence", "workers", "fleet"}  # a request has other words for them, or no say


def pipeline_work(
    roots: DataRoots, *, uploads: Path | None = None, workers: int | None = None, cluster: str | None = None
) -> dict[str, Work]:
    """All kinds of operations.

    ======== ============================================================== ==========================================
    kind     request                                                        result
    ======== ============================================================== ==========================================
    ingest   ``source``, ``store``, ``sequence``, ``existing``, ``config``  ``store``, ``labels``, ``content_hash``,
    upload   the same, ``source`` being a drive in ``uploads``              ``frames``, ``wall_s``, ``quarantined``
    run      as ingest
    prelabel ``store``, ``config``                                          (number), ``warnings``
    lift     the same
    track    the same
    fleet    ``sources``, ``out``, ``existing``, ``config``                 :meth:`FleetOutcome.to_dict`
    ======== ============================================================== ==========================================

    ``existing`` is ``refuse`` (default), ``resume`` or ``overwrite``; ``config`` has the settings of
    :class:`RunConfig` that are a client's business, nested as there. Paths and addresses lead into the roots.

    Args:
        roots: what clients may touch.
        uploads: folder of the engine's own, for drives that clients streamed; None: there is no ``upload``.
        workers: tasks at once of one operation; by default one per core.
        cluster: address or scheduler file of a Dask cluster, which sees the roots and ``uploads`` under the same paths;
            None: threads of this process, and processes of this machine for ``fleet``.
    """
    own: dict[str, Any] = {"workers": workers, "fleet.cluster": cluster}
    hire = hire_threads if cluster is None else _hire_cluster
    ingest, run = (partial(call, hire=hire) for call in (pipeline.ingest, pipeline.run))
    prelabel, lift, track = (
        partial(call, hire=hire) for call in (pipeline.prelabel, pipeline.lift, pipeline.track)
    )
    sent = {} if uploads is None else {"upload": _Drive(roots, DataRoots([uploads]), own, ingest)}
    return {
        **sent,
        "ingest": _Drive(roots, roots, own, ingest),
        "run": _Drive(roots, roots, own, run),
        "prelabel": _Stage(roots, own, prelabel),
        "lift": _Stage(roots, own, lift),
        "track": _Stage(roots, own, track),
        "fleet": _Fleet(roots, own),
    }


@dataclass(frozen=True, slots=True)
class _Drive:
    """From a drive log to a store; ``sources`` is where the log may be."""

    roots: DataRoots
    sources: DataRoots
    own: Mapping[str, Any]
    call: Callable[[Path, RunConfig, Report], pipeline.Outcome]

    def check(self, request: Mapping[str, Any]) -> None:
        check_words(request, "source", "store", optional=("sequence", "existing", "config"))
        self.sources.source(text(request, "source"))
        self._config(request, _existing(request))

    def place(self, request: Mapping[str, Any]) -> str:
        return str(self.roots.new_store(text(request, "store")))

    def run(self, request: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        existing = _existing(request)
        if existing is Existing.REFUSE and not report.resumed:
            out = self.roots.new_store(text(request, "store"))
            if out.exists():
                raise StoreExistsError(f"{out} exists; choose another store, or say `resume` or `overwrite`")
        if report.begun or (existing is Existing.REFUSE and report.resumed):
            existing = Existing.RESUME
        source = self.sources.source(text(request, "source"))
        told = _told(self.call(source, self._config(request, existing), report))
        if (
            told["labels"] is None
            and GROUND_TRUTH in SequenceStore.open(place_of(told["store"])).label_versions()
        ):
            told["labels"] = GROUND_TRUTH
        return told

    def _config(self, request: Mapping[str, Any], existing: Existing) -> RunConfig:
        flags = {
            **self.own,
            "out": self.roots.new_store(text(request, "store")),
            "existing": existing,
            "sequence": text(request, "sequence", optional=True),
        }
        return _config(self.roots, request, flags)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage on a store."""

    roots: DataRoots
    own: Mapping[str, Any]
    call: Callable[[Path, RunConfig, Report], pipeline.Outcome]

    def check(self, request: Mapping[str, Any]) -> None:
        check_words(request, "store", optional=("config",))
        SequenceStore.open(self.roots.store(text(request, "store")))
        _config(self.roots, request, self.own)

    def place(self, request: Mapping[str, Any]) -> str:
        return str(self.roots.store(text(request, "store")))

    def run(self, request: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        config = _config(self.roots, request, self.own)
        return _told(self.call(self.roots.store(text(request, "store")), config, report))


@dataclass(frozen=True, slots=True)
class _Fleet:
    """Many drive logs."""

    roots: DataRoots
    own: Mapping[str, Any]

    def check(self, request: Mapping[str, Any]) -> None:
        check_words(request, "sources", "out", optional=("existing", "config"))
        self._sources(request)
        self._config(request, _existing(request))

    def place(self, request: Mapping[str, Any]) -> str:
        return str(self.roots.place(text(request, "out")))

    def run(self, request: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
        existing = _existing(request)
        if existing is Existing.REFUSE and report.resumed:
            existing = Existing.RESUME
        config = self._config(request, existing)
        return run_fleet(self._sources(request), config, observer=_FleetReport(report)).to_dict()

    def _sources(self, request: Mapping[str, Any]) -> list[Path]:
        sources = request.get("sources")
        if not isinstance(sources, list) or not sources or not all(isinstance(one, str) for one in sources):
            raise UsageError("`sources` has to list folders with drive logs")
        found = [self.roots.source(one) for one in sources]
        for path in found:
            if not path.is_dir():  # a list of drives could name any path
                raise UsageError(f"{path} is no folder; name folders with drive logs")
        return found

    def _config(self, request: Mapping[str, Any], existing: Existing) -> RunConfig:
        out = self.roots.place(text(request, "out"))
        return _config(self.roots, request, {**self.own, "out": out, "existing": existing})


@dataclass(frozen=True, slots=True)
class _FleetReport:
    """What a fleet tells, for a report."""

    report: Report

    def begun(self, expected: Estimate, workplace: Workplace) -> None:
        """This is about to be done."""

    def turn(self, snapshot: Mapping[str, Any]) -> None:
        """So far it is now."""
        self.report.turn(snapshot)

    def ended(self, ended: Ended) -> None:
        """A sequence is over."""


def _hire_cluster(config: RunConfig, stack: ExitStack) -> tuple[Workers, int]:
    workplace = find_workers(config, None, stack)
    return workplace.workers, workplace.in_flight


def _config(roots: DataRoots, request: Mapping[str, Any], flags: Mapping[str, Any]) -> RunConfig:
    """A client's settings and ours, with its paths as they lead."""
    config = request.get("config") or {}
    if not isinstance(config, Mapping):
        raise UsageError(f"`config` holds {config!r}, expected settings like {{'chunk_frames': 32}}")
    if taken := _OURS & set(config):
        raise UsageError(f"`config` cannot set {min(taken)}: the request or the engine says it")
    flat = _flat(config)
    if "detect.trust_pickle" in flat:
        raise UsageError(
            "a client cannot have the engine trust weights that may run code; convert them to ONNX"
        )
    for name in _PATHS:
        if flat.get(name) is not None and flat[name] != _WEIGHTS_OF_OURS:
            flat[name] = roots.source(str(flat[name]))
    return load_config(None, {**flat, **flags})


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of settings -> values, for :func:`load_config`."""
    known = RunConfig().model_dump()
    for name in filter(None, prefix.split(".")):
        known = known[name]
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if name not in known:
            raise UsageError(f"unknown setting {prefix}{name}; expected one of {', '.join(sorted(known))}")
        if isinstance(known[name], dict) and known[name] and isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _existing(request: Mapping[str, Any]) -> Existing:
    value = request.get("existing") or Existing.REFUSE
    try:
        return Existing(value)
    except ValueError as error:
        raise UsageError(f"`existing` is {value!r}, expected {', '.join(Existing)}") from error


def _told(outcome: pipeline.Outcome) -> dict[str, Any]:
    warnings = list(outcome.warnings)
    return {
        "store": str(outcome.store),
        "labels": outcome.labels,
        "content_hash": outcome.content_hash,
        "frames": outcome.ledger.frames,
        "wall_s": round(outcome.ledger.wall_s, 3),
        "quarantined": len(outcome.quarantined),
        "warnings": warnings[:_SHOWN] + [f"... and {len(warnings) - _SHOWN} more"][: len(warnings) > _SHOWN],
    }
