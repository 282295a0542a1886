"""One page about a store: what was done, what it looks like, how right it is, and what it cost.

The page holds everything itself: pictures, styles, no script, no address. What is not read from the store, its
accuracy and the time that a run took, is handed over by the caller as the JSON that ``fleetlabel eval`` and the
ledger are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from importlib.resources import files
from pathlib import Path
from typing import Any

from fleetlabel.store import SequenceStore, describe
from fleetlabel.viewers import report_facts as facts
from fleetlabel.viewers import report_pictures as pictures
from fleetlabel.viewers import report_scores as scores
from fleetlabel.viewers.outputs import replacing

# So many of the samples that could not be used are listed one by one.
_LISTED = 40
# Stages of the main job, in its order, and what they do.
_STAGES = {
    "ingest": "sensor data into the store, byte by byte",
    "detect": "boxes in every picture",
    "lift": "cuboids from boxes and lidar points",
    "track2d": "identities in each camera",
    "track3d": "identities in the world",
    "smooth2d": "whole tracks: gaps filled, paths smoothed",
    "smooth3d": "whole tracks: gaps filled, paths smoothed",
    "labels": "one identity per object, label version written",
}


def write_report(
    path: Path,
    store: SequenceStore,
    version: str,
    truth: str | None,
    accuracy: Mapping[str, Any] | None,
    ledger: Mapping[str, Any] | None,
) -> None:
    """Writes the page about a label version.

    Args:
        path: of the HTML file.
        truth: ground truth to draw beside the labels, if there is one.
        accuracy: of the version against it, as ``fleetlabel.engine.evaluate.Report.to_dict`` gives it.
        ledger: of the run, as ``<store>.ledger.json`` holds it.

    Raises:
        OutputError: the file system refused.
        StoreNotFoundError: there is no such label version.
    """
    page = render_report(store, version, truth, accuracy, ledger)
    with replacing(path) as scratch:
        scratch.write_text(page, encoding="utf-8", errors="backslashreplace")


def render_report(
    store: SequenceStore,
    version: str,
    truth: str | None,
    accuracy: Mapping[str, Any] | None,
    ledger: Mapping[str, Any] | None,
) -> str:
    """The page as text; see :func:`write_report`."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("fleetlabel.viewers").joinpath("report.html").read_text("utf-8"))
    described = describe(store)
    info = store.info
    unusable = facts.quarantined(store, described)
    return template.render(
        store_name=store.root.name,
        sequence=info.name,
        source=", ".join(f"{name} {value}" for name, value in info.source.items() if isinstance(value, str)),
        version=version,
        labels=store.labels(version),
        truth=truth,
        n_frames=info.n_frames,
        duration_s=float(info.frame_timestamp_ns[-1] - info.frame_timestamp_ns[0]) * 1e-9,
        driven_m=facts.driven_m(store),
        megabytes=described.bytes_on_disk / 1e6,
        content_hash=described.content_hash,
        versions=described.label_versions,
        sensors=facts.sensor_facts(store, described),
        classes=facts.class_facts(store, version, truth),
        runs=facts.run_facts(store, version),
        quarantined=unusable[:_LISTED],
        n_quarantined=len(unusable),
        moments=list(pictures.camera_moments(store, version)),
        strip=list(pictures.ground_strip(store, version, truth)),
        accuracy=accuracy,
        headline=() if accuracy is None else scores.headline(accuracy),
        near=() if accuracy is None else scores.near_tables(accuracy),
        everything=() if accuracy is None else scores.all_tables(accuracy),
        few=scores.FEW,
        ledger=_with_words(ledger),
        made_on=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        release=installed_version("fleetlabel"),
    )


def _with_words(ledger: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The ledger with its stages in the job's order, each with what it does."""
    if ledger is None:
        return None
    order = list(_STAGES)
    stages = sorted(
        ledger["stages"],
        key=lambda line: order.index(line["stage"]) if line["stage"] in order else len(order),
    )
    # Ledgers of the first release have no warnings.
    return {
        "warnings": [],
        **ledger,
        "stages": [{**line, "does": _STAGES.get(line["stage"], "")} for line in stages],
    }
