"""A task in a process of its own, so that one which kills its process takes no worker, and no other task, with it."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from fleetlabel.engine.pipeline.faults import Fault, Trouble
from fleetlabel.engine.pipeline.tasks import TaskResult, perform


def perform_isolated(work: Callable[[], TaskResult], attempt: int = 1) -> TaskResult | Fault:
    """Like :func:`perform`; if the process dies, the fault says of what."""
    with TemporaryDirectory(prefix="fleetlabel-") as folder:
        task, result = Path(folder, "task"), Path(folder, "result")
        task.write_bytes(pickle.dumps((work, attempt)))
        ended = subprocess.run(
            [sys.executable, "-m", __name__, str(task), str(result)],
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # what is importable here
            capture_output=True,
            check=False,
        )
        if ended.returncode == 0 and result.exists():
            told: TaskResult | Fault = pickle.loads(result.read_bytes())
            return told
    if ended.returncode < 0:
        how = f"was killed by {signal.Signals(-ended.returncode).name}"
    else:
        last = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        how = f"ended with code {ended.returncode}" + "".join(f" ({line})" for line in last)
    return Fault(Trouble.KILLED, f"kills its worker: several died of it, and a process of its own {how}")


def _main() -> None:
    task, result = map(Path, sys.argv[1:])
    work, attempt = pickle.loads(task.read_bytes())
    outcome = perform(work, attempt)
    scratch = result.with_suffix(".part")
    scratch.write_bytes(pickle.dumps(outcome))
    scratch.rename(result)
    os._exit(0)  # what libraries do while Python ends is of no concern: the result is there


if __name__ == "__main__":
    _main()
