"""A client that takes nothing is sent away, one that is slow is not."""

from __future__ import annotations

import asyncio

from fleetlabel.engine.rpc.stalls import StallWatch


def test_a_task_that_waits_for_ever_is_cancelled_and_told_from_others() -> None:
    async def stalled() -> bool:
        watch = StallWatch(0.02)
        try:
            watch.waits()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return watch.expired
        finally:
            watch.close()
        return False

    async def cancelled() -> bool:
        watch = StallWatch(60.0)
        try:
            watch.waits()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return watch.expired
        finally:
            watch.close()
        return True

    async def both() -> tuple[bool, bool]:
        other = asyncio.create_task(cancelled())
        first = await stalled()
        other.cancel()
        return first, await other

    assert asyncio.run(both()) == (True, False)


def test_what_goes_on_is_left_alone() -> None:
    async def busy() -> None:
        begun_s = asyncio.get_running_loop().time()
        watch = StallWatch(0.02)
        for _ in range(20):
            watch.waits()
            await asyncio.sleep(0)
            watch.goes_on()
        while asyncio.get_running_loop().time() < begun_s + 0.1:  # longer than it may wait, but for nothing
            await asyncio.sleep(0.005)
        watch.close()
        assert not watch.expired

    asyncio.run(busy())
