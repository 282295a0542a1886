"""``token``: who may ask the engine for what."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleetlabel.engine.cli import options as opt
from fleetlabel.model.errors import UsageError

if TYPE_CHECKING:
    from fleetlabel.engine.catalog import Catalog, Token

token = typer.Typer(
    help="Tokens that let people and programs use the engine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

CatalogOption = Annotated[
    str | None,
    typer.Option(
        "--catalog",
        metavar="URL",
        help="The engine's catalog: a file, or postgresql://USER:PASSWORD@HOST/DATABASE.",
        show_default="FLEETLABEL_CATALOG, or a file of this user's",
    ),
]
_DURATION = re.compile(r"(\d{1,9})([smhdwy])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


@token.command()
def create(
    name: Annotated[
        str, typer.Argument(help="Whose it is; their edits carry this name.", show_default=False)
    ],
    role: Annotated[
        str,
        typer.Option(help="viewer, annotator, reviewer or admin; each may do what those before it may."),
    ] = "viewer",
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long it is good: 12h, 30d, 1y.", show_default="for ever"),
    ] = None,
    catalog: CatalogOption = None,
    as_json: opt.Json = False,
) -> None:
    """Make a token and print it, once: it is kept nowhere."""
    lasts_s = None if expires is None else _seconds(expires)
    with _opened(catalog) as opened:
        from fleetlabel.engine.catalog import Role

        try:
            asked = Role(role)
        except ValueError as error:
            raise UsageError(f"--role {role} is none; expected {', '.join(Role)}") from error
        made, text = opened.tokens.create(name, asked, lasts_s)
    if as_json:
        print(json.dumps({"token": text, **asdict(made)}, indent=1))
        return
    print(text)
    until = "" if made.expires_ns is None else f" until {_moment(made.expires_ns)}"
    print(f"token {made.id}: {made.person} is {made.role}{until}; it is not shown again", file=sys.stderr)


@token.command("list")
def list_(catalog: CatalogOption = None, as_json: opt.Json = False) -> None:
    """List the tokens that were made; the secrets are not known."""
    with _opened(catalog) as opened:
        tokens = opened.tokens.list()
    if as_json:
        print(json.dumps({"tokens": [asdict(one) | {"good": one.is_good()} for one in tokens]}, indent=1))
        return
    table = Table("id", "person", "role", "made", "last used", "state", box=None, header_style="bold")
    for one in tokens:
        used = "never" if one.last_used_ns is None else _moment(one.last_used_ns)
        table.add_row(one.id, one.person, one.role, _moment(one.created_ns), used, _state(one))
    Console(highlight=False, soft_wrap=True, markup=False).print(table)


@token.command()
def revoke(
    name: Annotated[str, typer.Argument(help="A token's id, or a name: all of theirs.", show_default=False)],
    catalog: CatalogOption = None,
    as_json: opt.Json = False,
) -> None:
    """Revoke tokens: from now on they let nobody in."""
    with _opened(catalog) as opened:
        ended = opened.tokens.revoke(name)
    if as_json:
        print(json.dumps({"revoked": [one.id for one in ended]}, indent=1))
        return
    for one in ended:
        print(f"token {one.id} of {one.person} ({one.role}) is revoked")


@contextmanager
def _opened(catalog: str | None) -> Iterator[Catalog]:
    try:
        from fleetlabel.engine.catalog import Catalog, default_catalog
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the engine's catalog needs {error.name}; install it: pip install 'fleetlabel[catalog]'"
        ) from error
    with Catalog(catalog or default_catalog()) as opened:
        yield opened


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--expires {text!r} is no time; write for example 12h, 30d or 1y")
    return float(int(match[1]) * _SECONDS[match[2]])


def _moment(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M}Z"


def _state(one: Token) -> str:
    if one.revoked_ns is not None:
        return "revoked"
    if not one.is_good():
        return "expired"
    return "good" if one.expires_ns is None else f"until {_moment(one.expires_ns)}"
