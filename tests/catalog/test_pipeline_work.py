"""Operations do what the command line does, and nothing outside the roots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetlabel.engine.catalog import Catalog, Operation, State
from fleetlabel.engine.fleet.catalogue import Query
from fleetlabel.engine.serving import DataRoots, Operations, list_sequences, pipeline_work
from fleetlabel.model.errors import FleetLabelError, OutsideRootsError, StoreNotFoundError, UsageError
from fleetlabel.store import SequenceStore, describe

Do = Callable[..., Operation]


@pytest.fixture
def operations(root: Path, tmp_path: Path) -> Iterator[Operations]:
    works = pipeline_work(DataRoots([root]), workers=1)
    with Catalog(str(tmp_path / "catalog.sqlite")) as catalog, Operations(catalog, works) as running:
        yield running


@pytest.fixture
def do(operations: Operations) -> Do:
    def call(kind: str, **request: Any) -> Operation:
        return operations.wait(operations.start("ann", kind, request).id, 120)

    return call


@pytest.mark.slow
def test_stage_by_stage_and_all_at_once_make_the_same_labels(
    do: Do, root: Path, fleetlabel: Callable[..., tuple[int, str, str]]
) -> None:
    detect = {"model": "bright.onnx", "detect": {"conf": 0.1}}
    assert fleetlabel(
        "run", root / "drive", "--out", root / "cli.zarr", "--model", root / "bright.onnx", "--conf", 0.1,
        "--workers", 1,
    )[0] == 0  # fmt: skip
    whole = do("run", source="drive", store="whole", config=detect)
    stages = [
        do("ingest", source="drive", store="staged"),
        do("prelabel", store="staged", config=detect),
        do("lift", store="staged"),
        do("track", store="staged"),
    ]
    assert {one.state for one in (whole, *stages)} == {State.SUCCEEDED}, [
        one.error for one in (whole, *stages)
    ]
    by_hand = SequenceStore.open(root / "cli.zarr")
    version, content_hash = by_hand.latest_labels().name, describe(by_hand).content_hash
    for one in (whole, stages[-1]):
        assert one.result is not None
        assert (one.result["labels"], one.result["content_hash"]) == (version, content_hash)
    again = do("ingest", source="drive", store="whole")
    assert (again.state, again.error_kind) == (State.FAILED, "StoreExistsError")
    resumed = do("run", source="drive", store="whole", existing="resume", config=detect)
    assert resumed.result is not None and whole.result is not None
    assert resumed.result["content_hash"] == whole.result["content_hash"]
    fresh = do("run", source="drive", store="whole", existing="overwrite", config=detect)
    assert fresh.result is not None and fresh.result["content_hash"] == whole.result["content_hash"]


@pytest.mark.slow
def test_a_fleet_is_one_operation_and_its_sequences_are_listed(do: Do, root: Path) -> None:
    config = {"model": "bright.onnx", "detect": {"conf": 0.1}, "chunk_frames": 8}
    done = do("fleet", sources=["drive"], out="fleet", config=config)
    assert done.state is State.SUCCEEDED, done.error
    assert done.result is not None and done.result["done"] == 1
    roots = DataRoots([root])
    for parent in (None, "fleet"):
        (found,) = list_sequences(roots, Query(), parent=parent).found
        assert found.entry.labels is not None
    with pytest.raises(OutsideRootsError):
        list_sequences(roots, Query(), parent="..")


@pytest.mark.parametrize(
    ("kind", "request_", "error", "message"),
    [
        ("ingest", {"source": "../drive", "store": "a"}, OutsideRootsError, "may touch"),
        ("ingest", {"source": "drive", "store": "../a"}, OutsideRootsError, "may touch"),
        ("ingest", {"source": "drive", "store": "/tmp/a.zarr"}, OutsideRootsError, "may touch"),
        ("ingest", {"source": "drive", "store": "s3://bucket/a.zarr"}, OutsideRootsError, "may touch"),
        (
            "run",
            {"source": "drive", "store": "a", "config": {"model": "/etc/passwd"}},
            OutsideRootsError,
            "touch",
        ),
        ("run", {"source": "drive", "store": "a", "config": {"out": "b"}}, UsageError, "cannot set out"),
        (
            "run",
            {"source": "drive", "store": "a", "config": {"workers": 99}},
            UsageError,
            "cannot set workers",
        ),
        ("run", {"source": "drive", "store": "a", "config": {"fleet": {}}}, UsageError, "cannot set fleet"),
        (
            "run",
            {"source": "drive", "store": "a", "config": {"detect": {"trust_pickle": True}}},
            UsageError,
            "may run code",
        ),
        (
            "run",
            {"source": "drive", "store": "a", "config": {"detect.trust_pickle": True}},
            UsageError,
            "unknown",
        ),
        ("run", {"source": "drive", "store": "a", "config": {"chunk_frames": 0}}, UsageError, "chunk_frames"),
        ("run", {"source": "drive", "store": "a", "existing": "maybe"}, UsageError, "`existing` is 'maybe'"),
        ("run", {"source": "drive", "store": "a", "extra": 1}, UsageError, "unknown `extra`"),
        ("run", {"source": 5, "store": "a"}, UsageError, "`source` holds 5"),
        ("run", {"store": "a"}, UsageError, "lacks `source`"),
        ("track", {"store": "nothing"}, StoreNotFoundError, "no sequence 'nothing'"),
        ("fleet", {"sources": ["/etc"], "out": "f"}, OutsideRootsError, "may touch"),
        ("fleet", {"sources": ["bright.onnx"], "out": "f"}, UsageError, "no folder"),
        ("fleet", {"sources": "drive", "out": "f"}, UsageError, "has to list"),
    ],
)
def test_what_a_client_may_not_ask_is_refused_before_it_begins(
    operations: Operations, kind: str, request_: dict[str, Any], error: type[FleetLabelError], message: str
) -> None:
    with pytest.raises(error, match=message):
        operations.start("ann", kind, request_)
    assert operations.list().operations == ()


def test_pages_of_sequences_hold_each_once_and_no_link_to_elsewhere(
    do: Do, root: Path, tmp_path: Path
) -> None:
    for name in "abcde":
        assert do("ingest", source="drive", store=name).state is State.SUCCEEDED
    (root / "e.zarr").rename(tmp_path / "elsewhere.zarr")
    (root / "e.zarr").symlink_to(tmp_path / "elsewhere.zarr")
    roots = DataRoots([root])
    seen, page_token = [], ""
    while True:
        page = list_sequences(roots, Query(), page_size=1, page_token=page_token)
        seen += [one.store.name for one in page.found]
        page_token = page.next_page_token
        if not page_token:
            break
    assert seen == ["a.zarr", "b.zarr", "c.zarr", "d.zarr"]
    assert len(list_sequences(roots, Query(name="b")).found) == 1
    for bad in ("x", "W10=", "[1,2]", "\udcff"):
        with pytest.raises(UsageError, match="no page token"):
            list_sequences(roots, Query(), page_token=bad)
