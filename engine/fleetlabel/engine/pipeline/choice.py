"""The backend that a run uses: measured once, then kept, so that a run that is resumed never changes its mind.

Kept in two places: beside what it is for (in the store, or with the fleet), where a resumed run finds it on whatever
machine, and per machine, where the next drive with the same weights and settings finds it, so that the same command
gives the same labels twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fleetlabel.engine.detect import DetectConfig, Weights, choose_backend
from fleetlabel.engine.detect.libraries import possible_specs
from fleetlabel.store.durable import write_file
from fleetlabel.store.groups import read_group, write_group

CHOICES = Path("runs") / "choices"  # in a store


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice that was made.

    Attributes:
        config: the settings with backend, device, precision, input size and batch made definite.
        key: names the weights and settings that it was made for.
        chosen: JSON-ready, what was chosen and what was measured.
    """

    config: DetectConfig
    key: str
    chosen: Mapping[str, Any]

    @property
    def ms_per_input(self) -> float | None:
        """Time of one network input, if it was measured here."""
        times = [m["ms"] for m in self.chosen["measured"] if m["spec"] == self.chosen["spec"] and "ms" in m]
        return times[0] if times else None

    def keep(self, folder: Path) -> None:
        """Keeps it in a folder of choices, for whoever asks there next."""
        if read_group(folder / self.key) != self.chosen:
            write_group(folder, {})
            write_group(folder / self.key, self.chosen)


def settle_backend(folder: Path, weights: Weights, config: DetectConfig) -> Choice:
    """The choice that is kept in a folder or on this machine for weights and settings; made now if there is none.

    Raises:
        UsageError: nothing here can run the weights with these settings.
    """
    specs = [str(spec) for spec in possible_specs(weights, config)]
    request = {"model": weights.sha256, "config": asdict(config)}
    key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    on_machine = _machine_file(key, specs)
    chosen = read_group(folder / key) or _load(on_machine)
    if chosen is None or chosen["spec"] not in specs:
        found = choose_backend(weights, config)
        chosen = {
            "spec": f"{found.config.backend} {found.config.device} {found.config.precision}",
            "measured": [
                {"spec": str(m.spec), **({"refused": m.refused} if m.refused else {"ms": m.ms_per_input})}
                for m in found.measurements
            ],
        }
    _save(on_machine, chosen)
    backend, device, precision = chosen["spec"].split()
    settled = replace(config, backend=backend, device=device, precision=precision)
    choice = Choice(
        choose_backend(weights, settled).config, key, chosen
    )  # one way is left: nothing is measured
    choice.keep(folder)
    return choice


def _machine_file(key: str, specs: list[str]) -> Path:
    """Where this machine's choice is kept; another processor or another set of libraries chooses anew."""
    here = json.dumps(
        [platform.machine(), platform.processor(), os.cpu_count(), platform.node(), sorted(specs)]
    )
    name = f"{key}-{hashlib.sha256(here.encode()).hexdigest()[:16]}.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fleetlabel" / "backends" / name


def _load(file: Path) -> dict[str, Any] | None:
    try:
        loaded = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) and "spec" in loaded else None


def _save(file: Path, chosen: dict[str, Any]) -> None:
    if _load(file) == chosen:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps(chosen).encode())
    except OSError:
        return  # a home that cannot be written only means measuring again for the next drive
