"""Everything that happens to a gateway, at once, for as long as one likes: chargers that charge and lose their links,
are taken over and commanded, others that flood, trickle and never read, watchers that come and go, strangers.

The chargers that charge keep their own books; in the end the gateway's are held against them.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import trio
from attrs import define, field, frozen

from gateway.api.v1 import command_pb2 as commands
from gateway.api.v1 import event_pb2 as events
from tests.endtoend.asking import failure, in_thread, trigger
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.test_crash import LoadedCharger, Message
from tests.endtoend.wire import Closed, LinkLost, Refused, Wire, upgrade
from tests.hostile.conftest import MEGABYTE, metric
from tests.hostile.link import Ended, Link
from tests.ocpp.v16.test_large_payloads import METER_VALUES, filled
from tests.support.frames import BINARY, CONT, PING, TEXT, frame

SETTINGS: dict[str, dict[str, Any]] = {
    "sessions": {
        "heartbeat_interval": 10,
        "retry_interval": 10,
        "silence_seconds": 40,
        "ping_grace_seconds": 2,
        "tls_handshake_seconds": 3,
        "upgrade_seconds": 3,
        "write_seconds": 3,
        "call_timeout_seconds": 5,
        "max_concurrent_handshakes": 32,
    },
    "authorization": {"unknown_tags": "Accepted"},
    "logging": {"level": "warning"},
}

OUTCOMES = frozenset(
    {
        (grpc.StatusCode.FAILED_PRECONDITION, "CHARGE_POINT_OFFLINE"),
        (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "NOT_SENT"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
    }
)
"""What may become of a command besides its answer, while links break."""

ENDS = (trio.BrokenResourceError, trio.ClosedResourceError, LinkLost, Closed, Ended, OSError)
"""Ends that a charger's link may meet while it acts, also at the end of the run."""

PACE = 0.3
"""Seconds between two messages of a charger that charges, about."""


@define
class PacedCharger(LoadedCharger):
    """A charger that charges in its own time."""

    async def _deliver(self, links: trio.Nursery, message: Message) -> Any:
        await trio.sleep(random.uniform(0, 2 * PACE))
        return await super()._deliver(links, message)

    async def cut(self) -> None:
        """Its link breaks."""
        if self._charger is not None:
            await self._charger.wire.cut()


@frozen
class Sample:
    """Figures of the process at one time."""

    at: float
    rss: int
    database: int
    descriptors: int
    threads: int


@define
class Churn:
    """One soak of one gateway that serves with ``SETTINGS``."""

    gateway: Gateway
    chargers: list[PacedCharger] = field(factory=list)
    happened: Counter[str] = field(factory=Counter)
    surprises: list[str] = field(factory=list)
    """What no charger and no caller should have seen."""
    samples: list[Sample] = field(factory=list)
    _known: dict[str, str] = field(factory=dict)

    def provision(self, how_many: int) -> None:
        for n in range(how_many):
            identity = f"CP{n:02}"
            self.chargers.append(PacedCharger(self.gateway, identity, self.gateway.add_with_new_key(identity)))
        for name in ("flooder", "garbler", "mute", "trickler", "half-open", "heavy"):
            self.gateway.add_charge_point(name)

    async def run(self, seconds: float) -> None:
        """Churn, and let the chargers finish what they are at."""
        enough = trio.Event()
        async with trio.open_nursery() as charging:
            for charger in self.chargers:
                charging.start_soon(charger.run, enough)
            async with trio.open_nursery() as nursery:
                for act, pause in self._acts():
                    nursery.start_soon(self._again_and_again, act, pause)
                nursery.start_soon(self._measure, seconds)
                await trio.sleep(seconds)
                nursery.cancel_scope.cancel()
            enough.set()

    def _acts(self) -> list[tuple[Callable[[], Awaitable[None]], float]]:
        """The acts, each with the pause after it in seconds, about."""
        return [
            (self.cut_a_link, 0.3),
            (self.take_one_over, 0.5),
            (self.command_one, 0.05),
            (self.command_one, 0.05),
            (self.watch_for_a_while, 0.3),
            (self.flood, 1.0),
            (self.garble, 0.2),
            (self.read_nothing, 0.5),
            (self.trickle, 0.5),
            (self.leave_half_open, 1.0),
            (self.send_a_heavy_one, 8.0),
            (self.knock, 0.02),
            (self.stay_silent_at_the_door, 0.3),
        ]

    async def _again_and_again(self, act: Callable[[], Awaitable[None]], pause: float) -> None:
        name = act.__name__
        while True:
            try:
                with trio.fail_after(60):
                    await act()
                self.happened[name] += 1
            except* ENDS:
                self.happened[f"{name} cut short"] += 1
            except* Exception as errors:
                self.surprises.append(f"{name}: {errors.exceptions!r}")
            await trio.sleep(random.uniform(0.5, 1.5) * pause)

    # --- chargers that charge ---------------------------------------------------------------------------------

    async def cut_a_link(self) -> None:
        await random.choice(self.chargers).cut()

    async def take_one_over(self) -> None:
        """A second connection of the same charger, which is displaced in turn when the first comes back."""
        charger = random.choice(self.chargers)
        try:
            wire = await Wire.open(self.gateway, charger.identity, key=charger.key)
        except Refused as refused:
            self.surprises.append(f"take-over refused: {refused.status}")
            return
        try:
            with trio.move_on_after(0.1):
                await wire.receive()
        finally:
            await wire.cut()

    async def command_one(self) -> None:
        identity = random.choice(self.chargers).identity
        outcome = await in_thread(self._command, identity)
        self.happened[f"command: {outcome}"] += 1

    def _command(self, identity: str) -> str:
        try:
            return commands.TriggerMessageStatus.Name(trigger(self.gateway, identity, 10).status)
        except grpc.RpcError as raised:
            error = raised

            def again() -> None:
                raise error

            status, reason, _ = failure(again)
            if (status, reason) not in OUTCOMES:
                self.surprises.append(f"a command to {identity}: {status} {reason}")
            return reason

    async def watch_for_a_while(self) -> None:
        await in_thread(self._watch, random.choice([events.WATCH_START_NOW, events.WATCH_START_BEGINNING]))

    def _watch(self, start: events.WatchStart.ValueType) -> None:
        """Some batches, the last of them unread."""
        stream = self.gateway.events.WatchEvents(events.WatchEventsRequest(start_at=start), timeout=2)
        try:
            for _, _ in zip(range(random.randrange(1, 30)), stream, strict=False):
                pass
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                self.surprises.append(f"a watch ended with {error.code()}")
        finally:
            stream.cancel()  # type: ignore[no-untyped-call]

    # --- the others -------------------------------------------------------------------------------------------

    @contextmanager
    def _link(self, link: Link) -> Iterator[Link]:
        try:
            yield link
        finally:
            link.close()

    async def flood(self) -> None:
        """Valid messages and pings as fast as they go, read and answered."""
        with self._link(await Link.open(self.gateway, "flooder")) as link:
            data = random.choice([frame(TEXT, b'[2,"1","Heartbeat",{}]') * 40, frame(PING, b"x" * 100) * 40])
            with trio.move_on_after(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read_on, link)
                    while True:
                        await link.send(data)

    async def _read_on(self, link: Link) -> None:
        while True:
            await link.message()

    async def garble(self) -> None:
        """One of the ways to be closed."""
        with self._link(await Link.open(self.gateway, "garbler", boot=False)) as link:
            await link.send(
                random.choice(
                    [
                        frame(BINARY, b"x"),
                        frame(TEXT, b"\xff"),
                        frame(TEXT, b"[]", rsv=4),
                        frame(TEXT, b"", length=2**40),
                        frame(TEXT, b"", fin=False) * 2,
                        frame(TEXT, b"nonsense") * 60,
                        frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) * 50,
                        os.urandom(500),
                    ]
                )
            )
            with trio.move_on_after(2):
                await link.end()

    async def read_nothing(self) -> None:
        """Pings whose pongs are not read."""
        with (
            self._link(await Link.open(self.gateway, "mute", receive_buffer=4096)) as link,
            trio.move_on_after(10),
        ):
            while True:
                await link.send(frame(PING, b"x" * 125) * 20)

    async def trickle(self) -> None:
        """A message by the byte."""
        with self._link(await Link.open(self.gateway, "trickler")) as link:
            for byte in frame(TEXT, b'[2,"alive","Heartbeat",{}]'):
                await link.send(bytes([byte]))
                await trio.sleep(0.05)
            await link.answer("alive")

    async def leave_half_open(self) -> None:
        """A link that is neither used nor closed, until the next one replaces it or silence ends it."""
        with self._link(await Link.open(self.gateway, "half-open")):
            await trio.sleep(random.choice([0.1, 1, 50]))  # silence_seconds and ping_grace_seconds are 42

    async def send_a_heavy_one(self) -> None:
        """A megabyte, wrong in every place."""
        with self._link(await Link.open(self.gateway, "heavy")) as link:
            await link.say(filled(METER_VALUES, '{"timestamp":"x"}', "]}]"))
            await link.lives()

    async def knock(self) -> None:
        """Strangers, wrong keys, browsers."""
        with self._link(await Link.secure(self.gateway)) as link:
            request, status = random.choice(
                [
                    (upgrade("nobody"), b"404"),
                    (upgrade("CP00", b"not the key"), b"401"),
                    (b"GET / HTTP/1.1\r\n\r\n", b"426"),
                ]
            )
            await link.send(request)
            head = await link.head()
            if head.split(b" ")[1:2] != [status]:
                self.surprises.append(f"{status!r} was expected, found {head[:60]!r}")

    async def stay_silent_at_the_door(self) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", self.gateway.port)
        try:
            await stream.send_all(os.urandom(random.randrange(3)))
            await trio.sleep(random.uniform(0, 5))
        finally:
            await trio.aclose_forcefully(stream)

    # --- what it costs ----------------------------------------------------------------------------------------

    async def _measure(self, seconds: float) -> None:
        while True:
            self.samples.append(self.sample())
            await trio.sleep(min(5.0, seconds / 20))

    def sample(self) -> Sample:
        folder = Path(f"/proc/{self.gateway.pid}")
        database = sum(path.stat().st_size for path in self.gateway.folder.glob("gateway.db*"))
        return Sample(
            time.monotonic(),
            self.gateway.rss(),
            database,
            len(list((folder / "fd").iterdir())),
            len(list((folder / "task").iterdir())),
        )


CACHES = 96 * MEGABYTE
"""The database's page caches (64 MiB for writing, 4 for each of 8 readers): memory grows with the database up to that,
and no further."""

SLACK = 32 * MEGABYTE
"""What reading one message of a megabyte takes for a moment."""


def check_memory(samples: list[Sample]) -> str:
    """Flat, from a quarter of the time on, but for the caches that fill; compared by medians, for single samples may
    fall on the moment of a large message. What was found, in words."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    grown = _median([each.rss for each in late]) - _median([each.rss for each in early])
    stored = late[-1].database - early[0].database
    reported = f"memory {grown / MEGABYTE:+.1f} MiB, database {stored / MEGABYTE:+.1f} MiB, {late[-1].threads} threads"
    assert grown < min(CACHES, max(stored, 0)) + SLACK, reported
    assert late[-1].threads <= max(each.threads for each in early) + 8, reported
    return reported


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


READER_DESCRIPTORS = 8 * 3
"""The store opens its readers when they are first needed: three files each."""

OTHER_DESCRIPTORS = 8
"""Clients of the control interface and of the metrics that are there now and were not before."""


async def check_quiet(gateway: Gateway, before: Sample, churn: Churn) -> None:
    """All are gone, and so is what was held for them: sessions, handshakes, descriptors."""
    most = before.descriptors + READER_DESCRIPTORS + OTHER_DESCRIPTORS
    until = time.monotonic() + 60
    while True:
        held = {name: metric(gateway, name) for name in HELD}
        descriptors = churn.sample().descriptors
        if not any(held.values()) and descriptors <= most:
            return
        assert time.monotonic() < until, f"{held}, {descriptors} descriptors, {before.descriptors} before"
        await trio.sleep(0.25)


HELD = ("gateway_connections", 'gateway_sessions{state="accepted"}', "gateway_handshakes")


def check_commands(gateway: Gateway) -> None:
    """No command is under way any more, whatever became of its charger's link."""
    request = commands.ListCommandsRequest(page_size=1000)
    while True:
        page = gateway.commands.ListCommands(request, timeout=30)
        for each in page.commands:
            assert each.state not in (commands.COMMAND_STATE_QUEUED, commands.COMMAND_STATE_SENT), str(each)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
