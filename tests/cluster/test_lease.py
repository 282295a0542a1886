"""One driver at a time, on file systems that cannot lock; a dead one is found out."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetlabel.model.errors import StoreError
from fleetlabel.store import lease as leases
from fleetlabel.store.lease import Lease, is_driven, newest_lease


def test_a_second_driver_is_told_who_the_first_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.1)
    with Lease(tmp_path):
        assert is_driven(tmp_path)
        with pytest.raises(StoreError, match=f"is being driven by process {os.getpid()}"), Lease(tmp_path):
            pass
    assert is_driven(tmp_path) is None
    with Lease(tmp_path) as lease:
        assert lease.token == "lease-000002.json"
        assert [path.name for path in tmp_path.iterdir()] == [lease.token]


HOLDER = """
import sys, time
from pathlib import Path
from fleetlabel.store.lease import Lease
with Lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_driver_that_was_killed_is_replaced_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StoreError, match=f"process {holder.pid}"), Lease(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    begun = time.monotonic()
    with Lease(tmp_path):
        assert time.monotonic() - begun < 5


def test_a_driver_of_another_host_is_given_up_when_nothing_is_heard_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.1)
    monkeypatch.setattr(leases, "EXPIRY_S", 0.5)
    (tmp_path / "lease-000007.json").write_text(
        '{"host": "elsewhere", "pid": 5, "started": "another boot", "beat": 3, "released": false}'
    )
    with Lease(tmp_path) as lease:
        assert lease.token == "lease-000008.json"


def test_whoever_was_taken_over_notices_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.05)
    with Lease(tmp_path) as lease:
        lease.check()
        taken = tmp_path / "lease-000002.json"
        taken.write_text('{"host": "elsewhere", "pid": 5, "started": "", "beat": 0, "released": false}')
        time.sleep(0.5)
        with pytest.raises(StoreError, match="taken over by process 5 on elsewhere"):
            lease.check()
    assert newest_lease(tmp_path)[0] == 2


def _try(folder: Path, barrier: object, won: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    try:
        with Lease(folder):
            won.put(os.getpid())  # type: ignore[attr-defined]
            time.sleep(3)
    except StoreError:
        pass


def test_of_many_that_try_at_once_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_S", 0.1)
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(4), context.Queue()
    rivals = [context.Process(target=_try, args=(tmp_path, barrier, won)) for _ in range(4)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(30)
    assert won.qsize() == 1
