"""Changes that other nodes have made, brought to the sessions here."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.cluster import changes
from gateway.cluster.changes import MISSED, Changes
from gateway.domain import events as e
from gateway.domain.codec import encode
from gateway.domain.events import StoredEvent
from gateway.domain.signing import SigningEnd
from gateway.domain.values import Registration
from gateway.store.commits import DeleteChargePoint, UpdateChargePoint
from gateway.store.nodes import Notice, NoticeKind
from tests.nodes.fakes import FakeNodes
from tests.support.harness import Harness, boot, virtual_clock

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def stored(body: Any, sequence: int = 70_000) -> Any:
    return StoredEvent(
        sequence, f"ev_{sequence}", "CP1", 1, body.TYPE, body.VERSION, NOW, None, None, (), "", encode(body), None, None
    )


def notice(kind: NoticeKind = NoticeKind.CHANGED, epoch: int = 1, caller: str = "") -> Any:
    return Notice(kind, "CP1", epoch, 65_536, caller)


class Here:
    """A node whose sessions are a harness's."""

    def __init__(self, path: Path) -> None:
        self.harness = Harness(path)
        self.harness.add_charge_point()
        self.nodes = FakeNodes()
        self.changes = Changes(self.harness.router, self.nodes, self.harness.reads)
        self.nodes.on_notices = self.changes.noticed

    def recorded(self, *bodies: Any) -> None:
        """Another node has recorded events of CP1."""
        self.nodes.events["CP1"] = [stored(each, 70_000 + n) for n, each in enumerate(bodies)]

    async def notice(self, *notices: Notice) -> None:
        await trio.to_thread.run_sync(self.changes.noticed, notices)
        await wait_all_tasks_blocked()


@pytest.fixture
async def here(tmp_path: Path, nursery: trio.Nursery) -> Here:
    here = Here(tmp_path)
    nursery.start_soon(here.changes.run)
    await wait_all_tasks_blocked()
    return here


async def test_a_session_whose_charger_another_node_has_ends(here: Here, autojump_clock: MockClock) -> None:
    """At once; one of a later epoch than the notice's stays."""
    async with here.harness.connected() as charger:
        await boot(charger)
        await here.notice(notice(NoticeKind.TAKEN, 1))
        assert here.harness.router.session("CP1") is not None
        await here.notice(notice(NoticeKind.TAKEN, 2))
        assert await charger.sees_the_end() == (1008, "replaced")


async def test_a_session_of_a_charge_point_that_was_deleted_elsewhere_ends(
    here: Here, autojump_clock: MockClock
) -> None:
    async with here.harness.connected() as charger:
        await boot(charger)
        here.harness.store.commit([DeleteChargePoint("CP1", virtual_clock())])
        await here.notice(notice(NoticeKind.DELETED, 2))
        assert await charger.sees_the_end() == (1008, "deleted")


async def test_an_operator_s_decision_elsewhere_reaches_the_session(here: Here, autojump_clock: MockClock) -> None:
    """One that rejects the charge point lets its charger go."""
    async with here.harness.connected() as charger:
        await boot(charger)
        write = UpdateChargePoint("CP1", virtual_clock(), registration=Registration.REJECTED)
        here.harness.store.commit([write])
        here.recorded(e.ChargePointUpdated(Registration.REJECTED, ("registration",), ""))
        await here.notice(notice())
        assert (await charger.sees_the_end())[1] == "registration-changed"


async def test_events_that_another_node_recorded_are_applied_to_the_session(
    here: Here, autojump_clock: MockClock
) -> None:
    """Here the signing of a certificate, which ended."""
    seen: list[Any] = []
    async with here.harness.connected() as charger:
        await boot(charger)
        session: Any = here.harness.router.session("CP1")
        session.changed = seen.append
        here.recorded(e.CertificateSigningEnded("sig_1", SigningEnd.REFUSED))
        await here.notice(notice())
    [[(event, sequence)]] = seen
    assert (event.body.signing_id, sequence) == ("sig_1", 70_000)


async def test_an_operator_elsewhere_closes_the_connection(here: Here, autojump_clock: MockClock) -> None:
    """Of the session that was meant, and by name."""
    async with here.harness.connected() as charger:
        await boot(charger)
        await here.notice(notice(NoticeKind.DISCONNECT, 0, "ops"))
        assert here.harness.router.session("CP1") is not None
        await here.notice(notice(NoticeKind.DISCONNECT, 1, "ops"))
        await charger.sees_the_end()
    [ended] = here.harness.bodies_of(e.ChargePointDisconnected)
    assert (ended.reason, ended.caller) == ("disconnected-by-operator", "ops")


async def test_a_notice_of_no_session_here_is_nothing_to_do(here: Here, autojump_clock: MockClock) -> None:
    here.nodes.failing = True
    await here.notice(notice(), notice(NoticeKind.DISCONNECT), notice(NoticeKind.TAKEN))
    assert not here.changes._waiting


async def test_a_change_is_brought_late_where_it_can_not_be_read(here: Here, autojump_clock: MockClock) -> None:
    """Once the store is back; those behind it keep their order."""
    async with here.harness.connected() as charger:
        await boot(charger)
        here.nodes.failing = True
        here.recorded(e.ChargePointDeleted(""))
        await here.notice(notice(NoticeKind.CHANGED, 2))
        await trio.sleep(5)
        assert here.harness.router.session("CP1") is not None
        here.nodes.failing = False
        assert await charger.sees_the_end() == (1008, "deleted")


@pytest.mark.parametrize("why", ["later", "bug", "many"])
async def test_a_session_that_misses_a_change_ends(
    here: Here, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """Its charger's next one begins with what is recorded."""
    unreadable: Any = None
    async with here.harness.connected() as charger:
        await boot(charger)
        if why == "later":
            event = stored(e.CertificateSigningEnded("sig_1", SigningEnd.REFUSED))
            here.nodes.events["CP1"] = [evolve(event, version=99)]
        elif why == "bug":
            here.nodes.events["CP1"] = [unreadable]
        else:
            monkeypatch.setattr(changes, "MAX_WAITING", 0)
        await here.notice(notice())
        await charger.sees_the_end()
    [ended] = here.harness.bodies_of(e.ChargePointDisconnected)
    assert ended.reason == MISSED


async def test_notices_before_the_start_and_after_the_end_are_of_no_session(tmp_path: Path) -> None:
    """And raise nothing in the writer's thread."""
    here = Here(tmp_path)
    here.changes.noticed([notice()])
    assert not here.changes._waiting
