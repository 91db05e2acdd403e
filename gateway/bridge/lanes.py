"""The two ways across, one in each direction, and the nursery where what comes across runs in Trio."""

from collections.abc import Awaitable, Callable

import trio

from gateway.bridge.errors import Unavailable
from gateway.bridge.mailbox import Callback, Mailbox


class Lanes:
    """Each lane is opened by the loop that it leads to."""

    def __init__(self) -> None:
        self.trio: Mailbox | None = None
        self.asyncio: Mailbox | None = None
        self.nursery: trio.Nursery | None = None

    def to_trio(self, callback: Callback) -> None:
        """From asyncio: have ``callback`` run in Trio. Raises Unavailable."""
        if self.trio is None:
            raise Unavailable("the gateway has not started")
        self.trio.put(callback)

    def to_asyncio(self, callback: Callback) -> None:
        """From Trio, or any thread: have ``callback`` run in the asyncio loop. Raises Unavailable."""
        if self.asyncio is None:
            raise Unavailable("the asyncio loop has not started")
        self.asyncio.put(callback)

    def report(self, callback: Callback) -> None:
        """To asyncio, where having nobody to tell any more is fine."""
        try:
            self.to_asyncio(callback)
        except Unavailable:
            pass  # that loop has ended, and with it everyone who waited

    def request(self, callback: Callback) -> None:
        """To Trio, where having nobody to ask any more is fine."""
        try:
            self.to_trio(callback)
        except Unavailable:
            pass  # Trio's part is over, and with it all that ran there

    def spawn(self, fn: Callable[[], Awaitable[None]]) -> bool:
        """In Trio: start a task. False: the bridge is being taken down."""
        if self.nursery is None:
            return False
        self.nursery.start_soon(fn)
        return True
