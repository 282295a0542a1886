"""The set-up is reproducible: what pyproject.toml asks for is pinned, and what is installed is what was asked for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What the project promises that its set-up installs.
PROMISED = ["numpy", "opencv-python", "torch", "ultralytics", "filterpy", "open3d", "zarr", "dask", "grpcio"]


def pins(file: str) -> dict[str, str]:
    """Canonical name -> version of a file with one ``name==version`` per line."""
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text:
            name, equals, pinned = text.partition("==")
            assert equals, f"{file}: {line!r} is no name==version"
            found[canonicalize_name(name)] = pinned
    return found


def needed(requirement: Requirement, done: set[tuple[str, str]]) -> None:
    """Adds to ``done`` the packages, with extras, that ``requirement`` brings along on this machine."""
    name = canonicalize_name(requirement.name)
    for extra in ["", *requirement.extras]:
        if (name, extra) in done:
            continue
        done.add((name, extra))
        for text in requires(name) or []:
            inner = Requirement(text)
            if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                needed(inner, done)


def test_whatever_the_project_asks_for_is_pinned_and_fits() -> None:
    groups = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(text for group in groups.values() for text in group)]
    pinned = pins("constraints.txt")
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"]:
            assert name in pinned, f"{name} is asked for in pyproject.toml and not pinned in constraints.txt"
            assert requirement.specifier.contains(pinned[name]), f"{requirement} excludes {pinned[name]}"


def test_what_our_dependencies_need_is_pinned_too() -> None:
    found: set[tuple[str, str]] = set()
    needed(Requirement("fleetlabel[all,dev]"), found)
    # The CUDA build of torch pins its own nvidia-* and triton packages; the CPU build has none.
    names = {name for name, _ in found if not name.startswith(("nvidia-", "triton", "cuda-"))}
    assert names - {"fleetlabel"} - set(pins("constraints.txt")) == set()


def test_installed_versions_are_the_pinned_ones() -> None:
    wrong = {}
    for name, pinned in pins("constraints.txt").items():
        try:
            installed = version(name).partition("+")[0]  # torch says +cpu or +cu...
        except ModuleNotFoundError:
            continue
        if installed != pinned:
            wrong[name] = (installed, pinned)
    assert wrong == {}, "run make setup"


@pytest.mark.parametrize("name", PROMISED)
def test_promised_packages_are_installed(name: str) -> None:
    assert distribution(name).version


@pytest.mark.parametrize("file", ["constraints.txt", ".ci/oracles.txt"])
def test_pins_hold_on_other_machines(file: str) -> None:
    """No path, no address, no local build such as +cpu."""
    strange = {name: pinned for name, pinned in pins(file).items() if not re.fullmatch(r"[a-z0-9.]+", pinned)}
    assert strange == {}


def test_ultralytics_comes_with_its_extra_only() -> None:
    """It is AGPL-3.0: whoever does not ask for it must not get it."""
    groups = PROJECT["optional-dependencies"]
    for name, group in {"": PROJECT["dependencies"], **groups}.items():
        brings = {canonicalize_name(Requirement(text).name) for text in group}
        assert "ultralytics" not in brings or name == "yolo"
    assert any(Requirement(text).extras >= {"yolo"} for text in groups["all"])
