"""``validate``: what is wrong with a rig folder, before it is ingested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleetlabel.engine.cli import options as opt
from fleetlabel.engine.cli.exit_codes import FAILED
from fleetlabel.engine.ingest.rig_check import validate_rig
from fleetlabel.engine.ingest.rig_problems import Problem


def validate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A rig folder (with rig.yaml).", show_default=False)
    ],
    as_json: opt.Json = False,
) -> None:
    """List everything that is wrong with a rig folder; exits 1 if it cannot be read as it is."""
    problems = validate_rig(folder)
    errors = sum(not problem.warning for problem in problems)
    if as_json:
        print(json.dumps([_entry(problem, folder) for problem in problems], indent=1))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for problem in problems:
            kind, style = ("warning:", "yellow") if problem.warning else ("error:", "red")
            console.print(kind, str(problem), style=style, markup=False)
        console.print(f"{folder}: {errors} errors, {len(problems) - errors} warnings", markup=False)
    if errors:
        raise typer.Exit(FAILED)


def _entry(problem: Problem, folder: Path) -> dict[str, str]:
    file = problem.file
    return {
        "level": "warning" if problem.warning else "error",
        "file": str(file.relative_to(folder) if file.is_relative_to(folder) else file),
        "field": problem.field,
        "expected": problem.expected,
        "found": problem.found,
        "remedy": problem.remedy,
    }
