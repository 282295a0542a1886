"""The report says what is in a store, to people, and nothing that was written into a store can speak through it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.model.boxes import Boxes2D
from fleetlabel.model.errors import StoreNotFoundError
from fleetlabel.store import SampleStatus, SequenceStore
from fleetlabel.viewers.report import render_report, write_report
from fleetlabel.viewers.report_facts import class_facts
from fleetlabel.viewers.report_pictures import spread
from viewers.synthetic_drive import CLASS_NAMES, START_NS, STEP_NS, Drive, camera_model, cuboids

MakeStore = Callable[[Drive], SequenceStore]
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp; {{ 7 * 7 }}"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a page holds: its text, tags and pictures; complains where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = io.StringIO()
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.write(data)

    @property
    def text(self) -> str:
        """All words, blanks as one."""
        return " ".join(self.words.getvalue().split())

    @property
    def pictures(self) -> list[np.ndarray]:
        """All pictures, decoded."""
        sources = [attrs["src"] for tag, attrs in self.tags if tag == "img"]
        assert all(source is not None and source.startswith("data:image/jpeg;base64,") for source in sources)
        return [simplejpeg.decode_jpeg(base64.b64decode(str(source).split(",")[1])) for source in sources]


def boxes_in(frames: list[int], track_id: list[int]) -> Boxes2D:
    return Boxes2D(
        class_names=CLASS_NAMES,
        frame=np.array(frames),
        timestamp_ns=START_NS + STEP_NS * np.array(frames),
        class_id=np.zeros(len(frames)),
        track_id=np.array(track_id),
        xyxy_px=np.tile([100.0, 60, 200, 120], (len(frames), 1)),
    )


def accuracy_of(**car: Any) -> dict[str, Any]:
    near = {"class": "car", "range_m": [0.0, 40.0], "truth": 1234, "recall": 0.75, **car}
    rare = {"class": "bicycle", "range_m": [0.0, 40.0], "truth": 3, "recall": None}
    far = {"class": "car", "range_m": [40.0, None], "truth": 60, "recall": 0.25}
    return {
        "ground_truth": "ground_truth",
        "statement": ["Counted are objects that a sensor could see."],
        "sections": {"3D": [near, far, rare], "2D": [], "lift": []},
    }


def a_ledger() -> dict[str, Any]:
    line = {"stage": "detect", "frames": 24, "boxes": 1186, "task_s": 11.1, "cpu_s": 10.0}
    return {
        "sequence": "synthetic", "frames": 4, "wall_s": 2.0, "workers": 2,
        "stages": [{**line, "ms_per_frame": 77.3, "share": 1.0}],
        "machine": {"cpu_count": 2, "platform": "Linux", "python": "3.11"},
        "warnings": ["the left mirror is loose"],
    }  # fmt: skip


def test_a_page_tells_what_was_done_how_right_it_is_and_what_it_took(store_of: MakeStore) -> None:
    store = store_of(
        Drive(
            n_frames=20,
            boxes2d={"front": boxes_in([0, 5, 9], [0, 0, 7])},
            boxes3d=cuboids([0, 5, 9], [(14, 1, 0.75)] * 3, track_id=np.array([0, 0, 1])),
        )
    )
    truth = cuboids([0], [(14, 1, 0.75)])
    store.write_labels("ground_truth", {}, truth, class_names=CLASS_NAMES, provenance={})
    text = render_report(store, "machine", "ground_truth", accuracy_of(ap_2m=0.6251), a_ledger())
    page = Page(text)
    assert len(page.pictures) == 4 * 6 + 6
    for expected in (
        "synthetic", "20 frames over 1.9 s", "10 m driven", "machine", "ground_truth",
        "Counted are objects that a sensor could see.", "1,234", "0.63", "0.75", "bicycle *", "all",
        "detect", "77.3", "2.0 frames/s", "320 x 180 px, pinhole", "14,400 points a sweep", "10.0 Hz",
        "the left mirror is loose", "Nothing: every sample that the drive has could be read.",
    ):  # fmt: skip
        assert expected in page.text.replace("2.0frames/s", "2.0 frames/s"), expected
    assert "car3133" in re.sub(r"\s", "", page.text), "objects, of the truth, cuboids, boxes in pictures"


def test_a_page_needs_nothing_but_itself(store_of: MakeStore) -> None:
    page = Page(render_report(store_of(Drive(cameras=("front",))), "machine", None, None, None))
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not {"script", "link", "iframe", "object", "video"} & {tag for tag, _ in page.tags}
    links = [attrs["href"] for tag, attrs in page.tags if "href" in attrs]
    assert all(str(link).startswith("#") for link in links)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_what_a_store_says_stays_text(store_of: MakeStore) -> None:
    name = HOSTILE.replace("/", "")
    store = store_of(Drive(name=HOSTILE, cameras=("front", name), labels=False))
    hostile = cuboids([0], [(14, 1, 0.75)]).with_class_names(CLASS_NAMES)
    store.write_labels(name, {}, hostile, class_names=(*CLASS_NAMES, HOSTILE), provenance={})
    accuracy = accuracy_of() | {"statement": [HOSTILE], "ground_truth": HOSTILE}
    text = render_report(store, name, None, accuracy, a_ledger() | {"warnings": [HOSTILE]})
    page = Page(text)
    assert not {"script"} & {tag for tag, _ in page.tags}
    assert not any("onerror" in attrs for _, attrs in page.tags)
    assert page.text.count("alert(1)") >= 5
    assert "{{ 7 * 7 }}" in page.text, "no template in it is run"


def test_without_truth_or_ledger_the_page_says_so(store_of: MakeStore) -> None:
    text = Page(render_report(store_of(Drive(cameras=())), "machine", None, None, None)).text
    assert "no ground truth, so nothing here says how right the labels are" in text
    assert "No ledger of a run lies beside this store" in text
    assert "These labels hold no box." in text
    store = store_of(Drive(cameras=(), labels=False))
    store.write_labels("ground_truth", {}, cuboids([0], [(9, 0, 1)]), class_names=CLASS_NAMES, provenance={})
    text = Page(render_report(store, "ground_truth", None, None, a_ledger() | {"stages": []})).text
    assert "the labels that came with the drive" in text
    assert "The last run found everything committed already." in text


def test_what_could_not_be_used_is_listed_with_its_reason(store_of: MakeStore) -> None:
    status = {("front", 1): SampleStatus.QUARANTINED, ("back", 2): SampleStatus.MISSING}
    drive = Drive(cameras=("front", "back"), status=status)
    page = Page(render_report(store_of(drive), "machine", None, None, None))
    assert "1 sample could not be used" in page.text
    assert "front/01.jpg ends after 12 bytes" in page.text
    many = {("front", frame): SampleStatus.QUARANTINED for frame in range(50)}
    drive = Drive(n_frames=50, cameras=("front",), status=many)
    page = Page(render_report(store_of(drive), "machine", None, None, None))
    assert "and 10 more" in page.text


@pytest.mark.parametrize(
    "drive", [Drive(lidar=False), Drive(cameras=()), Drive(n_frames=1), Drive(cameras=("front",))]
)
def test_any_set_of_sensors_has_a_page(store_of: MakeStore, drive: Drive) -> None:
    page = Page(render_report(store_of(drive), "machine", None, None, None))
    n_moments = min(4, drive.n_frames) * len(drive.cameras)
    assert len(page.pictures) == n_moments + min(6, drive.n_frames) * drive.lidar


def test_unknown_labels_are_refused(store_of: MakeStore, tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="it has \\['machine'\\]"):
        write_report(tmp_path / "page.html", store_of(Drive()), "by hand", None, None, None)
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.slow
def test_a_page_of_many_noisy_cameras_stays_small(store_of: MakeStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    noise = np.clip(np.kron(coarse, np.ones((6, 6, 1))) + rng.normal(0, 12, (720, 960, 3)), 0, 255)
    jpeg = simplejpeg.encode_jpeg(noise.astype(np.uint8), quality=92)
    names = tuple(f"camera{number}" for number in range(12))
    models = {name: camera_model(width_px=960, height_px=720) for name in names}
    pictures = {(name, frame): jpeg for name in names for frame in range(8)}
    store = store_of(Drive(n_frames=8, cameras=names, models=models, jpeg=pictures))
    write_report(tmp_path / "page.html", store, "machine", None, None, None)
    assert (tmp_path / "page.html").stat().st_size < 6e6


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 8))
def test_moments_are_spread_and_show_the_most(weight: list[int], count: int) -> None:
    frames = spread(np.array(weight, dtype=float), count)
    parts = np.array_split(np.arange(len(weight)), min(count, len(weight)))
    shown = [part for part in parts if not any(weight) or max(weight[frame] for frame in part)]
    assert len(frames) == len(shown)
    for frame, part in zip(frames, shown, strict=True):
        assert frame in part
        assert weight[frame] == max(weight[other] for other in part)


def test_objects_are_counted_once_however_many_boxes_they_have(store_of: MakeStore) -> None:
    flat = boxes_in([0, 1, 3, 3], [5, 5, 5, -1])
    solid = cuboids([0, 3], [(14, 1, 0.75)] * 2, track_id=np.array([5, 6]))
    store = store_of(Drive(boxes2d={"front": flat, "back": boxes_in([2], [9])}, boxes3d=solid))
    (car,) = class_facts(store, "machine", None)
    assert (car.name, car.objects, car.cuboids, car.boxes2d, car.true_objects) == ("car", 3, 2, 5, None)
    assert car.median_s == 0.0
    (car,) = class_facts(store, "machine", "machine")
    assert car.true_objects == 3
