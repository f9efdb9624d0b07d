"""The asyncio client under test, as it was built, and loops to run it on."""
import asyncio
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("LK_SRCDIR", HERE.parents[1]))
# Beside its extension in C; what was not built is Python alone.
BUILD = pathlib.Path(os.environ.get("LK_BUILDDIR", SOURCE))
PYTHON = BUILD / "python"
if not (PYTHON / "lockkeeper" / "__init__.py").exists():
    PYTHON = SOURCE / "python"
sys.path.insert(0, str(PYTHON))

import lockkeeper  # noqa: E402 pylint: disable=wrong-import-position


def run(daemon, program, **options):
    """program(lk) with a client of the daemon's, until it returns; and then
    nothing of it is left in the daemon."""
    async def main():
        async with lockkeeper.connect(daemon.socket, **options) as lk:
            return await program(lk)

    return asyncio.run(main())


def run_uvloop(daemon, program, **options):
    import uvloop
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        return run(daemon, program, **options)
    finally:
        asyncio.set_event_loop_policy(None)


async def eventually(probe, what, timeout_s=20.0):
    """As timing's, of a coroutine function."""
    end = asyncio.get_running_loop().time() + timeout_s
    while True:
        answer = await probe()
        if answer:
            return answer
        assert asyncio.get_running_loop().time() < end, \
            f"not in time: {what} (last: {answer!r})"
        await asyncio.sleep(0.01)
