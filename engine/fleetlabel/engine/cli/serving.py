"""``serve``: the engine as a service that other programs talk to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from fleetlabel.engine.cli import options as opt
from fleetlabel.model.errors import UsageError

if TYPE_CHECKING:
    from fleetlabel.engine.rpc import ServeSettings
    from fleetlabel.engine.rpc.server import Addresses


def serve(
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="What clients may have read and written; s3://bucket/prefix, too; may be given several times. "
            "New sequences go into the first.",
            show_default=False,
        ),
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where operations and tokens are kept: a file, or postgresql://USER:PASSWORD@HOST/DATABASE.",
            show_default="FLEETLABEL_CATALOG, or a file of this user's",
        ),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="For uploads and exports; needs room for both.",
            show_default="serving, beside this user's catalog",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen at.", show_default="this machine only; with TLS all addresses"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="0: any that is free.", show_default="50551")] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Where Prometheus may ask, over HTTP, on this machine.", show_default="nowhere"),
    ] = None,
    metrics_host: Annotated[
        str | None, typer.Option(help="Address for that.", show_default="127.0.0.1")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The server's certificate, with its chain.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Mutual TLS: clients need a certificate that this one signed."),
    ] = None,
    workers: opt.Workers = None,
    operations: Annotated[
        int | None, typer.Option(help="Operations that run at a time.", show_default="1")
    ] = None,
    cluster: opt.Cluster = None,
    grace_s: Annotated[
        float | None,
        typer.Option(
            "--grace",
            metavar="SECONDS",
            help="That calls and tasks have when the engine is stopped.",
            show_default="60",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Settings, the limits among them; flags take precedence."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it serves as JSON.")] = False,
) -> None:
    """Serve drives and their labels to other programs over gRPC, until SIGTERM or Ctrl-C."""
    flags = {
        "data": data or None,
        "catalog": catalog,
        "scratch": scratch,
        "host": host,
        "port": port,
        "metrics_port": metrics_port,
        "metrics_host": metrics_host,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "client_ca": client_ca,
        "workers": workers,
        "operations": operations,
        "cluster": cluster,
        "grace_s": grace_s,
    }
    # gRPC's own lines are no JSON, and forks of the engine are followed by an exec at once.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        from fleetlabel.engine import rpc
        from fleetlabel.engine.rpc.logs import log_as_json
    except ModuleNotFoundError as error:
        raise UsageError(
            f"serving needs {error.name}; install it: pip install 'fleetlabel[rpc,catalog]'"
        ) from error
    settings = _settings(config, flags)
    log_as_json()
    asyncio.run(rpc.serve(settings, lambda where: _say(settings, where, as_json)))


def _settings(file: Path | None, flags: dict[str, Any]) -> ServeSettings:
    from fleetlabel.engine.catalog import default_catalog, state_folder
    from fleetlabel.engine.rpc import ServeSettings

    settings: Any = {}
    if file is not None:
        try:
            settings = yaml.safe_load(file.read_text()) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(f"cannot read the configuration {file}: {error}") from error
        if not isinstance(settings, dict):
            raise UsageError(f"{file} holds no settings; expected lines like `max_streams: 100`")
    settings |= {name: value for name, value in flags.items() if value is not None}
    if not settings.get("data"):
        raise UsageError("nothing says what clients may have read and written; give --data FOLDER")
    settings.setdefault("catalog", default_catalog())
    settings.setdefault("scratch", state_folder() / "serving")
    try:
        return ServeSettings.model_validate(settings)
    except ValidationError as error:
        complaints = "; ".join(
            ".".join(map(str, one["loc"]))
            + (": " if one["loc"] else "")
            + one["msg"].removeprefix("Value error, ")
            for one in error.errors()
        )
        raise UsageError(f"{file or 'the options'}: {complaints}") from error


def _say(settings: ServeSettings, where: Addresses, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"address": where.target, "metrics_port": where.metrics_port}), flush=True)
        return
    print(f"serving {', '.join(settings.data)} at {where.target}", flush=True)
    if settings.tls_certificate is not None:
        asked = "clients need a certificate" if settings.client_ca else "clients need no certificate"
        print(f"with TLS; {asked}", flush=True)
    elif settings.is_exposed:
        print(
            "warning: without TLS, on a network: whoever can listen there reads tokens and data; "
            "give --tls-certificate and --tls-key",
            file=sys.stderr,
            flush=True,
        )
    else:
        print("without TLS: programs on this machine only", flush=True)
