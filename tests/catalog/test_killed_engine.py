"""Engines that are killed while an operation runs: the next one goes on, and the same comes out."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from catalog.engines import run_until_killed
from fleetlabel.engine.catalog import Catalog, Operation, State
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.engine.pipeline.run import run
from fleetlabel.store import SequenceStore, verify

# `make soak` sets it to 200.
KILLS = int(os.environ.get("FLEETLABEL_SOAK_KILLS", "6"))


def request_for(store: str) -> dict[str, object]:
    config = {"model": "bright.onnx", "chunk_frames": 1, "labels": "auto", "detect": {"conf": 0.1}}
    return {"source": "drive", "store": store, "config": config}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_killed_engine_goes_on_with_the_same_operation_to_the_same_labels(
    catalog_url: str, root: Path, processes: ForkServerContext
) -> None:
    flags = {"model": root / "bright.onnx", "chunk_frames": 1, "labels": "auto", "detect.conf": 0.1}
    begun_s = time.monotonic()
    expected = run(
        root / "drive", load_config(None, {**flags, "out": root / "undisturbed.zarr", "workers": 1})
    )
    longest_s = time.monotonic() - begun_s
    rng = np.random.default_rng(5)
    killed = round_number = 0
    while killed < KILLS:
        # A new operation as soon as the one before is over: small drives do not live through many kills.
        store = f"drive{round_number}"
        ids: set[str] = set()
        final: Operation | None = None
        while final is None:
            process, pipe = begin(catalog_url, root, processes)
            pipe.send(("run", request_for(store)))
            first = pipe.recv()
            ids.add(first.id)
            kills = killed < KILLS
            if kills:
                time.sleep(float(rng.uniform(0.0, longest_s)))
                os.kill(process.pid or 0, signal.SIGKILL)
            final = last_of(pipe, first)
            if not kills:
                pipe.send("end")
            elif final is None:
                killed += 1
            else:  # too late
                longest_s *= 0.7
            process.join()
        assert len(ids) == 1
        assert (final.state, final.error) == (State.SUCCEEDED, None)
        assert final.result is not None and final.result["content_hash"] == expected.content_hash
        assert verify(SequenceStore.open(root / f"{store}.zarr")) == []
        with Catalog(catalog_url) as catalog:
            found = [one for one in catalog.operations.list().operations if one.id == first.id]
            assert [one.state for one in found] == [State.SUCCEEDED]
            # The next one may use its request id again.
            catalog.operations.forget(time.time_ns() + 1)
        round_number += 1


def begin(url: str, root: Path, processes: ForkServerContext) -> tuple[ForkServerProcess, Connection]:
    mine, theirs = processes.Pipe()
    process = processes.Process(target=run_until_killed, args=(url, root, theirs), daemon=True)
    process.start()
    theirs.close()
    assert mine.recv() == "ready"
    return process, mine


def last_of(pipe: Connection, first: Operation) -> Operation | None:
    """The operation once it is over; None if its engine was killed before it said so."""
    change = first
    while not change.state.is_final:
        try:
            change = pipe.recv()
        except (EOFError, ConnectionError):
            return None
    return change
