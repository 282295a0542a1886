"""The machine that measures: what it is, how much memory the process takes, what its GPU does meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_PACKAGES = (
    "fleetlabel",
    "numpy",
    "numba",
    "zarr",
    "zarrs",
    "onnxruntime",
    "openvino",
    "simplejpeg",
    "torch",
)
_EVERY_S = 0.05


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system and versions; nothing that names the machine."""
    versions = {}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def reset_peak() -> None:
    """Lets the system count this process' peak memory from now on, where it can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Most resident memory of this process since :func:`reset_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@contextmanager
def watching_gpu() -> Iterator[dict[str, Any]]:
    """Fills the dictionary with the first GPU's name, use and memory of the time until the block ends.

    It stays empty where there is no GPU, or no package nvidia-ml-py to ask.
    """
    found: dict[str, Any] = {}
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no package, no driver, no card: its errors share no base class below Exception
        yield found
        return
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    found["name"] = pynvml.nvmlDeviceGetName(handle)
    used, memory, over = [0.0], [0], threading.Event()

    def watch() -> None:
        while not over.wait(_EVERY_S):
            used.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100.0)
            memory.append(pynvml.nvmlDeviceGetMemoryInfo(handle).used)

    watcher = threading.Thread(target=watch, name="fleetlabel-gpu", daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        found["use"] = statistics.fmean(used[1:] or used)
        found["peak_bytes"] = max(memory)
        pynvml.nvmlShutdown()


def _cpu_name() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
