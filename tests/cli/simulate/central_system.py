"""A scripted central system over TLS in a thread, for commands that run a simulated charger in the main one."""

import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from attrs import frozen

from tests.simulator.central import Central
from tests.simulator.test_fleet import Tls

SECONDS = 60.0
"""A guard against hanging, for a dialogue that takes milliseconds."""

Script = Callable[[Central], Awaitable[None]]
"""The course of the dialogue on the side of the central system."""


@frozen
class Place:
    """The options by which chargers find the central system, and the central system, to look at afterwards."""

    url: str
    ca: Path
    central: Central

    @property
    def options(self) -> tuple[object, ...]:
        return ("--url", self.url, "--ca", self.ca, "--key-text", "0123456789abcdef")


@contextmanager
def central_system(folder: Path, script: Script) -> Iterator[Place]:
    """Serve, and follow the script, until the block is left. Raises what the script raises."""
    begun: queue.Queue[tuple[Place, trio.lowlevel.TrioToken, trio.CancelScope]] = queue.Queue()
    failures: list[BaseException] = []

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                tls = Tls(nursery)
                tls.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
                place = Place(await tls.listen(), folder / "ca.pem", tls.central)
                begun.put((place, trio.lowlevel.current_trio_token(), scope))
                with trio.fail_after(SECONDS):
                    await script(tls.central)
                await trio.sleep_forever()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    place, token, scope = begun.get(timeout=SECONDS)
    try:
        yield place
    finally:
        if thread.is_alive():
            token.run_sync_soon(scope.cancel)
        thread.join(SECONDS)
    if failures:
        raise failures[0]
