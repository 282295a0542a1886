from __future__ import annotations

import builtins
import contextlib
import functools
import gzip
import io
import operator
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetlabel.engine.ingest import files
from fleetlabel.engine.ingest.safe_pickle import read_table
from fleetlabel.model.errors import SourceError, UnsafeFileError

TABLE = pd.DataFrame(
    {
        "x": np.linspace(0, 1, 7),
        "small": np.arange(7, dtype=np.float32),
        "d": np.arange(7),
        "flag": np.arange(7) % 2 == 0,
        "name": pd.Series([f"uuid-{row}" for row in range(7)], dtype=object),
        "gap": pd.Series(["a", None] * 3 + ["b"], dtype=object),
    }
)


def same(found: dict[str, Any], table: pd.DataFrame) -> None:
    assert list(found) == list(table.columns)
    for name in table.columns:
        expected = table[name].to_numpy()
        given_ = pd.Series(found[name])
        assert ((given_ == expected) | (given_.isna() & pd.isna(expected))).all(), name


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("packed", [True, False])
def test_frames_read_as_pandas_reads_them(tmp_path: Path, protocol: int, packed: bool) -> None:
    content = pickle.dumps(TABLE, protocol=protocol)
    path = tmp_path / "t.pkl"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    same(read_table(path), TABLE)


@pytest.mark.parametrize(
    "table",
    [TABLE.iloc[::2], TABLE.set_index("d"), TABLE[TABLE.flag], TABLE.astype({"name": "str"}), TABLE.iloc[:0]],
    ids=["strided", "indexed", "filtered", "string dtype", "empty"],
)
def test_frames_of_other_make(tmp_path: Path, table: pd.DataFrame) -> None:
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(table))
    same(read_table(tmp_path / "t.pkl"), table)


def test_real_files_read_as_pandas_reads_them(data_dir: Path) -> None:
    for name in ("lidar/03.pkl.gz", "annotations/cuboids/05.pkl.gz"):
        path = data_dir / "pandaset_drive" / name
        same(read_table(path), pd.read_pickle(path))


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (Call(os.system, "touch pwned"), "posix.system"),
        (Call(builtins.eval, "open('pwned', 'w')"), "builtins.eval"),
        (Call(builtins.getattr, TABLE, "to_csv"), "builtins.getattr"),
        (Call(functools.partial, os.system, "touch pwned"), "functools.partial"),
        (Call(operator.attrgetter, "x"), "operator.attrgetter"),
        (Call(np.load, "x.npy"), "numpy.load"),
        (Call(pd.read_pickle, "x.pkl"), "read_pickle"),
    ],
    ids=["system", "eval", "getattr", "partial", "attrgetter", "numpy.load", "pandas.read_pickle"],
)
@pytest.mark.parametrize("hidden", [True, False])
def test_a_pickle_that_runs_code_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Call, named: str, hidden: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pd.DataFrame({"x": pd.Series([attack], dtype=object)}) if hidden else attack
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(UnsafeFileError, match=r"t\.pkl asks for .*" + named):
        read_table(tmp_path / "t.pkl")
    assert not (tmp_path / "pwned").exists()


def test_dotted_names_do_not_reach_methods(tmp_path: Path) -> None:
    raw = b"\x80\x04\x8c\x06pandas\x8c\x0eDataFrame.eval\x93\x8c\x011\x85R."
    (tmp_path / "t.pkl").write_bytes(raw)
    with pytest.raises(UnsafeFileError, match=r"pandas\.DataFrame\.eval"):
        read_table(tmp_path / "t.pkl")


def test_a_crafted_dtype_cannot_turn_bytes_into_objects(tmp_path: Path) -> None:
    """numpy's own loader would take these bytes for pointers if the dtype's state said so."""
    good = pickle.dumps(pd.DataFrame({"x": np.arange(4.0)}), protocol=2)
    assert good.count(b"f8") == 1
    (tmp_path / "t.pkl").write_bytes(good.replace(b"f8", b"O8"))
    with pytest.raises(SourceError, match="not a number type"):
        read_table(tmp_path / "t.pkl")


def test_one_file_cannot_change_how_the_next_is_read(tmp_path: Path) -> None:
    # BUILD with a slot state on the class itself: (None, {"called": "x"}).
    raw = b"\x80\x04\x8c\x06pandas\x8c\x09DataFrame\x93N}\x8c\x06called\x8c\x01xs\x86b."
    (tmp_path / "evil.pkl").write_bytes(raw)
    with pytest.raises(SourceError):
        read_table(tmp_path / "evil.pkl")
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(TABLE))
    same(read_table(tmp_path / "t.pkl"), TABLE)


def test_a_gzip_bomb_is_refused_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1 << 20)
    bomb = io.BytesIO()
    with gzip.open(bomb, "wb", compresslevel=9) as file:
        for _ in range(64):
            file.write(b"\0" * (1 << 20))
    (tmp_path / "t.pkl.gz").write_bytes(bomb.getvalue())
    with pytest.raises(SourceError, match="unpacks to more than 1 MiB"):
        read_table(tmp_path / "t.pkl.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (gzip.compress(pickle.dumps(TABLE), mtime=0)[:-40], "damaged or cut off"),
        (b"PK\x03\x04 not gzip at all", "is not gzip data"),
        (gzip.compress(pickle.dumps(TABLE)[:300], mtime=0), "not a readable pandas pickle"),
        (gzip.compress(pickle.dumps([1, 2, 3]), mtime=0), "holds a list, not a DataFrame"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.pkl.gz").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_table(tmp_path / "t.pkl.gz")


@given(position=st.floats(0, 1), value=st.integers(0, 255), protocol=st.sampled_from([2, 4, 5]))
def test_any_changed_byte_reads_as_a_table_or_ends_in_a_source_error(
    tmp_path_factory: pytest.TempPathFactory, position: float, value: int, protocol: int
) -> None:
    content = bytearray(pickle.dumps(TABLE, protocol=protocol))
    content[int(position * (len(content) - 1))] = value
    path = tmp_path_factory.mktemp("fuzz") / "t.pkl"
    path.write_bytes(bytes(content))
    with contextlib.suppress(SourceError):
        assert all(isinstance(column, np.ndarray) for column in read_table(path).values())
