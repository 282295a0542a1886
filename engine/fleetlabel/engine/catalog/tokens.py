"""Tokens: who somebody is, and what they may do.

A token is ``fl_<id>_<secret>``; the secret has 256 random bits and is kept nowhere: the catalog has its keyed hash,
which tells nothing of it. So a token is shown once, and a stolen catalog lets nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine, Row, select, update

from fleetlabel.engine.catalog.database import reading, writing
from fleetlabel.engine.catalog.schema import TOKENS
from fleetlabel.model.errors import AccessError, CatalogError, UnknownTokenError, UsageError

_TOKEN = re.compile(r"fl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_MAX_NAME = 200
_NOTE_EVERY_NS = 60 * 10**9  # one write per use would make reading as slow as the disk
_NOBODYS = (bytes(16), bytes(32))


class Role(StrEnum):
    """What a token lets somebody do; each may also do what those before it may."""

    VIEWER = "viewer"
    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Whether whoever has this role may do what the other one may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Attributes:
        name: of the person or program; what they do is written down under it.
        role: what they may do.
        token_id: the token that says so; empty for whoever needs none.
    """

    name: str
    role: Role
    token_id: str = ""

    def require(self, role: Role) -> None:
        """Complains if the principal may not do what a role may.

        Raises:
            AccessError: so it is.
        """
        if not self.role.covers(role):
            raise AccessError(
                f"{self.name} is {self.role}, and this takes at least {role}; ask an admin for a token"
            )


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the catalog knows it; times in ns since 1970, None: never.

    Attributes:
        id: names it; no secret.
        person: whose.
        role: what it lets them do.
        last_used_ns: to the minute.
    """

    id: str
    person: str
    role: Role
    created_ns: int
    expires_ns: int | None
    revoked_ns: int | None
    last_used_ns: int | None

    def is_good(self) -> bool:
        """Whether it neither expired nor was revoked."""
        return self.revoked_ns is None and (self.expires_ns is None or time.time_ns() < self.expires_ns)


class Tokens:
    """The tokens of a catalog."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, person: str, role: Role, lasts_s: float | None = None) -> tuple[Token, str]:
        """A new token, and its text, which nobody can be told again.

        Args:
            lasts_s: when it expires, from now; None: never.

        Raises:
            UsageError: the name is empty, too long or cannot be printed, or the token would have expired.
            CatalogError: it cannot be kept.
        """
        if not person.strip() or not person.isprintable() or len(person) > _MAX_NAME:
            raise UsageError(
                f"a token needs the name of whoever uses it: printable, at most {_MAX_NAME} characters, "
                f"not {person[:_MAX_NAME]!r}"
            )
        now = time.time_ns()
        if lasts_s is not None and not 0 < lasts_s < (2**62 - now) / 1e9:
            raise UsageError(f"a token cannot expire {lasts_s:g} s from now; give it some time, or none")
        secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
        token = Token(
            id=secrets.token_hex(6),
            person=person,
            role=Role(role),
            created_ns=now,
            expires_ns=None if lasts_s is None else now + int(lasts_s * 1e9),
            revoked_ns=None,
            last_used_ns=None,
        )
        kept = {name: getattr(token, name) for name in Token.__dataclass_fields__}
        kept |= {"role": str(token.role), "salt": salt.hex(), "digest": _digest(salt, secret).hex()}
        with writing(self._engine) as connection:
            connection.execute(TOKENS.insert().values(kept))
        return token, f"fl_{token.id}_{secret}"

    def list(self) -> tuple[Token, ...]:
        """All of them, newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(TOKENS).order_by(TOKENS.c.created_ns.desc(), TOKENS.c.id)).all()
        return tuple(_token(row) for row in rows)

    def revoke(self, name: str) -> tuple[Token, ...]:
        """Ends a token by id, or all good ones of a person; from the next request on they let nobody in.

        Raises:
            UsageError: there is none.
        """
        concerned = (TOKENS.c.id == name) | (TOKENS.c.person == name)
        with writing(self._engine) as connection:
            rows = connection.execute(select(TOKENS).where(concerned)).all()
            good = [token for token in map(_token, rows) if token.is_good()]
            if not good:
                why = (
                    "its tokens have all ended"
                    if rows
                    else "`fleetlabel token list` shows those that there are"
                )
                raise UsageError(f"there is no good token of {name!r}; {why}")
            now = time.time_ns()
            ids = [token.id for token in good]
            connection.execute(update(TOKENS).where(TOKENS.c.id.in_(ids)).values(revoked_ns=now))
        return tuple(good)

    def authenticate(self, text: str) -> Principal:
        """Who a token says somebody is. The time that it takes tells nothing of a secret.

        Raises:
            UnknownTokenError: it is none of ours, has expired or was revoked; the message does not tell which to
                somebody who does not have the secret.
            CatalogError: the catalog cannot be read.
        """
        match = _TOKEN.fullmatch(text)
        row = None
        if match:
            with reading(self._engine) as connection:
                row = connection.execute(select(TOKENS).where(TOKENS.c.id == match[1])).one_or_none()
        salt, digest = (bytes.fromhex(row.salt), bytes.fromhex(row.digest)) if row else _NOBODYS
        right = hmac.compare_digest(_digest(salt, match[2] if match else ""), digest)
        if row is None or not right:
            raise UnknownTokenError(
                "the token is none of this engine's; `fleetlabel token create NAME` makes one"
            )
        token = _token(row)
        if not token.is_good():
            what = "has expired" if token.revoked_ns is None else "was revoked"
            raise UnknownTokenError(f"token {token.id} of {token.person} {what}; ask an admin for a new one")
        self._note_use(token)
        return Principal(token.person, token.role, token.id)

    def _note_use(self, token: Token) -> None:
        now = time.time_ns()
        if token.last_used_ns is not None and 0 <= now - token.last_used_ns < _NOTE_EVERY_NS:
            return
        try:
            with writing(self._engine) as connection:
                connection.execute(update(TOKENS).where(TOKENS.c.id == token.id).values(last_used_ns=now))
        except CatalogError:
            return  # a disk that is full keeps nobody from reading


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.blake2b(secret.encode(), key=salt, digest_size=32).digest()


def _token(row: Row[tuple[object, ...]]) -> Token:
    values = row._mapping
    kept = {name: values[name] for name in Token.__dataclass_fields__}
    return Token(**kept | {"role": Role(values["role"])})
