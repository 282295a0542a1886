"""No path or address of a client leads out of the roots."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetlabel.engine.serving import DataRoots
from fleetlabel.model.errors import (
    FleetLabelError,
    OutsideRootsError,
    SourceError,
    UsageError,
)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Two roots and a secret beside them; links of every kind."""
    for name in ("one/drives/a", "two", "one-more"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "one" / "file").write_text("inside")
    (tmp_path / "one" / "drives" / "a" / "b.bin").write_text("inside")
    for name, target in {
        "one/out": tmp_path,
        "one/out_file": tmp_path / "secret",
        "one/relative": Path("../secret"),
        "one/proc": Path("/proc/self/root"),
        "one/chain": Path("out"),
        "one/circle": Path("circle"),
        "one/dangling": tmp_path / "nothing-yet",
        "one/across": tmp_path / "two",
        "one/within": Path("drives"),
    }.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.fixture
def roots(world: Path) -> DataRoots:
    return DataRoots([world / "one", world / "two", "s3://bucket/fleet"])


def test_what_is_in_the_roots_is_found(world: Path, roots: DataRoots) -> None:
    for text, expected in {
        "file": "one/file",
        "drives//a/./b.bin": "one/drives/a/b.bin",
        str(world / "two"): "two",
        str(world / "two" / "new" / "deep.zarr"): "two/new/deep.zarr",
        "across/x": "two/x",
        "within/a": "one/drives/a",
        "..odd/...": "one/..odd/...",
        "~": "one/~",
    }.items():
        assert roots.place(text) == world / expected
    assert str(roots.place("s3://bucket/fleet/a.zarr")) == "s3://bucket/fleet/a.zarr"
    assert str(roots.place("s3://bucket/fleet/")) == "s3://bucket/fleet"
    assert roots.paths[:2] == (world / "one", world / "two")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a\0b", "a\nb", "x" * 5000, "\udcff",
        "..", "../secret", "drives/../../secret", "drives/..", "/", "/etc/passwd", "//etc/passwd", "///",
        "out", "out/secret", "out_file", "relative", "proc/etc/passwd", "chain/secret", "circle", "circle/x",
        "dangling", "dangling/x", "within/../../secret",
        "file:///etc/passwd", "http://169.254.169.254/latest", "FILE:/etc", "ftp://x", "zip://a", "a+b:/c",
        "s3://bucket", "s3://bucket/", "s3://bucket/fleet2", "s3://bucket/fleet/../x", "s3://bucket/fleet/./x",
        "s3://bucket/fleet//x/y", "s3://other/fleet", "s3:///bucket/fleet", "s3:/bucket/fleet", "S3://bucket/fleet",
        "gs://bucket/fleet", "s3://user@bucket/fleet", "s3://",
    ],
)  # fmt: skip
def test_what_leads_elsewhere_is_refused(roots: DataRoots, text: str) -> None:
    for ask in (roots.place, roots.source, roots.open_file):
        with pytest.raises(OutsideRootsError):
            ask(text)
    if "/" in text:  # else it is a name
        for ask_store in (roots.new_store, roots.store):
            with pytest.raises(OutsideRootsError):
                ask_store(text)


def test_a_folder_whose_name_only_begins_like_a_root_is_outside(world: Path, roots: DataRoots) -> None:
    for text in (f"{world}/one-more", f"{world}/one/../one-more", f"{world}/on", str(world)):
        with pytest.raises(OutsideRootsError):
            roots.place(text)


_NAMES = [
    "one",
    "two",
    "out",
    "drives",
    "a",
    "..",
    ".",
    "",
    "secret",
    "across",
    "chain",
    "proc",
    "\0",
    "é",
    "s3:",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    names=st.lists(st.one_of(st.sampled_from(_NAMES), st.text(max_size=6)), max_size=8),
    begins=st.sampled_from(["", "/", "s3://bucket/", "s3://bucket/fleet/", "file://"]),
    absolute=st.booleans(),
)
def test_whatever_is_asked_for_is_in_the_roots_or_refused(
    world: Path, roots: DataRoots, names: list[str], begins: str, absolute: bool
) -> None:
    text = begins + "/".join(names)
    if absolute:
        text = f"{world}/{text}"
    try:
        place = roots.place(text)
    except OutsideRootsError:
        return
    if str(place).startswith("s3://"):
        assert f"{place}/".startswith("s3://bucket/fleet/") and "/../" not in f"{place}/"
        return
    real = os.path.realpath(place)
    assert real == str(place)
    assert any(f"{real}/".startswith(f"{world}/{root}/") for root in ("one", "two"))
    try:
        with roots.open_file(text) as opened:
            assert opened.read() == b"inside"
    except FleetLabelError:
        assert not place.is_file()


@pytest.mark.parametrize("name", ["", "..", ".", "a\0", ".hidden", "__x", "zarr.json", "x" * 300, "a\nb"])
def test_names_of_sequences_that_are_none_are_refused(roots: DataRoots, name: str) -> None:
    for ask in (roots.store, roots.new_store):
        with pytest.raises(OutsideRootsError):
            ask(name)


def test_new_stores_have_their_suffix_and_are_no_roots(world: Path) -> None:
    (world / "root.zarr").mkdir()
    roots = DataRoots([world / "root.zarr", world / "two", "s3://bucket/fleet"])
    assert roots.new_store("a") == roots.new_store("a.zarr") == world / "root.zarr" / "a.zarr"
    assert str(roots.new_store("s3://bucket/fleet/a.zarr")) == "s3://bucket/fleet/a.zarr"
    for text in (str(world / "root.zarr"), str(world / "two" / "a"), "s3://bucket/fleet"):
        with pytest.raises(UsageError, match=r"ends in \.zarr"):
            roots.new_store(text)


def test_a_store_that_is_a_link_to_elsewhere_is_refused(world: Path, roots: DataRoots) -> None:
    (world / "evil.zarr").mkdir()
    (world / "evil.zarr" / "zarr.json").write_text("{}")
    (world / "one" / "evil.zarr").symlink_to(world / "evil.zarr")
    for ask in (roots.store, roots.new_store):
        with pytest.raises(OutsideRootsError):
            ask("evil")


def test_a_drive_log_is_refused_for_one_link_deep_in_it(world: Path, roots: DataRoots) -> None:
    deep = world / "one" / "drives" / "a"
    (deep / "good").symlink_to(world / "two")
    assert roots.source("drives") == world / "one" / "drives"
    (deep / "bad.jpg").symlink_to(world / "secret")
    with pytest.raises(OutsideRootsError, match=r"bad\.jpg"):
        roots.source("drives")


def test_a_drive_log_with_a_pipe_or_socket_in_it_is_refused(
    world: Path, roots: DataRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = world / "one" / "drives" / "a" / "pipe.jpg"
    os.mkfifo(pipe)
    with pytest.raises(SourceError, match=r"pipe\.jpg is neither a file nor a folder"):
        roots.source("drives")
    with pytest.raises(SourceError, match="is no file"):  # and is not waited for
        roots.open_file("drives/a/pipe.jpg")
    (world / "two" / "link").symlink_to(pipe)
    with pytest.raises(SourceError, match="neither"):
        roots.source("across")
    with socket.socket(socket.AF_UNIX) as opened:
        monkeypatch.chdir(world / "two")  # a socket's path has to be short
        opened.bind("s")
        with pytest.raises(SourceError, match="neither"):
            roots.source(str(world / "two" / "s"))
    with pytest.raises(SourceError, match="nothing at"):
        roots.source("drives/none")


def test_a_link_put_in_after_the_check_is_seen_when_asked_again(world: Path, roots: DataRoots) -> None:
    place = roots.place("drives/a")
    place.rename(world / "one" / "moved")
    place.symlink_to(world)
    with pytest.raises(OutsideRootsError):
        roots.recheck(place)


@pytest.mark.parametrize("swapped", ["drives", "drives/a", "drives/a/b.bin"])
def test_a_file_is_not_opened_through_a_link_that_is_put_in_after_the_check(
    world: Path, roots: DataRoots, swapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world / "elsewhere" / "a").mkdir(parents=True)
    for file in ("elsewhere/a/b.bin", "elsewhere/b.bin"):
        (world / file).write_text("secret")
    target = world / {"drives": "elsewhere", "drives/a": "elsewhere/a", "drives/a/b.bin": "secret"}[swapped]
    checked = DataRoots.place

    def swap_after(self: DataRoots, text: str) -> Path:
        place = checked(self, text)
        (world / "one" / swapped).rename(world / "one" / "was")
        (world / "one" / swapped).symlink_to(target)
        return place

    monkeypatch.setattr(DataRoots, "place", swap_after)
    with pytest.raises(OutsideRootsError):
        roots.open_file("drives/a/b.bin")


@pytest.mark.parametrize("root", ["/", "nothing", "file"])
def test_what_cannot_be_a_root_is_refused(tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be a root"):
        DataRoots([root])
    with pytest.raises(UsageError, match="needs a folder"):
        DataRoots([])
