"""Which drives a fleet consists of: folders, globs, lists of them, and folders of drives, as single sequences."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fleetlabel.engine.ingest import list_sequences, recognise
from fleetlabel.engine.ingest.formats import is_drive_log
from fleetlabel.model.errors import FleetLabelError, UsageError
from fleetlabel.store.groups import read_group
from fleetlabel.store.object_path import ObjectPath, place_of

FOLDER = ".fleet"  # in a fleet's folder, what it has to remember
_LISTS = (".txt", ".yaml", ".yml")
_DEPTH = 3  # how far below a folder drives are looked for


@dataclass(frozen=True, slots=True, order=True)
class Drive:
    """One sequence of a drive log.

    Attributes:
        source: the drive log's folder, absolute.
        sequence: its name in there; empty if the folder cannot be told.
        problem: why it cannot be labelled, if that is known already.
    """

    source: Path
    sequence: str
    problem: str | None = None


def find_drives(sources: Sequence[str | Path], sequence: str | None = None) -> list[Drive]:
    """Every sequence that the sources name, each once, sorted.

    A source is a drive log, a folder that has drive logs in it, a glob, or a list of sources: a ``.txt`` file with
    one per line (# begins a comment), a ``.yaml`` file with a list whose entries are sources or ``{source:,
    sequence:}``, either with or without ``@`` before its name. Paths in a list are relative to the list. All but lists
    may be on object storage (``s3://``); of a pattern there, only the last name may have wildcards.

    A drive log that cannot be told, or has no sequence, is a drive with a problem: the others go on.

    Args:
        sequence: only this one of each source.

    Raises:
        UsageError: a source does not exist, matches nothing, or has no drive log in it; or a list cannot be read.
    """
    found = {
        (drive.source, drive.sequence): drive
        for source in sources
        for drive in _drives_of(str(source), sequence, Path())
    }
    if not found:
        raise UsageError("there is no drive to label; give the folder of a drive log")
    return sorted(found.values())


def is_one_drive(sources: Sequence[str | Path], sequence: str | None, out: Path | None) -> bool:
    """Whether sources and output ask for one drive and its store, and not for a fleet and its folder.

    One source does with a store (``.zarr``) as output, or if it is a drive log with a single sequence, or nothing that
    could be told apart.
    """
    if len(sources) != 1 or (out is not None and (out / FOLDER).exists()):
        return False
    source = str(sources[0])
    path = place_of(source.removeprefix("@")).expanduser()
    if source.startswith("@") or (path.suffix in _LISTS and path.is_file()):
        return False
    if not path.exists():
        return not glob.has_magic(source)
    if (out is not None and out.suffix == ".zarr") or sequence is not None:
        return True
    if not is_drive_log(path):
        return next(_logs_below(path, _DEPTH), None) is None if path.is_dir() else True
    try:
        return len(list_sequences(path)) <= 1
    except FleetLabelError:
        return True


def _drives_of(
    source: str, sequence: str | None, base: Path, lists: tuple[Path, ...] = ()
) -> Iterator[Drive]:
    """Drives of a source that is named by the last of some lists, each of which is named by the one before."""
    given = place_of(source.removeprefix("@")).expanduser()
    path = given if isinstance(given, ObjectPath) else base / given
    if source.startswith("@") or (path.suffix in _LISTS and path.is_file()):
        if path.resolve() in lists:
            raise UsageError(f"the list of drives {path} names itself; take that entry out")
        for entry, its_sequence in _entries(path):
            yield from _drives_of(entry, its_sequence or sequence, path.parent, (*lists, path.resolve()))
    elif path.exists():
        yield from _drives_in(path.resolve(), sequence)
    elif glob.has_magic(source):
        folders = _matching(path)
        if not folders:
            raise UsageError(f"{source} matches no folder or log file; check the pattern")
        for folder in folders:
            yield from _drives_in(folder.resolve(), sequence)
    else:
        raise UsageError(f"{path} does not exist; give the folder of a drive log, a glob or a list of them")


def _matching(pattern: Path) -> list[Path]:
    if isinstance(pattern, ObjectPath):
        found: Iterable[Path] = pattern.parent.glob(pattern.name)
    else:
        found = map(Path, glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(path for path in found if path.is_dir() or is_drive_log(path))


def _entries(path: Path) -> list[tuple[str, str | None]]:
    """(source, sequence) of a list."""
    try:
        text = path.read_text()
        if path.suffix not in (".yaml", ".yml"):
            lines = [line.partition("#")[0].strip() for line in text.splitlines()]
            return [(line, None) for line in lines if line]
        loaded: Any = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the list of drives {path}: {error}") from error
    entries: list[tuple[str, str | None]] = []
    for row, entry in enumerate(loaded if isinstance(loaded, list) else [loaded], start=1):
        if isinstance(entry, str):
            entries.append((entry, None))
        elif isinstance(entry, dict) and set(entry) <= {"source", "sequence"} and "source" in entry:
            entries.append((str(entry["source"]), entry.get("sequence") and str(entry["sequence"])))
        else:
            raise UsageError(
                f"{path}: entry {row} is {entry!r}; expected a path, or source: and sequence: of a drive"
            )
    return entries


def _drives_in(path: Path, sequence: str | None) -> Iterator[Drive]:
    if is_drive_log(path):
        yield from _sequences_of(path, sequence)
        return
    below = list(_logs_below(path, _DEPTH)) if path.is_dir() else []
    if not below:
        try:
            recognise(path)
        except FleetLabelError as error:
            yield Drive(path, sequence or "", str(error))
    for log in below:
        yield from _sequences_of(log, sequence)


def _logs_below(folder: Path, depth: int) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if not child.is_dir() or child.name.startswith("."):
            continue
        if is_drive_log(child):
            yield child
        elif depth > 1 and "schema" not in (read_group(child) or {}):
            yield from _logs_below(child, depth - 1)


def _sequences_of(path: Path, sequence: str | None) -> Iterator[Drive]:
    try:
        names = list_sequences(path)
    except FleetLabelError as error:
        yield Drive(path, sequence or "", str(error))
        return
    if not names:
        yield Drive(path, sequence or "", f"{path} has no sequence in it")
    elif sequence is None:
        for name in names:
            yield from _told_once(path, name)
    elif sequence in names:
        yield from _told_once(path, sequence)
    else:
        yield Drive(path, sequence, f"{path} has no sequence {sequence!r}; it has {', '.join(names)}")


def _told_once(path: Path, name: str) -> Iterator[Drive]:
    """A sequence that has a folder of its own, which is a drive log as well, goes by that, and by its name in there."""
    own = path / name
    if own.is_dir() and is_drive_log(own):
        yield from (Drive(own, its_own) for its_own in list_sequences(own))
    else:
        yield Drive(path, name)
