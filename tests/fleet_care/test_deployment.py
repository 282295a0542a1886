"""What the deployment's files say can be done: commands exist and take these options, copied files are there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from distributed.cli.dask_scheduler import main as dask_scheduler
from distributed.cli.dask_worker import main as dask_worker

from fleetlabel.engine.cli.app import app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "engine" / "deployment"
PAGE = (ROOT / "engine" / "deployment.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())
DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def takes(words: list[str]) -> None:
    """Lets the command's own parser read its arguments; it complains of what it does not know."""
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in words]
    if words[:2] == ["dask", "scheduler"]:
        command, arguments = dask_scheduler, words[2:]
    elif words[:2] == ["dask", "worker"]:
        command, arguments = dask_worker, words[2:]
    else:
        assert words[0] == "fleetlabel", words
        commands: Any = typer.main.get_command(app)
        assert words[1] in commands.commands, f"there is no fleetlabel {words[1]}"
        command, arguments = commands.commands[words[1]], words[2:]
    command.make_context(words[0], list(arguments))


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_commands_of_the_compose_file_exist(service: str) -> None:
    described = COMPOSE["services"][service]
    takes([*described.get("entrypoint", ()), *described["command"]])


def test_commands_that_the_page_and_the_files_show_exist() -> None:
    text = "\n".join((PAGE, (FOLDER / "docker-compose.yml").read_text())).replace("\\\n", " ")
    shown = 0
    for line in text.splitlines():
        line = line.lstrip("# ").partition("  #")[0]
        run = re.match(r"docker compose .* run --rm (fleetlabel .*)", line)
        if run or re.match(r"(fleetlabel|dask) \w+ ", line):
            takes(shlex.split(run[1] if run else line))
            shown += 1
    assert shown >= 9


def test_the_compose_file_hangs_together() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"scheduler", "worker", "fleetlabel"}
    for service in services.values():
        assert service["user"] == "10001:10001"
        assert {mount.rpartition(":/")[2].removesuffix(":ro") for mount in service["volumes"]} == {
            "drives",
            "weights",
            "stores",
        }
        assert set(service.get("depends_on", {})) <= set(services)
    assert "stores" in COMPOSE["volumes"]
    build = services["scheduler"]["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_the_dockerfile_copies_what_is_there_and_does_not_run_as_root() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    assert set(wanted.split(",")) <= set(extras)
    kept = {
        line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        name
        for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
    users = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    assert users == ["fleetlabel"]
    assert "--uid 10001" in DOCKERFILE
    # The system's packages are those that the set-up asks for.
    listed = (ROOT / ".ci" / "setup").read_text().partition("needed=(")[2].partition(")")[0]
    needed = set(re.findall(r"=(\S+)", listed))
    assert needed <= set(DOCKERFILE.replace("\\", " ").split())
