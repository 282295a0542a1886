"""A PostgreSQL server for tests, in a folder of its own, as a user of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """Folder of the newest server's programs; installs Debian's where that is allowed. None: there is none."""
    found = _installed()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"]
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(install, env=quiet, capture_output=True, timeout=300, check=False)
        found = _installed()
    return found


def _installed() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    if versions:
        return versions[-1].parent
    there = shutil.which("initdb")
    return None if there is None else Path(there).parent


@contextmanager
def running(programs: Path) -> Iterator[Path]:
    """A server while the context lasts: the folder of its socket; user ``fleetlabel``, no password."""
    folder = Path(tempfile.mkdtemp(prefix="fleetlabel-postgres-"))
    user = _unprivileged()
    as_user = {} if user is None else {"user": user}
    if user is not None:
        shutil.chown(folder, user)

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        log = folder.with_suffix(".log")
        with log.open("ab") as output:
            done = subprocess.run(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=120,
                **as_user,
            )
        assert done.returncode == 0, log.read_text()

    data = str(folder / "data")
    # The kills are the engine's, not the server's: it need not wait for a disk.
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=200"
    try:
        call("initdb", "-D", data, "-U", "fleetlabel", "--auth=trust", "-E", "UTF8", "--no-sync")
        call("pg_ctl", "-D", data, "-w", "-t", "60", "-o", options, "start")
        try:
            yield folder
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)


def _unprivileged() -> str | None:
    """The user that the server runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError("this machine has neither a user postgres nor nobody")
