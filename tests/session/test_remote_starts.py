"""A remote start and the transaction that comes of it: tied together, or recorded as never made, once."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import ConfigurationKey, RemoteStartTransaction
from gateway.domain.events import ConfigurationReported, NewEvent, RemoteStartExpired, TransactionStarted
from gateway.domain.remote_starts import DEFAULT_WINDOW, MAX_PENDING, RECONNECTED, SLACK
from gateway.domain.times import format_time
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from gateway.store.commits import Append, DeleteChargePoint
from tests.session.commands.test_commands import Asked, ready
from tests.support.harness import Harness, boot, virtual_clock
from tests.support.wire import ScriptedCharger

ONE = ConnectorAddress(1, 1)
OVER = (DEFAULT_WINDOW + SLACK).total_seconds()


async def asked_to_start(
    charger: ScriptedCharger, asked: Asked, status: str = "Accepted", connector: ConnectorAddress | None = ONE
) -> str:
    """A remote start that the charger has answered; its command's id."""
    outcome = asked.ask(RemoteStartTransaction("TAG", connector))
    message_id, _, _ = await charger.next_call("RemoteStartTransaction")
    await charger.answer(message_id, {"status": status})
    record = await outcome()
    command_id: str = record.command_id
    return command_id


async def starts(
    charger: ScriptedCharger, connector: int = 1, id_tag: str = "TAG", at: str = "", meter: int = 5
) -> Any:
    """A transaction begins."""
    start = {"connectorId": connector, "idTag": id_tag, "meterStart": meter}
    return await charger.call("StartTransaction", {**start, "timestamp": at or format_time(virtual_clock())})


def tied(harness: Harness) -> list[str]:
    """The remote starts of the transactions so far; each record says the same as its event."""
    found = harness.bodies_of(TransactionStarted)
    for each in found:
        record = harness.store.transaction(each.transaction_id)
        assert record is not None
        assert record.start_command_id == each.start_command_id
    return [each.start_command_id for each in found]


def expired(harness: Harness) -> list[RemoteStartExpired]:
    return harness.bodies_of(RemoteStartExpired)


async def test_a_transaction_names_the_remote_start_that_it_came_of(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """In any spelling of the tag; and nothing expires then."""
    harness.add_tag("TAG")
    async with ready(harness) as (charger, asked):
        command_id = await asked_to_start(charger, asked)
        await trio.sleep(20)
        await starts(charger, id_tag="tag")
        assert tied(harness) == [command_id]
        await trio.sleep(2 * OVER)
    assert expired(harness) == []


async def test_a_start_takes_one_transaction_and_a_transaction_one_start(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The one that names the connector first, then in their order; a third transaction came of none."""
    async with ready(harness) as (charger, asked):
        anywhere = await asked_to_start(charger, asked, connector=None)
        named = await asked_to_start(charger, asked)
        await starts(charger)
        await starts(charger, connector=2)
        await starts(charger, connector=3)
    assert tied(harness) == [named, anywhere, ""]


@pytest.mark.parametrize(("connector", "id_tag"), [(2, "TAG"), (1, "OTHER")])
async def test_another_connector_or_tag_is_another_start(
    harness: Harness, connector: int, id_tag: str, autojump_clock: MockClock
) -> None:
    """The tag and the connector that the start named have to agree."""
    async with ready(harness) as (charger, asked):
        await asked_to_start(charger, asked)
        await starts(charger, connector, id_tag)
    assert tied(harness) == [""]


async def test_a_transaction_that_comes_before_the_answer_is_tied_too(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Some chargers start first and confirm then; the late acceptance makes it pending no more."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(RemoteStartTransaction("TAG", ONE))
        message_id, _, _ = await charger.next_call("RemoteStartTransaction")
        await starts(charger)
        await charger.answer(message_id, {"status": "Accepted"})
        record = await outcome()
        assert tied(harness) == [record.command_id]
        await trio.sleep(2 * OVER)
    assert expired(harness) == []


async def test_a_refused_start_takes_no_transaction_and_does_not_expire(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The driver who then holds the card to the reader has begun another one."""
    async with ready(harness) as (charger, asked):
        await asked_to_start(charger, asked, "Rejected")
        await starts(charger)
        await trio.sleep(2 * OVER)
    assert tied(harness) == [""]
    assert expired(harness) == []


async def test_a_replayed_start_of_before_the_command_takes_none(harness: Harness, autojump_clock: MockClock) -> None:
    """It was in the charger's queue; the one that the command brings about comes after it."""
    async with ready(harness) as (charger, asked):
        await trio.sleep(600)
        before = format_time(virtual_clock())
        await trio.sleep(120)
        command_id = await asked_to_start(charger, asked)
        await starts(charger, at=before)
        await starts(charger, meter=6)
    assert tied(harness) == ["", command_id]


async def test_a_start_of_which_nothing_comes_is_recorded_once(harness: Harness, autojump_clock: MockClock) -> None:
    """After the time for plugging in, and a transaction of later came of something else."""
    async with ready(harness) as (charger, asked):
        command_id = await asked_to_start(charger, asked, connector=None)
        await trio.sleep(OVER - 5)
        assert expired(harness) == []
        await trio.sleep(10)
        assert expired(harness) == [RemoteStartExpired(command_id, "TAG", WHOLE_CHARGE_POINT, accepted=True)]
        assert harness.events("remote_start.expired")[0].cause == f"command:{command_id}"
        await trio.sleep(2 * OVER)
        await starts(charger)
    assert len(expired(harness)) == 1
    assert tied(harness) == [""]


async def test_the_chargers_own_time_for_plugging_in_counts(harness: Harness, autojump_clock: MockClock) -> None:
    """As it has reported ConnectionTimeOut."""
    harness.add_charge_point()
    key = ConfigurationKey("ConnectionTimeOut", readonly=False, value="600")
    harness.store.commit([Append("CP1", None, (NewEvent(ConfigurationReported((key,)), virtual_clock()),))])
    async with trio.open_nursery() as nursery, harness.connected() as charger:
        await boot(charger)
        await trio.sleep(harness.limits.settle_delay)
        await asked_to_start(charger, Asked(harness, nursery))
        await trio.sleep(655)
        assert expired(harness) == []
        await trio.sleep(10)
        assert len(expired(harness)) == 1


async def test_a_start_without_an_answer_is_waited_for_too(harness: Harness, autojump_clock: MockClock) -> None:
    """It may be carried out; its caller has heard that the outcome is unknown."""
    async with ready(harness) as (charger, asked):
        outcome = asked.ask(RemoteStartTransaction("TAG", ONE))
        await charger.next_call("RemoteStartTransaction")
        record = await outcome()
        await starts(charger)
        assert tied(harness) == [record.command_id]
        asked.ask(RemoteStartTransaction("TAG", ONE))
        await charger.next_call("RemoteStartTransaction")
        await trio.sleep(2 * OVER)
    assert [each.accepted for each in expired(harness)] == [False]


async def test_a_start_survives_a_reconnect(harness: Harness, autojump_clock: MockClock) -> None:
    """Accepted on one connection, begun while the link was away, reported on the next one."""
    async with ready(harness) as (charger, asked):
        command_id = await asked_to_start(charger, asked)
    await trio.sleep(10)
    began = format_time(virtual_clock())
    await trio.sleep(3600)
    async with harness.connected() as charger:
        await trio.sleep(5)
        assert expired(harness) == []
        await starts(charger, at=began)
        await trio.sleep(2 * OVER)
    assert tied(harness) == [command_id]
    assert expired(harness) == []


async def test_a_start_that_never_was_is_settled_at_the_next_connect(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Once, after the charger has had the time to send its queue; what began after its time came of something else."""
    async with ready(harness) as (charger, asked):
        await asked_to_start(charger, asked)
    await trio.sleep(3600)
    async with harness.connected() as charger:
        await starts(charger)
        await trio.sleep(RECONNECTED.total_seconds() + 5)
        assert len(expired(harness)) == 1
    async with harness.connected():
        await trio.sleep(2 * OVER)
    assert tied(harness) == [""]
    assert len(expired(harness)) == 1


async def test_a_transaction_that_is_being_recorded_at_the_end_does_not_expire(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The two are one or the other, whichever is on disk first."""
    async with ready(harness) as (charger, asked):
        command_id = await asked_to_start(charger, asked)
        accepted = trio.current_time()
        await trio.sleep_until(accepted + OVER - 8)
        harness.journal.stall_seconds = 5  # for the number first, then for the transaction
        await starts(charger)
        harness.journal.stall_seconds = 0
        await trio.sleep(OVER)
    assert tied(harness) == [command_id]
    assert expired(harness) == []


async def test_no_more_starts_are_kept_than_the_bound(harness: Harness, autojump_clock: MockClock) -> None:
    """In memory and on disk alike; those beyond it are tied to nothing."""
    async with ready(harness) as (charger, asked):
        ids = [await asked_to_start(charger, asked, connector=None) for _ in range(MAX_PENDING + 2)]
        await charger.lose_link()
    async with harness.connected() as charger:
        await trio.sleep(2 * OVER)
    assert {each.command_id for each in expired(harness)} == set(ids[:MAX_PENDING])
    assert len(expired(harness)) == MAX_PENDING


async def test_a_deleted_charge_point_leaves_no_pending_start(harness: Harness, autojump_clock: MockClock) -> None:
    """Another unit may come under its identity later."""
    async with ready(harness) as (charger, asked):
        await asked_to_start(charger, asked)
    harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
    harness.add_charge_point()
    async with harness.connected() as charger:
        await starts(charger)
        await trio.sleep(2 * OVER)
    assert tied(harness) == [""]
    assert expired(harness) == []
