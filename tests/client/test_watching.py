"""Watching the head: every record, in order, whoever saved it, and watchers that come and go."""

from __future__ import annotations

import itertools
import threading
import urllib.request

import pytest

from client.conftest import Connect
from client.test_labels import pose
from fleetlabel.client import DeadlineError, RemoteLabels, RequestError
from fleetlabel.labels import edits as e
from fleetlabel.model.errors import UnknownTokenError
from fleetlabel.store import SequenceStore
from labels.scenes import open_labels
from rpc.servers import Served


def test_records_come_as_they_are_saved(connect: Connect) -> None:
    ann, bob = (connect(name).sequence("drive").labels for name in ("ann", "bob"))
    ann.commit([pose(1, 3)], base=ann.now())
    news = bob.watch()
    told = next(news)
    assert (told.state.record, told.records, told.watchers) == (1, [], ("bob",))
    for frame in range(3):
        made = ann.commit([pose(1, frame)], base=ann.now())
        told = next(news)
        assert told.records == [made.record] and told.state.record == frame + 2
    news.close()


def test_a_watcher_that_comes_later_gets_all_in_few_messages(labels: RemoteLabels) -> None:
    for number in range(300):
        labels.commit([e.Escalate(object_id=1, text=f"{number} " + "x" * 100)], base=labels.now())
    got, messages = [], 0
    for state, records, *_ in labels.watch(after=0):
        got += [record.sequence for record in records]
        messages += 1
        assert state.record == got[-1]
        if state.record == 300:
            break
    assert got == list(range(1, 301)) and messages <= 3
    with pytest.raises(RequestError, match="after_record"):
        next(labels.watch(after=301))


def test_what_another_process_saves_is_seen(labels: RemoteLabels, store: SequenceStore) -> None:
    news = labels.watch()
    next(news)
    elsewhere = open_labels(store.root)
    made = elsewhere.commit([pose(2, 5)], author="the app")
    assert next(news).records == [made.record]
    assert labels.now().state.record == 1
    news.close()


def test_watchers_are_told_of_one_another(connect: Connect) -> None:
    ann, bob = connect("ann"), connect("bob")
    hers = ann.sequence("drive").labels.watch()
    assert next(hers).watchers == ("ann",)
    his = [bob.sequence("drive").labels.watch() for _ in range(2)]  # in two windows he is still one person
    assert {next(news).watchers for news in his} == {("ann", "bob")}
    assert next(hers) == (ann.sequence("drive").labels.now().state, [], ("ann", "bob"), "ann")
    his[0].close()
    made = ann.sequence("drive").labels.commit([pose(1, 3)], base=ann.sequence("drive").labels.now())
    assert next(hers)[1:3] == ([made.record], ("ann", "bob"))
    his[1].close()
    assert next(hers)[1:3] == ([], ("ann",))
    hers.close()


def test_a_token_that_is_revoked_ends_its_streams(
    connect: Connect, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetlabel.engine.rpc.access._TRUSTED_S", -1.0)
    ann, eve = connect("ann").sequence("drive").labels, connect("eve").sequence("drive").labels
    news = eve.watch()
    next(news)
    served.engine.catalog.tokens.revoke("eve")
    ann.commit([pose(1, 3)], base=ann.now())
    with pytest.raises(UnknownTokenError):
        next(news)


def test_a_watch_ends_at_its_deadline(labels: RemoteLabels) -> None:
    news = labels.watch(timeout_s=0.5)
    next(news)
    with pytest.raises(DeadlineError):
        next(news)


def test_watchers_that_vanish_or_sleep_hold_up_nobody(connect: Connect, served: Served) -> None:
    ann = connect("ann").sequence("drive").labels
    asleep = connect("bob").sequence("drive").labels.watch(after=0)
    next(asleep)
    gone = [connect(f"eve{number}") for number in range(20)]
    for engine in gone:
        next(engine.sequence("drive").labels.watch())
    for engine in gone:
        engine.close()
    for number in range(100):
        ann.commit([e.Escalate(object_id=1, text=f"{number} " + "x" * 9_000)], base=ann.now())
    assert ann.now().state.record == 100
    while _open_watches(served) > 1:
        threading.Event().wait(0.05)
    seen = (record.sequence for news in asleep for record in news.records)
    assert list(itertools.islice(seen, 100)) == list(range(1, 101))
    asleep.close()
    while _open_watches(served) > 0:
        threading.Event().wait(0.05)


def _open_watches(served: Served) -> int:
    url = f"http://127.0.0.1:{served.addresses.metrics_port}/metrics"
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    name = 'fleetlabel_open_calls{method="/fleetlabel.v1.LabelService/WatchHead"}'
    return int(float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name))))
