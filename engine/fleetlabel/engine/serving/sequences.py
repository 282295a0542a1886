"""The list of sequences, page by page: the index that ``fleetlabel find`` asks, for all roots."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from fleetlabel.engine.fleet.catalogue import Found, Query, find
from fleetlabel.engine.fleet.stores import is_store
from fleetlabel.engine.serving.roots import DataRoots
from fleetlabel.model.errors import StoreNotFoundError, UsageError
from fleetlabel.store.object_path import ObjectPath

MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class SequencePage:
    """Some sequences.

    Attributes:
        found: by start of the drive; ``entry.labels`` and ``entry.edits`` say where its head is.
        next_page_token: what to ask with for the next ones; empty: these were the last.
        unreadable: stores that cannot be read, and why.
    """

    found: tuple[Found, ...]
    next_page_token: str
    unreadable: Mapping[Path, str]


def list_sequences(
    roots: DataRoots, query: Query, *, parent: str | None = None, page_size: int = 100, page_token: str = ""
) -> SequencePage:
    """Sequences that a query describes. What is made or deleted meanwhile shifts no page.

    It is true at the time it is asked: each store's fingerprint is compared, and what changed is read again.

    Args:
        query: its ``name`` may also be that of a sequence in :meth:`DataRoots.name_of`'s words.
        parent: just those in this folder, or this one; by default those in all roots and in the folders of roots.
        page_size: at most so many; more than 1000 count as 1000.
        page_token: of the page before.

    Raises:
        OutsideRootsError: ``parent`` is not in the roots.
        StoreNotFoundError: ``parent`` has no stores.
        UsageError: the token is none, or the size is below 1.
    """
    if page_size < 1:
        raise UsageError(f"a page has at least one sequence, not {page_size}")
    after = _parsed(page_token) if page_token else None
    found: list[Found] = []
    unreadable: dict[Path, str] = {}
    wanted = replace(query, name=None)
    for folder in _folders(roots) if parent is None else (roots.place(parent),):
        try:
            answer = find(folder, wanted, admit=roots.holds)
        except StoreNotFoundError:
            if parent is not None:
                raise
            continue
        found += [one for one in answer.found if query.name is None or _is_called(one, roots, query.name)]
        unreadable |= {folder / f"{name}": why for name, why in answer.unreadable.items()}
    found.sort(key=_key)
    if after is not None:
        found = [one for one in found if _key(one) > after]
    page = tuple(found[: min(page_size, MAX_PAGE)])
    return SequencePage(page, _token(page[-1]) if len(found) > len(page) else "", unreadable)


def _folders(roots: DataRoots) -> Iterator[Path]:
    """Where sequences are: roots, and folders in them, such as those of fleets."""
    for root in roots.paths:
        yield root
        if not isinstance(root, ObjectPath):
            with os.scandir(root) as entries:
                below = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            for entry in sorted(below, key=lambda entry: entry.name):
                if not entry.name.startswith(".") and not is_store(Path(entry.path)):
                    yield Path(entry.path)


def _is_called(found: Found, roots: DataRoots, pattern: str) -> bool:
    names = (roots.name_of(found.store), found.entry.name, found.entry.sequence)
    return any(fnmatch(name, pattern) for name in names)


def _key(found: Found) -> tuple[int, str]:
    return found.entry.start_ns, str(found.store)


def _token(last: Found) -> str:
    return base64.urlsafe_b64encode(json.dumps(_key(last)).encode()).decode()


def _parsed(token: str) -> tuple[int, str]:
    try:
        start_ns, store = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        if type(start_ns) is not int or type(store) is not str:
            raise ValueError
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise UsageError(
            f"{token[:64]!r} is no page token; take the one that came with the page before"
        ) from error
    return start_ns, store
