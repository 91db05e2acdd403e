"""Rounds over chargers' certificates and signing requests where the store or the clock fails: nothing is lost."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from gateway.app.certificate_expiry import WARN_SECONDS, end_overdue_signings, report_expiring_certificates
from gateway.app.housekeeping import EXPIRY_SECONDS
from gateway.domain import events as e
from gateway.store.commits import Write, WriteResult
from tests.support.charger_certificates import DAY, new_key, request
from tests.support.harness import DirectJournal, Harness, virtual_clock
from tests.support.station import booted

MONTH = timedelta(days=30)
HOUR = 3600


class Refusing(DirectJournal):
    """A journal that can't record what is of one charge point: a defect, as none is known."""

    refused = ""

    async def commit(self, write: Write, applied: Any = None, *, shielded: bool = False) -> WriteResult:
        if self.refused and getattr(write, "charge_point", "") == self.refused:
            await trio.lowlevel.checkpoint()
            raise RuntimeError("a defect")
        return await super().commit(write, applied, shielded=shielded)


@pytest.fixture
def harness(tmp_path: Path) -> Any:
    made = Harness(tmp_path)
    yield made
    made.store.close()


async def shown(harness: Harness, identity: str, days: int) -> None:
    """A charger connects with a certificate that ends in so many days."""
    harness.add_charge_point(identity)
    now = virtual_clock()
    connected = e.ChargePointConnected("127.0.0.1:1", "ocpp1.6", 3, "TLSv1.3", identity, now + days * DAY)
    await harness.journal.commit(harness.router.opening(identity, connected, now))


def reported(harness: Harness) -> list[str]:
    return [each.charge_point for each in harness.events(e.CertificateExpiring.TYPE)]


async def at_any_time() -> datetime:
    return virtual_clock()


async def test_an_end_that_can_not_be_recorded_keeps_no_other_from_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """It is logged, and tried again in the next round; not at once, without end."""
    for identity in ("A", "B", "C"):
        await shown(harness, identity, 10)
    journal = Refusing(harness.store)
    journal.refused = "B"
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_expiring_certificates, journal, harness.reads, at_any_time, MONTH)
            await trio.sleep(WARN_SECONDS / 2)
            assert sorted(reported(harness)) == ["A", "C"]
            assert [each["charge_point"] for each in logs if each["event"] == "not recorded"] == ["B"]
            journal.refused = ""
            await trio.sleep(WARN_SECONDS)
            assert sorted(reported(harness)) == ["A", "B", "C"]
            nursery.cancel_scope.cancel()


async def test_a_store_that_is_away_is_asked_again_in_the_next_round(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Both where it can't be read and where it can only not be written."""
    await shown(harness, "A", 10)
    for readable in (False, True):
        harness.journal.failing, harness.journal.readable = True, readable
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_expiring_certificates, harness.journal, harness.reads, at_any_time, MONTH)
            await trio.sleep(WARN_SECONDS / 2)
            nursery.cancel_scope.cancel()
        assert reported(harness) == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report_expiring_certificates, harness.journal, harness.reads, at_any_time, MONTH)
        await trio.sleep(WARN_SECONDS / 2)
        harness.journal.failing = False
        await trio.sleep(WARN_SECONDS)
        assert reported(harness) == ["A"]
        nursery.cancel_scope.cancel()


async def test_nothing_ends_by_a_clock_that_is_doubted(harness: Harness, autojump_clock: MockClock) -> None:
    """Nor while the store is away; afterwards it does, with the reason."""
    harness.add_charge_point()
    clock: list[bool] = [False]

    async def trusted() -> datetime | None:
        return virtual_clock() if clock[0] else None

    async with trio.open_nursery() as nursery, booted(harness) as station:
        await station.says("SignCertificate", csr=request("CP1", key=new_key()))
        await station.disconnects()
        await shown(harness, "A", 10)
        nursery.start_soon(
            end_overdue_signings, harness.journal, harness.reads, harness.router, trusted, lambda *_: None
        )
        nursery.start_soon(report_expiring_certificates, harness.journal, harness.reads, trusted, MONTH)
        await trio.sleep(2 * HOUR)
        assert harness.bodies_of(e.CertificateSigningEnded) == []
        assert reported(harness) == []
        clock[0] = True
        harness.journal.failing = True
        await trio.sleep(2 * EXPIRY_SECONDS)
        assert harness.bodies_of(e.CertificateSigningEnded) == []
        harness.journal.failing = False
        await trio.sleep(2 * WARN_SECONDS)
        assert [each.reason for each in harness.bodies_of(e.CertificateSigningEnded)] == ["not-signed"]
        assert reported(harness) == ["A"]
        nursery.cancel_scope.cancel()
