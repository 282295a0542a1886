"""Who drives a fleet or a store: a lease in its folder, for storage that several hosts share and that may not lock.

Leases are numbered. To drive, a process creates the file of the next number, which only one process can (on object
storage by a put on condition that there is none). It rewrites
it every few seconds; a file that has not changed for some time, as measured by whoever waits for it and not by
comparing clocks, belongs to a driver that is gone. On the driver's own host that is known at once. A driver that
finds a higher number than its own has lost the lease, stops and touches nothing more: commits are exclusive in any
case, so that two drivers would waste work and not damage it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from fleetlabel.model.errors import StoreError
from fleetlabel.store import durable

BEAT_S = 2.0
EXPIRY_S = 15.0
_FILE = re.compile(r"lease-(\d{6})\.json")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease.

    Attributes:
        host, pid: of the driver.
        started: of the process, with the machine's boot and its name space of processes: tells whether it lives.
        beat: counts up while it lives.
        released: it ended in peace.
        nonce: tells two holders in one process apart.
    """

    host: str
    pid: int
    started: str
    beat: int = 0
    released: bool = False
    nonce: str = ""

    @classmethod
    def me(cls) -> Holder:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _identity(pid), nonce=secrets.token_hex(4))

    def is_gone(self) -> bool:
        """Whether it surely lives no more; False if that cannot be known from here."""
        if self.released:
            return True
        mine = _identity(os.getpid()).rpartition(" ")[0]
        here = self.host == socket.gethostname() and self.started.rpartition(" ")[0] == mine
        return here and _identity(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease:
    """The right to drive what lies above a folder; a context that holds it.

    Args:
        folder: for leases; must exist.
        wait_s: how long to wait for who drives now.

    Raises:
        StoreError: on entry, another process drives.
    """

    def __init__(self, folder: Path, wait_s: float = 0.0) -> None:
        self._folder = folder
        self._wait_s = wait_s
        self._number = 0
        self._holder = Holder.me()
        self._over = threading.Event()
        self._lost_to: Holder | None = None
        self._heart = threading.Thread(target=self._beat, name="fleetlabel-lease", daemon=True)

    @property
    def token(self) -> str:
        """Name of the lease's file: whoever sees it in the folder sees the same folder."""
        return f"lease-{self._number:06d}.json"

    def check(self) -> None:
        """Complains if another driver has taken over.

        Raises:
            StoreError: it has.
        """
        if self._lost_to is not None:
            raise StoreError(
                f"{self._folder.parent} was taken over by {self._lost_to}, because this process could not say for "
                f"{EXPIRY_S:g} s that it lives; nothing is lost, that one goes on"
            )

    def __enter__(self) -> Lease:
        until = time.monotonic() + self._wait_s
        with durable.write_errors(self._folder):
            while not self._take(until):
                pass
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._heart.join()
        if self._lost_to is None:
            self._write(replace(self._holder, released=True))

    def _take(self, until: float) -> bool:
        number, holder = newest_lease(self._folder)
        if holder is not None and not holder.is_gone() and not _stands_still(self._folder, number, holder):
            if time.monotonic() < until:
                return False
            raise StoreError(
                f"{self._folder.parent} is being driven by {holder}; wait for it or stop it, then try again"
            )
        if not durable.create_file(self._folder / f"lease-{number + 1:06d}.json", _document(self._holder)):
            return False  # somebody was faster
        self._number = number + 1
        durable.remove_files(old for old in _leases(self._folder) if _number(old) <= number)
        return True

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            try:
                number, holder = newest_lease(self._folder)
                if number > self._number:
                    self._lost_to = holder
                    return
                self._holder = replace(self._holder, beat=self._holder.beat + 1)
                self._write(self._holder)
            except (OSError, StoreError):
                continue  # a full disk, a file system away for a moment: the run itself will complain

    def _write(self, holder: Holder) -> None:
        durable.write_file(self._folder / self.token, _document(holder))


def newest_lease(folder: Path) -> tuple[int, Holder | None]:
    """Number and holder of the newest lease in a folder; (0, None) if there was none yet."""
    number = max((_number(path) for path in _leases(folder)), default=0)
    if not number:
        return 0, None
    try:
        return number, Holder(**json.loads((folder / f"lease-{number:06d}.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return number, Holder("an unknown host", 0, "")  # being written just now, or its writer died at it


def is_driven(folder: Path) -> Holder | None:
    """Who drives the fleet whose state is in a folder, as far as can be told without waiting."""
    _, holder = newest_lease(folder)
    return None if holder is None or holder.is_gone() else holder


def _stands_still(folder: Path, number: int, holder: Holder) -> bool:
    """Whether nothing is heard of a holder for as long as a lease lasts."""
    patience = time.monotonic() + EXPIRY_S
    while time.monotonic() < patience:
        time.sleep(BEAT_S / 4)
        if newest_lease(folder) != (number, holder):
            return False
    return True


def _leases(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _number(path)]
    except FileNotFoundError:
        return []


def _number(path: Path) -> int:
    match = _FILE.fullmatch(path.name)
    return int(match[1]) if match else 0


def _document(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def _identity(pid: int) -> str:
    """Boot, name space of processes and start time of a process; ends in "gone" if there is none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return "unknown gone"
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        state, started = stat.rpartition(")")[2].split()[0], stat.rpartition(")")[2].split()[19]
    except OSError:
        return f"{boot} {space} gone"
    return f"{boot} {space} {'gone' if state == 'Z' else started}"
