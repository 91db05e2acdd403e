"""The bus between nodes on NATS core: a client in an asyncio loop of its own, behind the bridge.

Nothing else of the gateway knows NATS. Requests are at most once, bells may be lost: no promise rests on either.
"""

import asyncio
import builtins
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
import trio
from attrs import define, field
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError, TimeoutError

from gateway.bridge.bridge import Bridge
from gateway.bridge.bus import BusDown, Handler, NoResponder
from gateway.bridge.mailbox import BridgeError, Unavailable
from gateway.bridge.nats_connection import NatsAddress, NatsConnection
from gateway.bridge.thread import Started

RETRY_SECONDS: Final = 0.5
"""Between attempts to connect. Nothing waits for it: without the bus nodes poll."""

MAX_ANSWERING: Final = 2_048
"""Requests of other nodes that are answered at once; further ones are not taken, and their nodes hear nothing."""

PENDING_BYTES: Final = 4 * 1024 * 1024
"""That wait to be sent: commands have kilobytes, firmware is not among them."""

log = structlog.get_logger()


@define(eq=False)
class _Waiting:
    """A request whose reply a Trio task waits for."""

    over: trio.Event = field(factory=trio.Event)
    reply: bytes = b""
    error: Exception | None = None


class NatsClient:
    """One connection to NATS, for as long as ``run`` runs. Methods but ``run``'s inner ones belong to the Trio loop."""

    def __init__(self, address: NatsAddress) -> None:
        self._address = address
        self._bridge = Bridge(max_calls=MAX_ANSWERING)
        self._client: NatsConnection | None = None
        self._subjects: dict[str, Callable[[Msg], Awaitable[None]]] = {}
        self._subscribed: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed: asyncio.Event | None = None
        self._connected = False
        self._ending = False
        self._error: Exception | None = None

    # --- in Trio ----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """True while a server is reached, as far as is known."""
        return self._connected

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, again and again, until cancelled. Started before there is a server. May be run again afterwards."""
        self._ending, self._bridge = False, Bridge(max_calls=MAX_ANSWERING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_cancelled)
            await self._bridge.run(self._main, task_status=task_status)
            nursery.cancel_scope.cancel()

    async def _until_cancelled(self) -> None:
        """Have asyncio's side end, too, where a cancellation is lost: nats-py waits by ``asyncio.wait_for``, which
        forgets one that comes with the result (Python 3.11)."""
        try:
            await trio.sleep_forever()
        finally:
            self._ending = True
            self._post(self._notice)

    async def request(self, subject: str, message: bytes, seconds: float) -> bytes:
        """The reply to a message. Raises ``BusDown``, ``NoResponder``, and ``trio.TooSlowError`` where none came."""
        if not self._connected:
            raise BusDown("no NATS server is reached")
        waiting, token = _Waiting(), trio.lowlevel.current_trio_token()

        def begin() -> None:
            self._keep(self._ask(subject, message, seconds, waiting, token))

        try:
            self._bridge.post(begin)
        except Unavailable as error:
            raise BusDown("the client of NATS is over") from error
        with trio.fail_after(seconds):
            await waiting.over.wait()
        if waiting.error is not None:
            raise waiting.error
        return waiting.reply

    def ring(self, subject: str) -> None:
        """Publish an empty message, if a server is reached. Never waits."""
        if self._connected:
            self._post(lambda: self._keep(self._publish(subject)))

    def serve(self, subject: str, handler: Handler) -> None:
        """Answer requests of a subject by a function that runs in Trio; from now on, whenever a server is reached."""

        async def answer(message: Msg) -> None:
            try:
                await message.respond(await self._bridge.call(handler, message.data))
            except (BridgeError, Error) as error:
                log.warning("a node's request was not answered", error=repr(error))

        async def take(message: Msg) -> None:
            self._keep(answer(message))

        self._subjects[subject] = take
        self._post(self._notice)

    def withdraw(self, subject: str) -> None:
        """Answer requests, or hear bells, of a subject no more."""
        self._subjects.pop(subject, None)
        self._post(self._notice)

    def listen(self, subject: str, heard: Callable[[], None]) -> None:
        """Have ``heard`` called in Trio for each message of a subject, several of them at once perhaps."""

        async def hear() -> None:
            heard()

        async def take(_: Msg) -> None:
            self._keep(self._hear(hear))

        self._subjects[subject] = take
        self._post(self._notice)

    def _post(self, callback: Callable[[], None]) -> None:
        try:
            self._bridge.post(callback)
        except Unavailable:
            pass  # not started yet, and then all subjects are subscribed at the start; or over

    # --- in asyncio -------------------------------------------------------------------------------------------

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notice(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def _main(self, started: Started) -> None:
        self._changed = asyncio.Event()
        started()
        try:
            failed = False
            while not self._ending:
                client = self._client = NatsConnection()
                try:
                    await client.connect(**self._options())
                    self._connected = True
                    failed = False
                    log.info("NATS reached")
                    await self._follow(client)
                except (Error, OSError, builtins.TimeoutError) as error:
                    say = log.debug if failed else log.warning
                    say("NATS not reached", error=repr(self._error or error), next_try_seconds=RETRY_SECONDS)
                    failed = True
                finally:
                    self._connected = False
                    self._subscribed.clear()
                    await client.leave()
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            for task in tuple(self._tasks):
                task.cancel()

    def _options(self) -> dict[str, Any]:
        return {
            **self._address.options(),
            "no_echo": True,  # its own bells say nothing to a node
            "allow_reconnect": False,  # `_main` does it: nothing is kept meanwhile, and sent when it is too late
            "max_reconnect_attempts": 1,  # of each server, twice; else the library tries for minutes
            "reconnect_time_wait": 0,
            "ping_interval": 2,
            "max_outstanding_pings": 2,
            "pending_size": PENDING_BYTES,
            "error_cb": self._failed,
            "closed_cb": self._closed,
            "disconnected_cb": self._closed,
        }

    async def _failed(self, error: Exception) -> None:
        """Say what fails on a connection that is there; why there is none is said once."""
        self._error = error
        (log.warning if self._connected else log.debug)("NATS failed", error=repr(error))

    async def _closed(self) -> None:
        self._connected = False
        self._notice()

    async def _follow(self, client: NatsConnection) -> None:
        """Keep the subscriptions as they are wanted, until the connection is over."""
        assert self._changed is not None, "it is set before"
        while client.is_connected and not self._ending:
            self._changed.clear()
            for subject in self._subscribed.keys() - self._subjects.keys():
                await self._subscribed.pop(subject).unsubscribe()
            for subject, take in tuple(self._subjects.items()):  # Trio's side may withdraw one meanwhile
                if subject not in self._subscribed:
                    self._subscribed[subject] = await client.subscribe(subject, cb=take)
            await client.flush()
            if not self._ending:
                await self._changed.wait()

    async def _ask(
        self, subject: str, message: bytes, seconds: float, waiting: _Waiting, token: trio.lowlevel.TrioToken
    ) -> None:
        try:
            if self._client is None or not self._client.is_connected:
                raise BusDown("no NATS server is reached")
            reply = await self._client.request(subject, message, timeout=seconds)
            waiting.reply = reply.data
        except NoRespondersError:
            waiting.error = NoResponder(f"no node answers at {subject}")
        except BusDown as error:
            waiting.error = error
        except (TimeoutError, Error, OSError, asyncio.CancelledError):
            waiting.error = trio.TooSlowError(f"no answer at {subject}")  # it may have been delivered
        try:
            token.run_sync_soon(waiting.over.set)
        except trio.RunFinishedError:
            pass

    async def _publish(self, subject: str) -> None:
        if self._client is not None and self._client.is_connected:
            try:
                await self._client.publish(subject)
            except Error as error:
                log.debug("a bell was not rung", error=repr(error))

    async def _hear(self, hear: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._bridge.call(hear)
        except BridgeError:
            pass  # many ring at once, or it is over
