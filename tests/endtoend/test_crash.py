"""SIGKILL under load: what was acknowledged is there, once, and watchers go on without a gap.

The chargers keep their own history, as real ones do: each message is sent until it is confirmed, with a new id and the
same content every time, also on another connection.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import trio
from attrs import define, field

from gateway.api.v1 import transaction_pb2 as transactions
from tests.endtoend.asking import in_thread
from tests.endtoend.charger import Charger, as_sent, connect
from tests.endtoend.gateway_process import Gateway, MakeGateway
from tests.endtoend.watching import Watcher
from tests.endtoend.wire import Closed, LinkLost, Refused

CHARGERS = 24
KILLS = 5
UP_SECONDS = (0.2, 1.2)
"""How long the gateway is left alone before it is killed."""

SAMPLES = 6
"""Of each transaction."""

EPOCH = datetime.fromtimestamp(0, UTC)

METERED = transactions.READING_SOURCE_METER_VALUES


@define
class Message:
    """A message until it is confirmed, and how often it had to be sent for that."""

    action: str
    payload: dict[str, Any]
    sent: int = 0


@define
class Account:
    """One transaction, according to what the gateway answered the charger."""

    number: int
    start: Message
    samples: list[Message] = field(factory=list)
    stop: Message | None = None


@define
class LoadedCharger:
    """A charger that charges without a pause, whatever becomes of its connections."""

    gateway: Gateway
    identity: str
    key: bytes
    accounts: list[Account] = field(factory=list)
    connections: int = 0
    _charger: Charger | None = None
    _register: int = 0
    _accepted: bool = False
    _time: datetime = EPOCH

    async def run(self, enough: trio.Event) -> None:
        """Charge until it is enough, and finish the transaction that runs then."""
        async with trio.open_nursery() as links:
            while not enough.is_set():
                await self._charge(links)
            assert self._charger is not None
            await self._charger.wire.aclose()

    async def _charge(self, links: trio.Nursery) -> None:
        start = Message("StartTransaction", {"connectorId": 1, "idTag": self.identity, "meterStart": self._register})
        confirmed = await self._deliver(links, start)
        assert confirmed["idTagInfo"] == {"status": "Accepted"}
        number = confirmed["transactionId"]
        account = Account(number, start)
        self.accounts.append(account)
        for _ in range(SAMPLES):
            self._register += 10
            value = {"value": str(self._register), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
            sample = Message("MeterValues", {"connectorId": 1, "transactionId": number, "value": value})
            assert await self._deliver(links, sample) == {}
            account.samples.append(sample)
        stop = Message("StopTransaction", {"transactionId": number, "meterStop": self._register})
        assert await self._deliver(links, stop) == {}
        account.stop = stop

    async def _deliver(self, links: trio.Nursery, message: Message) -> Any:
        """Send until it is confirmed."""
        if message.action == "MeterValues":
            value = message.payload.pop("value")
            message.payload["meterValue"] = [{"timestamp": self._now(), "sampledValue": [value]}]
        else:
            message.payload["timestamp"] = self._now()
        while True:
            try:
                charger = await self._connected(links)
                message.sent += 1
                return await charger.call(message.action, message.payload)
            except (LinkLost, Closed):
                self._charger = None
                await trio.sleep(random.uniform(0.01, 0.1))

    def _now(self) -> str:
        """The time; never the same twice, since messages are distinguished by it."""
        self._time = max(datetime.now(UTC), self._time + timedelta(milliseconds=1))
        return as_sent(self._time)

    async def _connected(self, links: trio.Nursery) -> Charger:
        if self._charger is None:
            try:
                charger = await connect(links, self.gateway, self.identity, key=self.key)
            except Refused as refused:
                if refused.status == 503:
                    raise LinkLost from refused
                raise
            self.connections += 1
            if not self._accepted:
                self._accepted = (await charger.boot())["status"] == "Accepted"
            self._charger = charger
        return self._charger


async def test_what_was_acknowledged_survives_every_kill_and_watchers_miss_nothing(make_gateway: MakeGateway) -> None:
    """Every confirmed start, sample and stop is there once; a watcher that resumes has all events in order."""
    gateway = make_gateway(authorization={"unknown_tags": "Accepted"})
    gateway.start()
    identities = [f"CP{n:02}" for n in range(CHARGERS)]
    chargers = [LoadedCharger(gateway, identity, gateway.add_with_new_key(identity)) for identity in identities]
    with Watcher(gateway, resumes=True) as watcher:
        enough = trio.Event()
        with trio.fail_after(75):
            async with trio.open_nursery() as nursery:
                for charger in chargers:
                    nursery.start_soon(charger.run, enough)
                for _ in range(KILLS):
                    await trio.sleep(random.uniform(*UP_SECONDS))
                    await in_thread(gateway.kill)
                    await in_thread(gateway.start)
                await trio.sleep(0.3)
                enough.set()
        history = gateway.history()
        watcher.wait_for("the last event", lambda seen: {e.event_id for e in seen[-100:]} >= {history[-1].event_id})
        seen = list(watcher.events)

    resent = [
        m for c in chargers for a in c.accounts for m in (a.start, a.stop, *a.samples) if m is not None and m.sent > 1
    ]
    assert len(resent) >= KILLS, "there was no load when the gateway was killed"
    for charger in chargers:
        check_accounts(gateway, charger)
    check_watch(seen, history)


def check_accounts(gateway: Gateway, charger: LoadedCharger) -> None:
    """The gateway's books against the charger's own."""
    found = {each.number: each for each in gateway.transactions_of(charger.identity)}
    assert sorted(found) == sorted(account.number for account in charger.accounts)
    for account in charger.accounts:
        assert account.stop is not None
        transaction = found[account.number]
        start, stop = account.start.payload, account.stop.payload
        assert transaction.state == transactions.TRANSACTION_STATE_STOPPED
        assert transaction.start_time_raw == start["timestamp"]
        assert transaction.stop_time_raw == stop["timestamp"]
        assert transaction.meter_start.watt_hours == str(start["meterStart"])
        assert transaction.meter_stop.watt_hours == str(stop["meterStop"])
        assert transaction.energy.watt_hours == str(10 * SAMPLES)
        check_readings(gateway, transaction.transaction_id, account)


def check_readings(gateway: Gateway, transaction_id: str, account: Account) -> None:
    """Start, stop and every sample once, also what was sent again because its confirmation got lost (B6.8)."""
    readings = gateway.readings_of(transaction_id)
    sources = [each.source for each in readings]
    assert sources.count(transactions.READING_SOURCE_START) == 1
    assert sources.count(transactions.READING_SOURCE_STOP) == 1
    times = [each.samples[0].sample_time_raw for each in readings if each.source == METERED]
    expected = {each.payload["meterValue"][0]["timestamp"]: each for each in account.samples}
    assert set(times) == set(expected)
    assert len(times) == len(expected)
    first = {each.samples[0].sample_time_raw: each.samples[0].energy.watt_hours for each in readings}
    assert [first[time] for time in expected] == [
        s["meterValue"][0]["sampledValue"][0]["value"] for s in payloads(account)
    ]


def payloads(account: Account) -> list[dict[str, Any]]:
    return [sample.payload for sample in account.samples]


EPOCH = datetime.fromtimestamp(0, UTC)

METERED = transactions.READING_SOURCE_METER_VALUES


def check_watch(seen: list[Any], history: list[Any]) -> None:
    """Check the watcher's events across all restarts against the store: nothing missing, nothing that is not kept."""
    first_seen = list({event.event_id: event for event in seen}.values())
    known = {event.event_id for event in history}
    assert len(known) == len(history)
    later = [event for event in first_seen if event.event_id not in known]
    # The mark behind the history itself, and energies that are settled some seconds after their transactions' stops.
    assert {event.type for event in later} <= {"charge_point.created", "transaction.energy_changed"}
    assert [event for event in first_seen if event.event_id in known] == history
