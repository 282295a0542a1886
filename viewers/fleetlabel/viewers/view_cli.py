"""``fleetlabel view``: the annotation app. What needs a screen is imported when the command runs."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor.keys import read_keys


def view(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="A sequence's store (.zarr).", show_default=False)
    ],
    labels: Annotated[
        str | None,
        typer.Option(help="Label version to begin with.", show_default="the newest, or what people work on"),
    ] = None,
    author: Annotated[
        str | None, typer.Option(help="Who edits.", show_default="the user's name on this machine")
    ] = None,
    frame: Annotated[int, typer.Option(help="Frame to begin at.")] = 0,
) -> None:
    """Look at labels and correct them: lidar and all cameras in one window. F1 shows the keys."""
    from fleetlabel.viewers.editor.editor import Editor
    from fleetlabel.viewers.editor.source import LocalSource
    from fleetlabel.viewers.window.screen_check import require_screen

    keys = read_keys()
    opened = SequenceStore.open(store)
    source = LocalSource(opened, author or getpass.getuser(), labels)
    require_screen()
    from fleetlabel.viewers.window.app import AppWindow

    editor = Editor(source, keys)
    editor.go(frame)
    AppWindow(editor).run()
    # Open3D's renderer does not survive the interpreter's end; everything that counts is on the disk.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
