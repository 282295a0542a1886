"""Files that mean harm: a clear error, soon, and without much memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from exchange.scenes import drive
from fleetlabel.engine.exchange import format_named, read_labels
from fleetlabel.engine.ingest.json_members import members
from fleetlabel.model.errors import SourceError

JSON_FORMATS = {
    "coco": ("annotations",),
    "datumaro": ("items",),
    "scalabel": ("frames",),
    "openlabel": ("openlabel", "frames"),
    "nuscenes-results": ("results",),
}


def cut_off(path: tuple[str, ...], inside: str) -> str:
    """A document that has ``inside`` at a path and ends there."""
    return "".join(f'{{"{name}": ' for name in path) + inside


@pytest.mark.parametrize("name", JSON_FORMATS)
@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("[" + "[" * 100_000, "nested more deeply"),
        ('[{"a":' * 50_000, "nested more deeply"),
        ('["' + "x" * 100, "damaged, cut off"),
        ('[{"id": 1}, ', "ends too early|no sample|no number"),
        ('[{"id": 1} {"id": 2}]', "where a comma|no sample|no number"),
        ('{"a" 1}', "without a colon"),
        ("[-]}", "damaged"),
    ],
)
def test_json_that_is_nested_cut_off_or_wrong(tmp_path: Path, name: str, inside: str, message: str) -> None:
    path = tmp_path / "front.json"
    path.write_text(cut_off(JSON_FORMATS[name], inside))
    with pytest.raises(SourceError, match=message):
        read_labels(format_named(name), path, drive())


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 64, b"\xff\xfe{}", b"null", b"3", b'"text"', b"[]", b"{}", b"<a/>"]
)
@pytest.mark.parametrize(
    "name", ["coco", "datumaro", "openlabel", "nuscenes-results", "cvat", "mot", "kitti", "parquet"]
)
def test_files_of_other_kinds(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / "front"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="front"):
        read_labels(format_named(name), path, drive(), camera="front")


def test_members_are_those_of_json(tmp_path: Path) -> None:
    """Against json.loads, with members that cross the borders of what is read at once."""
    document = {
        "skipped": [{"deep": [1, [2, {"x": None}]]}, 'a]}\\"', 1.5e-7],
        "rows": [{"id": row, "text": "é" * (row % 97), "list": list(range(row % 7))} for row in range(9000)],
        "map": {f"key {row}": row / 7 for row in range(3000)},
        "big": ["x" * 3_000_000, 12345678901234567890],
        "empty": [],
    }
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1))
    found = list(members(path, ("rows",), ("map",), ("big",), ("empty",), ("nothing",)))
    assert [value for where, _, value in found if where == ("rows",)] == document["rows"]
    assert {key: value for where, key, value in found if where == ("map",)} == document["map"]
    assert [value for where, _, value in found if where == ("big",)] == document["big"]
    assert len(found) == 9000 + 3000 + 2
    assert [key for _, key, _ in members(path, ())] == list(document)


def test_a_class_for_every_box_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"1 {n} class{n} 0 0 0 1 1 2 2 -1 -1 -1 0 0 0 0\n" for n in range(40_000))
    (tmp_path / "front.txt").write_text(rows)
    boxes = [{"image_id": 1, "category_id": n, "bbox": [1, 1, 2, 2]} for n in range(40_000)]
    categories = [{"id": n, "name": f"class{n}"} for n in range(40_000)]
    document = {
        "images": [{"id": 1, "file_name": "front/1.jpg"}],
        "categories": categories,
        "annotations": boxes,
    }
    (tmp_path / "front.json").write_text(json.dumps(document))
    for name, file in (("kitti", "front.txt"), ("coco", "front.json")):
        with pytest.raises(SourceError, match="more than 10000 classes"):
            read_labels(format_named(name), tmp_path / file, drive(), camera="front")


def test_an_archive_with_many_files_or_a_bomb_is_refused(tmp_path: Path) -> None:
    one = tmp_path / "front.zip"
    with zipfile.ZipFile(one, "w") as archive:
        archive.writestr("a.xml", "<annotations/>")
        archive.writestr("../../b.xml", "<annotations/>")
    with pytest.raises(SourceError, match="with 2 files"):
        read_labels(format_named("cvat"), one, drive())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.zip"]  # nothing is unpacked


# Reads files in a process that may take 600 MiB of address space more than it has; says how each ended.
_LIMITED = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from exchange.scenes import drive
from fleetlabel.engine.exchange import format_named, read_labels
from fleetlabel.model.errors import FleetLabelError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20),) * 2)
for name, path in zip(sys.argv[2::2], sys.argv[3::2]):
    try:
        read_labels(format_named(name), Path(path), drive(), camera="front")
        print("nothing was wrong")
    except FleetLabelError as error:
        print(str(error)[:500])
"""


def limited(*files: tuple[str, Path]) -> list[str]:
    """What reading files ends with, where memory is short."""
    arguments = [text for name, path in files for text in (name, str(path))]
    command = [sys.executable, "-c", _LIMITED, str(Path(__file__).parents[1]), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def pack(path: Path, head: bytes, filler: bytes, mib: int) -> Path:
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(head)
        for _ in range(mib):
            file.write(filler * (1 << 20))
    return path


def plain(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.slow
def test_bombs_and_endless_files_end_in_bounded_memory(tmp_path: Path) -> None:
    attributes = b" ".join(b'a%d="b"' % n for n in range(1_000_000))
    ended = limited(
        ("coco", pack(tmp_path / "blanks.json.gz", b'{"annotations": [', b" ", 300)),
        ("cvat", pack(tmp_path / "label.xml.gz", b'<annotations><track id="1" label="', b"x", 64)),
        ("mot", pack(tmp_path / "line.txt.gz", b"1,2,", b"3", 64)),
        ("coco", plain(tmp_path / "text.json", b'{"annotations": ["' + b"x" * (50 << 20))),
        ("coco", plain(tmp_path / "many.json", b'{"annotations": [[' + b"[]," * (10 << 20))),
        ("cvat", plain(tmp_path / "deep.xml", b"<annotations>" + b"<a>" * (1 << 20))),
        ("cvat", plain(tmp_path / "attributes.xml", b"<annotations><track " + attributes)),
    )
    expected = ["times its", "excessive length", "longer than", *["excessive length"] * 2, "elements deep"]
    for end, message in zip(ended, [*expected, "excessive length"], strict=True):
        assert message in end
