"""The charger's side of its connection: connect and connect again, register, deliver what waits, stay alive."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from gateway.simulator import rpc
from gateway.simulator.config import ChargerConfig
from gateway.simulator.configuration import Configuration
from gateway.simulator.link import Dial, LinkClosed, LinkError, LinkRefused, Target, TlsDial, WebSocketLink, open_link
from gateway.simulator.messages import Message
from gateway.simulator.outbox import Entry, Outbox
from gateway.simulator.session import CallFailed, CallRefused, Reply, Session

#: When the central system leaves the wait before the next BootNotification to the charger (interval 0), and after
#: a BootNotification that failed, in seconds.
BOOT_RETRY = 60.0
#: How soon a charger registers anew after an answer that it is not registered, in seconds.
BOOT_AFTER_SECURITY_ERROR = 5.0
#: Whatever the speed, attempts to connect are at least so far apart, in real seconds: the gateway is real.
LEAST_PAUSE = 0.1


class Notifier:
    """Wakes all tasks that wait at the moment; earlier calls are not remembered.

    To be used where nothing is awaited between looking at the state and waiting for its change.
    """

    def __init__(self) -> None:
        self._next = trio.Event()

    def ring(self) -> None:
        """Wake all who wait."""
        self._next.set()
        self._next = trio.Event()

    async def wait(self) -> None:
        """Wait for the next ring. Cancelling is safe."""
        await self._next.wait()


class Connection:
    """Keeps one charger connected. Owns its registration and its credential.

    `reply` answers the central system's requests; `confirmed` is called with each delivered message and its
    confirmation, and raises ValueError for one that cannot be used; `registered` is called at each acceptance.
    """

    def __init__(
        self,
        config: ChargerConfig,
        configuration: Configuration,
        outbox: Outbox,
        dial: Dial,
        *,
        reply: Callable[[rpc.Call], Reply],
        confirmed: Callable[[Message, Mapping[str, Any]], None],
        registered: Callable[[], None],
        emit: Callable[..., None],
        boot_payload: Callable[[], dict[str, Any]],
    ) -> None:
        self.password = config.password
        self.registration: str | None = None
        self._config = config
        self._configuration = configuration
        self._outbox = outbox
        self._dial = dial
        self._reply = reply
        self._confirmed = confirmed
        self._registered = registered
        self._emit = emit
        self._boot_payload = boot_payload
        # Jitter only, and repeatable: not a secret.
        self._random = random.Random(f"{config.seed}/{config.identity}")  # noqa: S311
        self._link: WebSocketLink | None = None
        self._session: Session | None = None
        self._over = trio.Event()
        self._graceful = False
        self._useful = False
        self._dark_until = -float("inf")
        self._boot_wanted = False
        self._boot_not_before = -float("inf")
        self._delivery = Notifier()
        self._registering = Notifier()
        self._settings = Notifier()

    # --- what others ask of it -------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        """True while the link is up."""
        return self._session is not None

    @property
    def accepted(self) -> bool:
        """True if the central system accepted this charger, on this link or an earlier one (J §5.4)."""
        return self.registration == "Accepted"

    async def call(self, action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Send a CALL now. Raises CallFailed or LinkClosed, also when there is no link."""
        if self._session is None:
            raise LinkClosed
        return await self._session.call(action, payload)

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._delivery.ring()

    def settings_changed(self) -> None:
        """An interval changed; the wait that it rules starts anew."""
        self._settings.ring()

    def boot_again(self) -> None:
        """Send a BootNotification as soon as possible."""
        self._boot_wanted = True
        self._registering.ring()

    def hang_up(self, *, graceful: bool, dark_for: float = 0.0, rebooted: bool = False) -> None:
        """End the link, with or without a close handshake, and stay away for so many real seconds. `rebooted`: the
        charger starts afresh and has to register again."""
        if rebooted:
            self.registration = None
            self._boot_not_before = -float("inf")
        if dark_for > 0:
            self._dark_until = max(self._dark_until, trio.current_time() + dark_for)
        if not graceful and self._link is not None:
            self._link.sever()
            self._session = None
        self._graceful = graceful
        self._over.set()

    def present(self, chain: str, key: bytes) -> None:
        """Connect anew with this certificate of the charger's own (PEM), where the connection is over TLS."""
        if isinstance(self._dial, TlsDial):
            self._dial.present(chain, key)
            self.hang_up(graceful=True)

    # --- connecting ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected until cancelled; every failure is followed by another attempt (JE 3.3)."""
        failures = 0
        while True:
            # Darkness may have been prolonged while it was sat out.
            while trio.current_time() < self._dark_until:  # noqa: ASYNC110 - a time, not a condition of another task
                await trio.sleep_until(self._dark_until)
            self._over, self._graceful, self._useful = trio.Event(), False, False
            self._emit("connecting", url=self._config.url)
            ended = await self._one_link()
            failures = 0 if self._useful else failures + 1
            if self._over.is_set() and self._graceful:
                self._emit("link_closed")
                continue
            pause = self._pause(failures, ended)
            name = "link_lost" if isinstance(ended, LinkClosed) else "link_failed"
            self._emit(name, reason=str(ended), retry_in=round(pause, 2))
            await trio.sleep(pause)

    def _pause(self, failures: int, ended: LinkError) -> float:
        longest = self._config.reconnect_most
        doubled = min(self._config.reconnect_least * 2.0 ** min(max(failures - 1, 0), 30), longest)
        pause = max(self._config.pace(doubled) * self._random.uniform(0.5, 1.5), LEAST_PAUSE)
        if isinstance(ended, LinkRefused) and ended.retry_after is not None:
            pause = max(pause, ended.retry_after)
        return pause

    async def _one_link(self) -> LinkError:
        """Connect, use the link until it ends, and answer why it did. Never raises for a peer's doing."""
        ended: LinkError = LinkClosed()
        target = Target.of(self._config.url, self._config.identity, self.password)
        async with trio.open_nursery() as nursery:
            try:
                link = await nursery.start(open_link, target, self._dial)
                ended = await self._use(link)
            except LinkError as error:
                ended = error
            nursery.cancel_scope.cancel()
        return ended

    async def _use(self, link: WebSocketLink) -> LinkError:
        session = Session(link, self._reply)
        ended: LinkError = LinkClosed()

        async def read() -> None:
            nonlocal ended
            try:
                await session.run()
            except LinkClosed as error:
                ended = error
                self._over.set()

        self._link, self._session = link, session
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                self._emit("link_up")
                for duty in (self._keep_registered, self._deliver, self._heartbeat):
                    nursery.start_soon(self._while_up, duty, session)
                nursery.start_soon(self._ping, link)
                await self._over.wait()
                if self._graceful:
                    await link.aclose()
                nursery.cancel_scope.cancel()
        finally:
            self._link = self._session = None
        return ended

    @staticmethod
    async def _while_up(duty: Callable[[Session], Awaitable[None]], session: Session) -> None:
        try:
            await duty(session)
        except LinkClosed:
            pass  # the reader hears the same and ends the link

    # --- registering -----------------------------------------------------------------------------------------

    async def _keep_registered(self, session: Session) -> None:
        while True:
            while not self._boot_wanted:
                due = float("inf") if self.accepted else self._boot_not_before
                if trio.current_time() >= due:
                    break
                with trio.move_on_at(due):
                    await self._registering.wait()
            self._boot_wanted = False
            await self._boot(session)

    async def _boot(self, session: Session) -> None:
        wait = BOOT_RETRY
        try:
            confirmation = await session.call("BootNotification", self._boot_payload())
        except CallFailed as error:
            self._emit("boot_failed", reason=str(error))
        else:
            status, interval = confirmation.get("status"), confirmation.get("interval")
            self.registration = str(status)
            self._useful = self.accepted  # refused and thrown out again and again must not be without back-off
            self._emit("registered", status=status, interval=interval)
            given = interval if isinstance(interval, int) and interval > 0 else None
            wait = given or BOOT_RETRY
            if self.accepted:
                if given is not None:  # to an accepted charger it is the heartbeat's (S §4.2)
                    self._configuration.change("HeartbeatInterval", str(given))
                    self._settings.ring()
                self._registered()
        self._boot_not_before = trio.current_time() + self._config.pace(wait)
        self._delivery.ring()

    def _not_registered(self) -> None:
        """The central system answered SecurityError: it does not count this charger as accepted (JE 3.8)."""
        if self.accepted:
            self.registration = None
            self._boot_not_before = trio.current_time() + self._config.pace(BOOT_AFTER_SECURITY_ERROR)
            self._registering.ring()

    # --- delivering ------------------------------------------------------------------------------------------

    async def _deliver(self, session: Session) -> None:
        while True:
            entry = self._outbox.next(trio.current_time(), accepted=self.accepted)
            if entry is not None:
                await self._deliver_one(session, entry)
                continue
            retry = self._outbox.next_retry(accepted=self.accepted)
            with trio.move_on_at(float("inf") if retry is None else max(retry, trio.current_time())):
                await self._delivery.wait()

    async def _deliver_one(self, session: Session, entry: Entry) -> None:
        """Send one message. It stays in the outbox until the answer is there, so a lost link loses nothing."""
        message = entry.message
        try:
            confirmation = await session.call(message.action, message.wire_payload())
            self._confirmed(message, confirmation)
        except CallRefused as error:
            if error.code == "SecurityError" and self.accepted:
                self._not_registered()  # not this message's fault: it is sent again after the Boot
                return
            self._failed(entry, str(error))
        except (CallFailed, ValueError) as error:
            self._failed(entry, str(error))
        else:
            self._useful = True
            self._outbox.delivered(entry)
            self._emit("delivered", action=message.action, waiting=len(self._outbox))

    def _failed(self, entry: Entry, reason: str) -> None:
        self._emit("delivery_failed", action=entry.message.action, reason=reason)
        self._outbox.failed(
            entry,
            trio.current_time(),
            attempts=self._configuration.whole("TransactionMessageAttempts"),
            interval=self._config.pace(self._configuration.whole("TransactionMessageRetryInterval")),
        )

    # --- staying alive ---------------------------------------------------------------------------------------

    async def _heartbeat(self, session: Session) -> None:
        share = self._random.uniform(0.5, 1.0)  # many chargers that start together do not beat together
        while True:
            interval = self._config.pace(self._configuration.whole("HeartbeatInterval"))
            with trio.move_on_after(interval * share):
                await self._settings.wait()
                continue
            share = 1.0
            if not self.accepted:
                continue
            try:
                await session.call("Heartbeat", {})
                self._useful = True
            except CallRefused as error:
                if error.code == "SecurityError":
                    self._not_registered()
            except CallFailed:
                pass  # a heartbeat is not worth a retry: the next one is near

    async def _ping(self, link: WebSocketLink) -> None:
        """WebSocket pings (J §5.3); a pong that does not come in the time of one interval ends the link."""
        while True:
            interval = self._config.pace(self._configuration.whole("WebSocketPingInterval"))
            with trio.move_on_after(interval or float("inf")):
                await self._settings.wait()
                continue
            try:
                await link.ping(max(interval, 1.0))
            except LinkClosed:
                self._over.set()
                return
