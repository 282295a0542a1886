"""A display without a screen, the app on it, and hands that reach it through xdotool."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from fleetlabel.viewers.panels import theme
from fleetlabel.viewers.window.screen_check import vulkan_problem
from viewers.app.hands import Drag, Input, Key, Wheel

WIDTH, HEIGHT = 1600, 1000
PATIENCE_S = 120.0
_NAMES = {
    "enter": "Return",
    "delete": "Delete",
    "escape": "Escape",
    "tab": "Tab",
    "space": "space",
    "[": "bracketleft",
    "]": "bracketright",
}
_GRIP_S = 1.0  # Open3D takes for the place of a press where the pointer is once it comes to it
_PAUSE_S = 0.12  # a person's: Open3D takes a button that goes down and up at once for none


def missing_for_windows() -> str:
    """Why no window can be driven here; "" if one can."""
    programs = [name for name in ("Xvfb", "xdotool", "import") if shutil.which(name) is None]
    return f"{', '.join(programs)} not installed; see .ci/setup" if programs else vulkan_problem()


@contextmanager
def virtual_display() -> Iterator[str]:
    """Name of an X display of the default window's size, as long as it lasts."""
    read, write = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(write),
        "-screen",
        "0",
        f"{WIDTH}x{HEIGHT}x24",
        "-nolisten",
        "tcp",
        "-noreset",
    ]
    server = subprocess.Popen(command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            yield ":" + pipe.readline().strip()
    finally:
        server.terminate()
        server.wait()


class App:
    """``fleetlabel view`` in a process of its own."""

    def __init__(self, store: Path | str, display: str, *options: str) -> None:
        self.environment = os.environ | {"DISPLAY": display, "OMP_NUM_THREADS": "1"}
        self.environment.pop("WAYLAND_DISPLAY", None)
        code = "from fleetlabel.engine.cli.app import main; main()"
        command = [sys.executable, "-X", "faulthandler", "-c", code, "view", str(store), *options]
        self.process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def wait_until_drawn(self) -> None:
        """Until the header and the timeline are on the screen, and the queue is ranked."""
        self.wait_for(self._is_drawn, "the window was not drawn")
        time.sleep(1.0)

    def _is_drawn(self) -> bool:
        picture = self.screenshot()
        return bool((picture[HEIGHT - 4, WIDTH - 4] == theme.PANEL).all())

    def wait_for(self, happened: Callable[[], bool], problem: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not happened():
            assert self.process.poll() is None, f"the app ended: {self.output()}"
            assert time.monotonic() < end, problem
            time.sleep(0.2)

    def screenshot(self, path: Path | None = None) -> np.ndarray:
        """The screen (H, W, 3) BGR."""
        command = ["import", "-window", "root", "png:-"]
        png = subprocess.run(command, env=self.environment, check=True, capture_output=True).stdout
        if path is not None:
            path.write_bytes(png)
        return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR_BGR))

    # --- hands ------------------------------------------------------------------------------------------------------

    def do(self, done: Input) -> None:
        """Does with pointer and keyboard what hands do."""
        if isinstance(done, Wheel):
            self._pointer_to(done.at)
            for _ in range(abs(done.turns)):
                self._xdotool("click", "4" if done.turns > 0 else "5")
                time.sleep(_PAUSE_S)
            return
        held = [{"ctrl": "Control_L", "shift": "Shift_L", "alt": "Alt_L"}[name] for name in done.held]
        if isinstance(done, Key):
            if done.at is not None:
                self._pointer_to(done.at)
            for name in held:
                self._xdotool("keydown", name)
            self._xdotool("keydown", _NAMES.get(done.key, done.key))
            time.sleep(_PAUSE_S)
            self._xdotool("keyup", _NAMES.get(done.key, done.key))
        else:
            self._pointer_to(done.start)
            for name in held:
                self._xdotool("keydown", name)
            time.sleep(_PAUSE_S)
            self.press(done)
            self._xdotool("mouseup", "1")
        time.sleep(_PAUSE_S)
        for name in reversed(held):
            self._xdotool("keyup", name)
        time.sleep(_PAUSE_S)

    def press(self, drag: Drag) -> None:
        """A drag without its end."""
        self._pointer_to(drag.start)
        time.sleep(_PAUSE_S)
        self._xdotool("mousedown", "1")
        time.sleep(_GRIP_S if drag.start != drag.stop else _PAUSE_S)
        if drag.start != drag.stop:
            (x0, y0), (x1, y1) = drag.start, drag.stop
            for share in (0.25, 0.5, 0.75, 1.0):
                self._pointer_to((x0 + share * (x1 - x0), y0 + share * (y1 - y0)))

    def title(self) -> str:
        """Of the window; it follows what the app shows."""
        found = ["xdotool", "search", "--name", "FleetLabel", "getwindowname"]
        told = subprocess.run(found, env=self.environment, capture_output=True, text=True)
        return told.stdout.strip()

    def enlarge(self, number: int) -> None:
        """Space and a digit together."""
        self._xdotool("keydown", "space")
        self._xdotool("key", str(number))
        self._xdotool("keyup", "space")
        time.sleep(_PAUSE_S)

    def _pointer_to(self, at: tuple[float, float]) -> None:
        self._xdotool("mousemove", str(round(at[0])), str(round(at[1])))
        time.sleep(_PAUSE_S)

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.environment, check=True)

    # --- its end ----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._xdotool("mouseup", "1")  # whose app is gone lets go; else no press of the next app begins

    def close(self) -> int:
        """Asks it to end, as a session does that is logged out of; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def output(self) -> str:
        """What it wrote."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().decode(errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.startswith("Extension modules"))
