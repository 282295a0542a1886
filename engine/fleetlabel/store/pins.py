"""What releases use of a store, so that nobody takes it away without knowing.

A store has a group for each release that it is part of, below ``releases``, which names the label version that the
release froze. It goes wherever the store goes, and changes no content hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fleetlabel.model.errors import StoreError
from fleetlabel.store import durable
from fleetlabel.store.groups import DOCUMENT, read_group, subgroups, write_group
from fleetlabel.store.hierarchy import add_group

FOLDER = "releases"
_LABELS = "labels"


def pin_labels(root: Path, release: str, labels: str) -> None:
    """Keeps in mind that a release uses a label version of the store at ``root``."""
    if pins_of(root).get(release) != labels:
        add_group(root, FOLDER)
        write_group(root / FOLDER / release, {_LABELS: labels})


def unpin(root: Path, release: str) -> None:
    """Forgets that a release uses the store, if it does."""
    if release in pins_of(root):
        durable.remove_folder(root / FOLDER / release, last=DOCUMENT)


def pins_of(root: Path) -> Mapping[str, str]:
    """Label version by name of the release that uses it.

    Raises:
        CorruptStoreError: one of them is damaged, so nobody knows what is needed.
    """
    heads = {name: read_group(root / FOLDER / name) for name in subgroups(root / FOLDER)}
    return {name: str(head[_LABELS]) for name, head in heads.items() if head}


def refuse_pinned(root: Path, way_out: str) -> None:
    """Complains if releases use a store from which something is to go.

    Args:
        way_out: what to do if it has to go nevertheless, in words.

    Raises:
        StoreError: they do.
    """
    pins = pins_of(root)
    if pins:
        some = ", ".join(f"{release} (labels {labels})" for release, labels in sorted(pins.items()))
        raise StoreError(f"{root} is part of releases: {some}. They could not be exported again; {way_out}")
