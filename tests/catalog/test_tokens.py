"""Tokens and roles."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from fleetlabel.engine.catalog import Catalog, Principal, Role
from fleetlabel.model.errors import AccessError, UnknownTokenError, UsageError


def test_a_token_says_who_somebody_is(catalog: Catalog) -> None:
    made, secret = catalog.tokens.create("ann", Role.REVIEWER, lasts_s=3600)
    assert catalog.tokens.authenticate(secret) == Principal("ann", Role.REVIEWER, made.id)
    (listed,) = catalog.tokens.list()
    assert listed.last_used_ns is not None
    assert listed.expires_ns == made.created_ns + 3600 * 10**9
    catalog.tokens.authenticate(secret)
    assert catalog.tokens.list() == (listed,)  # not a write per use


def test_the_secret_is_nowhere_in_the_catalog(catalog: Catalog) -> None:
    _, secret = catalog.tokens.create("ann", Role.ADMIN)
    with catalog._engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM tokens")).all())
    assert secret not in kept
    assert secret.split("_", 2)[2] not in kept


def test_wrong_expired_and_revoked_tokens_let_nobody_in(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, secret = catalog.tokens.create("ann", Role.VIEWER, lasts_s=60)
    _, other = catalog.tokens.create("ann", Role.VIEWER)
    for wrong in (
        "",
        "fl_",
        secret[:-1],
        secret + "A",
        secret[:16] + other[16:],
        " " + secret,
        secret + "\n",
    ):
        with pytest.raises(UnknownTokenError, match="none of this engine's"):
            catalog.tokens.authenticate(wrong)
    later = time.time_ns() + 61 * 10**9
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: later)
        with pytest.raises(UnknownTokenError, match="has expired"):
            catalog.tokens.authenticate(secret)
    assert catalog.tokens.revoke(made.id)[0].id == made.id
    with pytest.raises(UnknownTokenError, match="was revoked"):
        catalog.tokens.authenticate(secret)
    catalog.tokens.authenticate(other)
    assert len(catalog.tokens.revoke("ann")) == 1
    with pytest.raises(UnknownTokenError, match="was revoked"):
        catalog.tokens.authenticate(other)
    with pytest.raises(UsageError, match="all ended"):
        catalog.tokens.revoke("ann")
    with pytest.raises(UsageError, match="no good token"):
        catalog.tokens.revoke("bob")


@given(st.text())
def test_no_text_is_a_token_by_chance(one: str) -> None:
    with pytest.raises(UnknownTokenError):
        _TOKENS.authenticate(one)
    with pytest.raises(UnknownTokenError):
        _TOKENS.authenticate(f"fl_{one}")


@pytest.fixture(autouse=True, scope="module")
def _one_catalog(tmp_path_factory: pytest.TempPathFactory) -> None:
    global _TOKENS
    _TOKENS = Catalog(str(tmp_path_factory.mktemp("tokens") / "catalog.sqlite")).tokens


@pytest.mark.parametrize(
    ("name", "lasts_s"), [("", 1), (" ", 1), ("a\nb", 1), ("x" * 201, 1), ("a", 0), ("a", -1)]
)
def test_what_cannot_be_a_token_is_refused(catalog: Catalog, name: str, lasts_s: float) -> None:
    with pytest.raises(UsageError):
        catalog.tokens.create(name, Role.VIEWER, lasts_s)
    assert catalog.tokens.list() == ()


def test_each_role_may_do_what_those_before_it_may() -> None:
    order = ["viewer", "annotator", "reviewer", "admin"]
    for number, mine in enumerate(order):
        principal = Principal("ann", Role(mine))
        for other, asked in enumerate(order):
            if other <= number:
                principal.require(Role(asked))
            else:
                with pytest.raises(AccessError, match=f"ann is {mine}, and this takes at least {asked}"):
                    principal.require(Role(asked))


def test_the_commands_make_list_and_revoke(
    fleetlabel: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETLABEL_CATALOG", str(tmp_path / "catalog.sqlite"))
    code, secret, told = fleetlabel("token", "create", "ann", "--role", "annotator", "--expires", "30d")
    assert code == 0
    assert re.fullmatch(r"fl_[0-9a-f]{12}_[A-Za-z0-9_-]{43}\n", secret)
    assert "ann is annotator until" in told
    with Catalog(str(tmp_path / "catalog.sqlite")) as catalog:
        assert catalog.tokens.authenticate(secret.strip()).role is Role.ANNOTATOR
    code, out, _ = fleetlabel("token", "list")
    assert code == 0
    assert "annotator" in out and secret.strip() not in out
    code, out, _ = fleetlabel("token", "list", "--json")
    (listed,) = json.loads(out)["tokens"]
    assert (listed["person"], listed["good"]) == ("ann", True)
    assert listed["expires_ns"] - listed["created_ns"] == 30 * 86_400 * 10**9
    assert fleetlabel("token", "revoke", listed["id"])[0] == 0
    assert json.loads(fleetlabel("token", "list", "--json")[1])["tokens"][0]["good"] is False
    for bad in (["--expires", "soon"], ["--role", "king"]):
        code, out, told = fleetlabel("token", "create", "ann", *bad)
        assert (code, out) == (2, "") and bad[1] in told
