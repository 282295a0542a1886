"""Many people on the same tracks at once, on lines that break."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from client.annotators import Annotator, check_journal
from client.flaky import flaky_line
from client.test_labels import assert_same_boxes
from fleetlabel.client import Engine
from fleetlabel.labels import Labels
from fleetlabel.labels.edits import Escalate
from fleetlabel.store import SequenceStore
from labels.scenes import make_store, open_labels
from rpc.servers import Served

_PEOPLE, _COMMITS = 20, 15


@pytest.mark.slow
def test_twenty_people_lose_nothing_and_overwrite_nothing_unseen(
    served: Served, store: SequenceStore
) -> None:
    people = [Annotator(f"person{number}", number) for number in range(_PEOPLE)]
    tokens = {person.name: served.token(person.name, "annotator") for person in people}
    with flaky_line(served.addresses.port, cut_after=6_000) as line:

        def work(person: Annotator) -> None:
            address = f"127.0.0.1:{line.port}"
            with Engine(address, token=tokens[person.name], patience_s=5.0) as engine:
                person.work(engine, lambda: len(person.saved) < _COMMITS)

        with ThreadPoolExecutor(_PEOPLE) as threads:
            for done in [threads.submit(work, person) for person in people]:
                done.result()
        assert line.cuts > _PEOPLE
    assert sum(person.conflicts for person in people) > _PEOPLE
    assert all(len(person.saved) == _COMMITS for person in people)
    check_journal(open_labels(store.root), people)


def test_a_long_read_survives_a_line_that_breaks(served: Served, store: SequenceStore) -> None:
    """What comes is what there is, once, however often the stream had to be begun again."""
    long = make_store(store.root.parent / "long.zarr", n_frames=600, n_tracks=40)
    token = served.token("ann", "annotator")
    with (
        flaky_line(served.addresses.port, seed=3, cut_after=800_000) as line,
        Engine(f"127.0.0.1:{line.port}", token=token) as engine,
    ):
        labels = engine.sequence("long").labels
        for number in range(30):
            labels.commit([Escalate(object_id=1, text=f"{number} " + "x" * 9_000)], base=labels.now())
        found, news = labels.now().boxes3d(), labels.watch(after=0)
        seen: list[int] = []
        while not seen or seen[-1] < 30:
            seen += [record.sequence for record in next(news).records]
        news.close()
        assert line.cuts
    assert seen == list(range(1, 31))
    assert_same_boxes(found, Labels.open(long).now.boxes3d())
