"""Periodic looks at chargers' certificates, and at their requests for new ones, whose time is over."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
import trio

from gateway.app.housekeeping import CHUNK, EXPIRY_SECONDS, Trusted
from gateway.domain.decision import SigningOpen
from gateway.domain.events import Body, CertificateExpiring, CertificateSigningEnded, NewEvent
from gateway.domain.signing import UNSENT, UNSIGNED, SigningEnd
from gateway.errors import StoreUnavailable
from gateway.session.ports import Journal
from gateway.session.router import Router
from gateway.store.commits import Append, Appended
from gateway.store.reads import Reads

WARN_SECONDS = 3600.0
"""How late it may be reported that a certificate is near its end: it has days by then."""

log = structlog.get_logger()

Count = Callable[[str, str], None]


async def end_overdue_signings(journal: Journal, reads: Reads, router: Router, trusted: Trusted, count: Count) -> None:
    """Until cancelled: end requests to certify a charger's key whose time is over, connected or not.

    A chunk a round, by one query on an index. While the store is unavailable, or the clock is doubted, they wait.
    """
    while True:
        await trio.sleep(EXPIRY_SECONDS)
        try:
            now = await trusted()
            if now is None:
                continue
            for due in await reads.overdue_signings(now, CHUNK):
                why = UNSENT if due.chain else UNSIGNED
                body = CertificateSigningEnded(due.signing_id, SigningEnd.TIMED_OUT, why)
                event = NewEvent(body, now)
                if await _committed(journal, due.charge_point, event, (SigningOpen(due.signing_id),)):
                    router.signing_changed(due.charge_point, event)
                    log.warning("a charger's certificate was not renewed", charge_point=due.charge_point, reason=why)
                    count("signings", SigningEnd.TIMED_OUT.value)
        except StoreUnavailable:
            continue


async def report_expiring_certificates(journal: Journal, reads: Reads, trusted: Trusted, warning: timedelta) -> None:
    """Until cancelled: report chargers' certificates that end within ``warning``, and those that have ended, once each.

    Rounds, failures and the clock as of ``end_overdue_signings``.
    """
    while True:
        try:
            now = await trusted()
            if now is not None:
                await _report(journal, reads, now, warning)
        except StoreUnavailable:
            pass
        await trio.sleep(WARN_SECONDS)


async def _report(journal: Journal, reads: Reads, now: datetime, warning: timedelta) -> None:
    failed = False
    while not failed and (found := await reads.due_certificates(now, now + warning, CHUNK)):
        for each in found:
            body = CertificateExpiring(each.serial_number, each.not_after, each.expired)
            if not await _committed(journal, each.charge_point, NewEvent(body, now)):
                failed = True  # it would be found again at once
                continue
            log.warning(
                "a charger's certificate has expired" if each.expired else "a charger's certificate expires soon",
                charge_point=each.charge_point,
                not_after=each.not_after.isoformat(),
            )


async def _committed(
    journal: Journal, charge_point: str, event: NewEvent, guards: tuple[SigningOpen, ...] = ()
) -> bool:
    """One that can't be recorded must not keep those after it."""
    try:
        return isinstance(await journal.commit(Append(charge_point, None, (event,), guards)), Appended)
    except StoreUnavailable:
        raise
    except Exception:
        body: Body = event.body
        log.exception("not recorded", charge_point=charge_point, event_type=body.TYPE)
        return False
