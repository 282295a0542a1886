"""``fleetlabel view``: the annotation app. What needs a screen is imported when the command runs."""

from __future__ import annotations

import getpass
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetlabel.model.errors import UsageError
from fleetlabel.store import SequenceStore
from fleetlabel.viewers.editor.keys import read_keys

if TYPE_CHECKING:
    from fleetlabel.viewers.editor.source import Source


def view(
    sequence: Annotated[
        str,
        typer.Argument(
            metavar="STORE|SEQUENCE",
            help="A store (.zarr); with --engine, a sequence as `fleetlabel --engine HOST:PORT list` names it.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(help="Label version to begin with.", show_default="the newest, or what people work on"),
    ] = None,
    author: Annotated[
        str | None, typer.Option(help="Who edits.", show_default="the user's name on this machine")
    ] = None,
    frame: Annotated[int, typer.Option(help="Frame to begin at.")] = 0,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The sequence is an engine's (`fleetlabel serve`); the token comes from FLEETLABEL_TOKEN or a file.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --engine: a file with the token.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="PEM", help="With --engine: who signed its certificate; TLS.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="PEM", help="With --engine: this client's certificate.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    in_the_clear: Annotated[
        bool, typer.Option("--in-the-clear", help="With --engine: this network needs no TLS.")
    ] = False,
) -> None:
    """Look at labels and correct them: lidar and all cameras in one window. F1 shows the keys."""
    from fleetlabel.viewers.editor.editor import Editor
    from fleetlabel.viewers.window.screen_check import require_screen

    keys = read_keys()
    source: Source
    if engine is None:
        if token_file or ca or certificate or key or in_the_clear:
            raise UsageError("--token-file, --ca, --certificate, --key and --in-the-clear go with --engine")
        from fleetlabel.viewers.editor.local_source import LocalSource

        source = LocalSource(SequenceStore.open(Path(sequence)), author or getpass.getuser(), labels)
    else:
        if labels is not None or author is not None:
            raise UsageError("an engine knows by the token who edits, and which version; leave that out")
        from fleetlabel.viewers.remote.opening import EngineOptions, open_remote

        options = EngineOptions(engine, token_file, ca, certificate, key, in_the_clear)
        source = open_remote(options, sequence)
    require_screen()
    from fleetlabel.viewers.window.app import AppWindow

    editor = Editor(source, keys)
    editor.go(frame)
    code = 1
    try:
        told_by = AppWindow(editor).run()
        code = 128 + told_by if told_by else 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Open3D's renderer does not survive the interpreter's end; everything that counts is on the disk.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
