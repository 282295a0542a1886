"""Clients that take nothing: noticed by one timer a stream; a timeout for each message costs a fifth of sending it."""

from __future__ import annotations

import asyncio

_LOOKS = 8  # within the longest time


class StallWatch:
    """Cancels the task that made it once that has waited for one thing for too long.

    Attributes:
        expired: whether it did.
    """

    def __init__(self, longest_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None, "made within a task"
        self.expired = False
        self._task, self._loop = task, asyncio.get_running_loop()
        self._longest_s = longest_s
        self._since_s: float | None = None
        self._look()

    def waits(self) -> None:
        """The task begins to wait."""
        self._since_s = self._loop.time()

    def goes_on(self) -> None:
        """What it waited for has come."""
        self._since_s = None

    def close(self) -> None:
        """Nothing is watched any more."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._since_s is not None and self._loop.time() - self._since_s > self._longest_s:
            self.expired = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_later(self._longest_s / _LOOKS, self._look)
