"""``report``: one page about a store, put together of what the engine measures and what the viewers draw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.ingest import GROUND_TRUTH
from fleetlabel.engine.pipeline.ledger import ledger_path
from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.store.object_path import ObjectPath


def report(
    store: opt.StoreArg,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page.", show_default="STORE's name with .html"),
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="Which label version.", show_default="the newest")
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            "--truth", help="Label version to measure against.", show_default="the source's, if it has any"
        ),
    ] = None,
) -> None:
    """Write one self-contained page: pictures, accuracy, time, settings, problems."""
    beside = (
        Path(f"{store.stem}.html") if isinstance(store, ObjectPath) else store.with_name(f"{store.stem}.html")
    )
    page = beside if out is None else out
    write_page(page, SequenceStore.open(store), labels, truth)
    print(page)


def write_page(
    page: Path, store: SequenceStore, labels: str | None = None, truth: str | None = None
) -> dict[str, Any] | None:
    """Writes the page about a label version (the newest by default), measured where there is a truth.

    Returns:
        The accuracy, as ``fleetlabel eval --json`` prints it; None without a truth.

    Raises:
        UsageError: the file's name does not end in .html, or labels are to be measured against themselves.
        StoreNotFoundError: there is no such label version.
    """
    from fleetlabel.engine.evaluate import evaluate

    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {page} is no page; give it a name that ends in .html")
    version = store.latest_labels().name if labels is None else store.labels(labels).name
    if truth is None:
        against = GROUND_TRUTH if GROUND_TRUTH in store.label_versions() and version != GROUND_TRUTH else None
    else:
        against = store.labels(truth).name
    if against == version:
        raise UsageError(f"--truth {truth} is the version that is shown; measure another one, with --labels")
    accuracy = None if against is None else evaluate(store, version, against).to_dict()
    # The viewers must not be imported here: what they offer is found by name, as commands are.
    (write,) = (entry.load() for entry in entry_points(group="fleetlabel.pages", name="report"))
    write(page, store, version, against, accuracy, _read_ledger(ledger_path(store.root)))
    return accuracy


def _read_ledger(path: Path) -> Mapping[str, Any] | None:
    """The ledger beside a store; None if there is none, or another program's file has its name."""
    try:
        ledger = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return ledger if isinstance(ledger, dict) and "stages" in ledger else None
