"""Workers of Dask, as processes of this machine: deaths, poison, wrong addresses, and the same labels as ever."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cluster.fleets import Fleet, hashes
from cluster.machines import SmallCluster
from cluster.tasks_for_workers import deadly, harmless
from detect.small_models import square_finder
from fleetlabel.engine.cluster import Connection, DaskWorkers, connect, start_local
from fleetlabel.engine.cluster.inspection import versions
from fleetlabel.engine.cluster.opening import undisturbed
from fleetlabel.engine.detect.backend import BackendSpec
from fleetlabel.engine.fleet.run import FleetOutcome
from fleetlabel.engine.fleet.status import look
from fleetlabel.engine.fleet.workplace import find_workers, gpus_for
from fleetlabel.engine.pipeline.config import load_config
from fleetlabel.engine.pipeline.driver import drive
from fleetlabel.engine.pipeline.schedule import End, Limits, Schedule
from fleetlabel.model.errors import ClusterError, UsageError

RunFleet = Callable[..., FleetOutcome]

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def local() -> Iterator[Connection]:
    """Two workers of this machine, each a process with a nanny that replaces it."""
    with ExitStack() as stack:
        yield start_local(2, stack)


@pytest.mark.slow
def test_what_kills_its_worker_is_found_out_and_what_stood_beside_it_is_cleared(
    local: Connection, tmp_path: Path
) -> None:
    fleet = {
        f"drive{number}": [harmless(tmp_path, 100 * number + k) for k in range(8)] for number in range(3)
    }
    fleet["poisoned"] = [deadly(tmp_path), harmless(tmp_path, 999)]
    ends: dict[str, End] = {}
    schedule = Schedule(fleet.items(), Limits(in_flight=4, open_sequences=4, abreast=4))
    drive(
        schedule,
        DaskWorkers(local),
        on_finished=lambda name, done: None,
        on_end=lambda end: ends.update({end.sequence: end}),
    )
    assert set(ends) == set(fleet)
    assert [name for name, end in ends.items() if end.fault] == ["poisoned"]
    fault = ends["poisoned"].fault
    assert fault is not None
    assert "SIGKILL" in fault.reason
    assert len((tmp_path / "deadly").read_text().splitlines()) == 3, "tried twice on workers, once alone"


def test_ctrl_c_waits_until_dask_is_open_and_can_be_closed() -> None:
    opened = []

    def open_something() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        opened.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    with pytest.raises(KeyboardInterrupt):
        undisturbed(open_something)
    assert opened == [True]


@pytest.mark.slow
def test_workers_do_not_see_ctrl_c(local: Connection) -> None:
    blocked = local.client.run(signal.pthread_sigmask, signal.SIG_BLOCK, [])
    assert [signal.SIGINT in of_worker for of_worker in blocked.values()] == [True, True]


@pytest.mark.slow
def test_processes_give_the_labels_that_threads_give(
    run: RunFleet, local: Connection, small_fleet: Fleet, expected: dict[str, str], tmp_path: Path
) -> None:
    run(small_fleet, cluster=local.client.cluster, chunk_frames=2)
    assert hashes(tmp_path / "out") == expected


def test_a_wrong_address_is_told(
    run: RunFleet, small_fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[connect.__module__], "REFUSED_S", 0.3)
    for address, said in (
        (
            "tcp://127.0.0.1:9",
            r"answers at tcp://127.0.0.1:9 \(Connection refused\); start one with `dask scheduler`",
        ),
        ("nobody.invalid:8786", r"answers at tcp://nobody.invalid:8786 \(.*(not known|resolution)"),
        ("tcp://127.0.0.1", "answers at tcp://127.0.0.1 .*port"),
    ):
        with pytest.raises(ClusterError, match=f"no Dask scheduler {said}"):
            run(small_fleet, fleet__cluster=address, existing="resume")
        seen = look(tmp_path / "out")
        assert (seen.state, "no Dask scheduler" in seen.news["reason"]) == ("failed", True)
    with pytest.raises(UsageError, match="neither an address"):
        run(small_fleet, fleet__cluster="nowhere.json", existing="resume")
    (tmp_path / "scheduler.json").write_text("{}")
    with pytest.raises(UsageError, match="is no scheduler file"):
        run(small_fleet, fleet__cluster=str(tmp_path / "scheduler.json"), existing="resume")
    with pytest.raises(UsageError, match="exclude each other"):
        run(small_fleet, fleet__cluster="tcp://127.0.0.1:9", fleet__threads=True, existing="resume")


@pytest.mark.slow
def test_something_else_that_listens_is_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[connect.__module__], "CONNECT_S", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        port = server.getsockname()[1]
        with pytest.raises(ClusterError, match="does not answer as a Dask scheduler does"):
            connect(f"127.0.0.1:{port}", stack)


@pytest.mark.slow
def test_what_no_worker_has_is_told_before_anything_starts(
    run: RunFleet, local: Connection, small_fleet: Fleet, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match=r"detection needs GPU=1, which none of the 2 workers has"):
        run(small_fleet, cluster=local.client, fleet__detect_needs={"GPU": 1})
    assert not list((tmp_path / "out").glob("*.zarr"))


@pytest.mark.slow
def test_workers_of_another_version_or_without_the_files_are_refused(
    run: RunFleet, local: Connection, small_fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = sys.modules[Connection.__module__]
    with monkeypatch.context() as patch:
        here = versions()
        for name, found in (("fleetlabel", "worker .*has fleetlabel"), ("distributed", "scheduler .*has")):
            patch.setattr(module, "versions", lambda name=name: here | {name: "99.0"})
            with pytest.raises(ClusterError, match=rf"{found} .*\(here 99.0\); install the same everywhere"):
                run(small_fleet, cluster=local.client, existing="resume")
    with pytest.raises(ClusterError, match="does not see /nowhere"):
        local.check_workers(Path("/"), "tmp", [Path("/nowhere")])


@pytest.mark.slow
def test_each_gpu_has_a_worker_and_others_do_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    settings = {"model": square_finder(tmp_path / "squares.onnx"), "workers": 1}
    assert gpus_for(load_config(None, settings)) == [], "ONNX Runtime without CUDA detects on cores"
    cuda = (BackendSpec("onnxruntime", "cuda", "fp32"),)
    monkeypatch.setattr("fleetlabel.engine.fleet.workplace.possible_specs", lambda weights, config: cuda)
    with monkeypatch.context() as patch:
        patch.setattr("fleetlabel.engine.fleet.workplace.workers_per_gpu", lambda specs: 3)
        shared = {
            workers: gpus_for(load_config(None, settings | {"workers": workers})) for workers in (1, 5, 16)
        }
    assert shared == {1: ["3", "5"], 5: ["3", "3", "5", "5"], 16: ["3", "3", "3", "5", "5", "5"]}
    with ExitStack() as stack:
        place = find_workers(load_config(None, settings), None, stack)
        assert place.needs == {"GPU": 1}
        assert (place.slots, place.slots_of("detect")) == (2, 2)
    with ExitStack() as stack:
        connection = start_local(3, stack, gpus=["3", "5"])
        assert connection.slots({"GPU": 1}) == 2
        seen = connection.client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert sorted(seen.values()) == ["", "3", "5"]


@pytest.mark.slow
def test_a_scheduler_without_workers_is_told(run: RunFleet, small_fleet: Fleet, tmp_path: Path) -> None:
    complaint = pytest.raises(ClusterError, match="has no workers, and none came in 0.5 s")
    with SmallCluster(tmp_path) as cluster, complaint:
        run(small_fleet, fleet__cluster=cluster.address, fleet__wait_for_workers_s=0.5)
