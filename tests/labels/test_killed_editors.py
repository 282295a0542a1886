"""Editors that are killed while others edit: what was acknowledged is there, nothing is there twice."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import numpy as np
import pytest

from fleetlabel.labels import Labels
from fleetlabel.labels.edits import SetKeyframe3D
from fleetlabel.store import SequenceStore, verify
from fleetlabel.store.hierarchy import JOURNAL
from labels.editors import edit_until_killed
from labels.scenes import copied_store, open_labels

# `make soak` sets it to 200.
KILLS = int(os.environ.get("FLEETLABEL_SOAK_KILLS", "10"))
EDITORS = 3
LONGEST_S = 0.25


def kill_editors(
    root: Path, processes: ForkServerContext, kills: int, seed: int
) -> tuple[dict[str, int], set[str]]:
    """Lets editors edit and kills one at a random moment, again and again: what was acknowledged, what was asked."""
    rng = np.random.default_rng(seed)
    saved: dict[str, int] = {}
    asked: set[str] = set()

    def hear(pipe: Connection) -> None:
        while pipe.poll():
            try:
                what, request, sequence = pipe.recv()
            except (EOFError, OSError):
                return
            asked.add(request)
            if what == "saved":
                saved[request] = sequence

    def begin(number: int) -> tuple[ForkServerProcess, Connection]:
        mine, theirs = processes.Pipe(duplex=False)
        process = processes.Process(
            target=edit_until_killed, args=(root, f"editor{number % EDITORS}", number, theirs), daemon=True
        )
        process.start()
        theirs.close()
        assert mine.recv()[0] == "ready"
        return process, mine

    running = [begin(number) for number in range(EDITORS)]
    for number in range(EDITORS, EDITORS + kills):
        time.sleep(float(rng.uniform(0.0, LONGEST_S)))
        process, pipe = running.pop(0)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        hear(pipe)
        for _, other in running:
            hear(other)
        running.append(begin(number))
    for process, pipe in running:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        hear(pipe)
    return saved, asked


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_is_there_once_and_the_chain_is_whole(
    tmp_path: Path, processes: ForkServerContext
) -> None:
    root = copied_store(tmp_path / "drive.zarr").root
    saved, asked = kill_editors(root, processes, KILLS, seed=1)
    labels = open_labels(root)
    found = {record.request_id: record.sequence for record in labels.history.records}
    assert len(found) == labels.sequence > KILLS  # none twice
    assert saved.items() <= found.items()  # every acknowledged one, where it was said to be
    assert found.keys() <= asked  # and nothing that nobody asked for
    born = [r.edits[0].object_id for r in labels.history.records if len(r.edits) == 2]
    assert len(set(born)) == len(born)
    assert verify(labels.store) == []
    labels.commit(labels.history.records[0].edits[-1:], author="eve")  # the next one can go on
    assert open_labels(root).now.state == labels.now.state


def test_a_torn_record_is_not_there_and_the_next_edit_takes_its_place(labels: Labels) -> None:
    for x in (1.0, 2.0):
        labels.commit(_keyframe(x), author="ann", request_id=f"r{x}")
    path = labels.store.root / JOURNAL
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    again = Labels.open(SequenceStore.open(labels.store.root))
    assert (again.sequence, again.now[1].poses[5].center_m[0]) == (1, 1.0)
    assert not again.commit(_keyframe(2.0), author="ann", request_id="r2.0").repeated
    assert path.stat().st_size >= len(whole) - 8
    assert open_labels(labels.store.root).now[1].poses[5].center_m[0] == 2.0


def _keyframe(x: float) -> list[SetKeyframe3D]:
    return [SetKeyframe3D(object_id=1, frame=5, center_m=(x, 0.0, 0.5), yaw_rad=0.0)]
