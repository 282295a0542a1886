from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.ingest.pcd import unpack_lzf
from fleetlabel.engine.ingest.point_files import read_points
from fleetlabel.model.errors import SourceError

XYZI = np.array([[1.5, -2.25, 0.125, 7], [40, 3, -1, 255], [0.1, 0.2, 0.3, 0]], dtype=np.float32)
TIME_NS = 1_700_000_000_123_456_789
HEADER = (
    "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z intensity t\nSIZE 4 4 4 4 8\nTYPE F F F F F\nCOUNT 1 1 1 1 1\n"
    "WIDTH 3\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA "
)
PCD = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("t", "<f8")])


def table() -> np.ndarray:
    made = np.empty(3, PCD)
    for column, name in enumerate(("x", "y", "z", "intensity")):
        made[name] = XYZI[:, column]
    made["t"] = [-0.05, 0.0, 0.04]
    return made


def pack_lzf(data: bytes) -> bytes:
    """Literals, and a copy wherever three bytes repeat: every kind of run that LZF has."""
    packed, literals, at = bytearray(), bytearray(), 0

    def flush() -> None:
        for start in range(0, len(literals), 32):
            run = literals[start : start + 32]
            packed.append(len(run) - 1)
            packed.extend(run)
        literals.clear()

    while at < len(data):
        back = data.rfind(data[at : at + 3], max(0, at - 8192), at + 2) if at + 3 <= len(data) else -1
        if 0 <= back < at:
            length = 3
            while at + length < len(data) and length < 264 and data[back + length] == data[at + length]:
                length += 1
            flush()
            offset = at - back - 1
            if length - 2 < 7:
                packed += bytes([(length - 2) << 5 | offset >> 8, offset & 255])
            else:
                packed += bytes([7 << 5 | offset >> 8, length - 9, offset & 255])
            at += length
        else:
            literals.append(data[at])
            at += 1
    flush()
    return bytes(packed)


def pcd(encoding: str) -> bytes:
    rows = table()
    head = (HEADER + encoding + "\n").encode()
    if encoding == "ascii":
        text = "\n".join(" ".join(repr(float(value)) for value in row) for row in rows.tolist())
        return head + text.encode() + b"\n"
    if encoding == "binary":
        return head + rows.tobytes()
    data = b"".join(rows[name].tobytes() for name in PCD.names or ())
    packed = pack_lzf(data)
    return head + struct.pack("<II", len(packed), len(data)) + packed


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_pcd_in_all_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.pcd"
    path.write_bytes(pcd(encoding))
    sweep = read_points(path, {"time_offset_s": "t"}, TIME_NS)
    np.testing.assert_array_equal(sweep.points, XYZI)
    assert sweep.point_time_offset_ns.tolist() == [-50_000_000, 0, 40_000_000]


@pytest.mark.slow  # loading open3d takes seconds
def test_pcd_as_open3d_writes_it(tmp_path: Path) -> None:
    o3d = pytest.importorskip("open3d")
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(np.tile(XYZI[:, :3], (50, 1))))
    for name, options in {
        "a": {"write_ascii": True},
        "b": {},
        "c": {"compressed": True},
    }.items():
        path = tmp_path / f"{name}.pcd"
        assert o3d.io.write_point_cloud(str(path), cloud, **options)
        np.testing.assert_allclose(
            read_points(path, (), 0).points[:, :3], np.tile(XYZI[:, :3], (50, 1)), atol=1e-6
        )


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from([b"abc", b"\0" * 9, b"z"])).map(b"".join)))
def test_lzf_gives_back_what_was_packed(data: bytes) -> None:
    assert unpack_lzf(pack_lzf(data), len(data), "here") == data


@given(st.binary(max_size=80), st.integers(0, 200))
def test_lzf_of_noise_ends_with_an_error_or_the_promised_length(data: bytes, expected: int) -> None:
    with contextlib.suppress(SourceError):
        assert len(unpack_lzf(data, expected, "here")) == expected


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_kitti_bin(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(XYZI.tobytes())
    np.testing.assert_array_equal(read_points(path, (), TIME_NS).points, XYZI)


def test_bin_with_columns_of_its_own_and_absolute_times(tmp_path: Path) -> None:
    rows = np.concatenate([XYZI[:, :3], np.zeros((3, 1)), [[0.0], [0.001], [0.002]]], axis=1)
    path = tmp_path / "a.bin"
    path.write_bytes(rows.astype("<f4").tobytes())
    sweep = read_points(path, ("x", "y", "z", "ring", "time_offset_s"), TIME_NS)
    np.testing.assert_array_equal(sweep.points[:, 3], 0)
    np.testing.assert_allclose(sweep.point_time_offset_ns, [0, 1e6, 2e6], atol=1)


def test_npy_plain_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for array in (XYZI, XYZI.astype(np.float64), np.asfortranarray(XYZI)):
        path.write_bytes(npy(array))
        np.testing.assert_array_equal(read_points(path, (), TIME_NS).points, XYZI)
    named = np.empty(3, [("x", "f8"), ("y", "f8"), ("z", "f8"), ("when", "i8")])
    for column, name in enumerate("xyz"):
        named[name] = XYZI[:, column]
    named["when"] = TIME_NS + np.array([-7, 0, 12])
    path.write_bytes(npy(named))
    sweep = read_points(path, {"timestamp_ns": "when"}, TIME_NS)
    assert sweep.point_time_offset_ns.tolist() == [-7, 0, 12]


def test_points_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = XYZI.copy()
    rows[1, 0] = np.nan
    path = tmp_path / "a.npy"
    path.write_bytes(npy(rows))
    sweep = read_points(path, (), 0)
    assert (len(sweep.points), sweep.dropped) == (2, 1)


def absurd_npy() -> bytes:
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 4), }\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 64


def objects_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"", "empty"),
        ("a.bin", b"\0" * 17, r"17 bytes, not a multiple of 16 \(x y z intensity as float32\)"),
        ("a.npy", b"", "empty"),
        ("a.npy", b"\x93NUMPY", "no .npy file"),
        ("a.npy", npy(XYZI)[:-4], r"which is 48 bytes, but holds 44"),
        ("a.npy", npy(XYZI[:, :3]), r"\(3, 3\), expected numbers \(points, 4\)"),
        ("a.npy", absurd_npy(), "declares float32"),
        ("a.npy", objects_npy(), "declares object"),
        ("a.pcd", b"hello\n", "no DATA line"),
        ("a.pcd", pcd("binary")[:-1], "declares 72 bytes of points but holds 71"),
        ("a.pcd", pcd("ascii")[:-8], "numbers of points but holds"),
        ("a.pcd", pcd("binary_compressed")[:-3], "of points but holds"),
        ("a.pcd", pcd("binary").replace(b"POINTS 3", b"POINTS 99999999999"), "refused"),
        ("a.pcd", pcd("binary").replace(b"POINTS 3", b"POINTS -3"), "broken PCD header"),
        ("a.pcd", pcd("binary").replace(b"SIZE 4 4 4", b"SIZE 4 4 3"), "broken PCD header"),
        ("a.pcd", pcd("binary").replace(b"COUNT 1 1", b"COUNT 1 99999999999"), "broken PCD header|refused"),
        ("a.pcd", pcd("binary").replace(b"DATA binary", b"DATA zipped"), "'zipped' is unknown"),
        ("a.pcd", pcd("binary").replace(b"FIELDS x y", b"FIELDS a b"), "no column x, y; it has a, b, z"),
        ("a.laz", b"LASF", "expected .bin, .npy or .pcd"),
    ],
)
def test_broken_and_hostile_files_are_refused_by_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as raised:
        read_points(path, (), 0)
    assert str(path) in str(raised.value)
