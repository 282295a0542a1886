"""Files that appear whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from fleetlabel.model.errors import StoreExistsError, StoreWriteError

# What an export tells of what it could not say; readers of labels pass over it.
REPORT = "loss_report.json"


@contextmanager
def new_bytes(path: Path) -> Iterator[BinaryIO]:
    """A new file, under its name once it is complete.

    Raises:
        StoreExistsError: it is there already.
        StoreWriteError: the file system refused.
    """
    refuse_existing(path)
    scratch = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            yield file
        scratch.rename(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise StoreWriteError(
            f"cannot write {path}: {error.strerror or error}; free some space, or choose another --out"
        ) from error
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def new_text(path: Path) -> Iterator[TextIO]:
    """A new text file; see :func:`new_bytes`."""
    with new_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        yield text
        text.flush()
        text.detach()


def refuse_existing(path: Path) -> None:
    """Raises StoreExistsError if something is there."""
    if path.exists():
        raise StoreExistsError(f"{path} already exists; remove it or choose another --out")


def new_folder(path: Path) -> None:
    """Makes a folder for files that may turn out to be none.

    Raises:
        StoreExistsError: it is there already.
        StoreWriteError: the file system refused.
    """
    refuse_existing(path)
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise StoreWriteError(
            f"cannot make {path}: {error.strerror or error}; choose another --out"
        ) from error


def write_json_array(file: TextIO, items: Iterable[Any]) -> int:
    """A JSON array, one item a line; returns how many there were."""
    count = 0
    file.write("[")
    for item in items:
        file.write((",\n" if count else "\n") + json.dumps(item))
        count += 1
    file.write("]")
    return count


def write_json_object(file: TextIO, items: Iterable[tuple[str, Any]]) -> None:
    """A JSON object, one member a line."""
    separator = ""
    file.write("{")
    for key, value in items:
        file.write(f"{separator}\n{json.dumps(key)}: {json.dumps(value)}")
        separator = ","
    file.write("}")
