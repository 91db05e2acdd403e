"""Certificates under a running fleet: read again when asked (SIGHUP) and when their files have changed, ticket keys
renewed, and an end that is near reported.

Files are looked at and read in threads: they may lie on a disk that hangs.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
import trio
from attrs import define

from gateway.domain.values import Clock
from gateway.errors import GatewayError
from gateway.observability.metrics import Metrics
from gateway.transport.certificate_files import FileStates, TlsFault

log = structlog.get_logger()

POLL_SECONDS: Final = 5.0
"""Between two looks at the files. A change is taken once it has stood still from one look to the next, for a
certificate and its key are replaced one after the other: within ten seconds, long before it is waited for."""

RETRY_SECONDS: Final = 60.0
"""After a refusal the files are tried again although they have not changed: a certificate that is not valid yet will
be, also where this machine's clock is only behind that of its issuer."""

TICKET_KEY_SECONDS: Final = 12 * 3600.0
"""The longest that one set of ticket keys is used. Its price is a handshake each that is not resumed: for 18,000
chargers that come back once in that time 3 to 8 seconds of a core (docs/security.md)."""

REPORT_SECONDS: Final = 86_400.0
"""Between two reports of what ends soon, or has ended: a line a day for each file."""

EXPIRY_WARNING: Final = timedelta(days=30)
"""From so long before its end on a certificate is reported: time to have another issued, and to see it fail once."""


async def in_thread(work: Callable[[], Any]) -> Any:
    """Run what blocks. Cancelled, it is not waited for: a disk that hangs must not hold up an end."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


async def nothing(_: str) -> None:
    """For those that have nothing to do once files were taken."""


class Certificates(Protocol):
    """The files of one listener, or of the control interface. Called in a thread, one call at a time, but for
    ``validity`` and ``expiries``, which return at once."""

    @property
    def looked_at(self) -> FileStates:
        """The states of the files just before they were last read, whether or not they were taken."""

    def states(self) -> FileStates:
        """Return the states of the files now."""

    def reload(self, now: datetime) -> None:
        """Read the files again. Raises ``GatewayError`` where they are not taken; then what there is stays."""

    def renew(self) -> None:
        """Change the keys of tickets, without the files."""

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Return the reasons why what is served would be refused."""

    def expiries(self) -> Iterator[tuple[str, Path, datetime]]:
        """Return the ends of what is served: kind, file, time."""


@define(eq=False)
class _Watched:
    """Files of one of them, and all that is known of them."""

    name: str
    tls: Certificates
    seen: FileStates | None = None
    """The states at the last look."""
    refused: str | None = None
    """Why the files that are there are not served; None: they are."""
    retry_at: float = 0.0
    renew_at: float = 0.0


class CertificateWatch:
    """All certificates. Belongs to the Trio loop. ``certificates``: those of each listener, with its name; ``taken``
    is called with the name once files were taken; ``run_sync`` runs a function that blocks."""

    def __init__(
        self,
        certificates: Iterable[tuple[str, Certificates]],
        *,
        metrics: Metrics,
        clock: Clock,
        taken: Callable[[str], Awaitable[None]] = nothing,
        run_sync: Callable[[Callable[[], Any]], Awaitable[Any]] = in_thread,
    ) -> None:
        self._watched = [_Watched(name, each) for name, each in certificates]
        self._metrics = metrics
        self._clock = clock
        self._taken = taken
        self._run_sync = run_sync
        self._wanted = trio.Event()
        self.on_reloaded: Callable[[], None] | None = None
        """Called when a reload that was asked for is over, whether or not the files were taken."""
        metrics.labelled_gauge(
            "gateway_certificate_expiry_timestamp_seconds",
            "When a certificate that is served, a client authority or a list of revoked certificates ends.",
            ("listener", "kind"),
            self._expiries,
        )
        metrics.labelled_gauge(
            "gateway_certificates_refused",
            "1 while the files are not as they should be, and others are served.",
            ("listener",),
            lambda: (((each.name,), float(each.refused is not None)) for each in self._watched),
        )

    def reload(self) -> None:
        """Have all files read again, soon. Returns at once."""
        self._wanted.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        report_at = trio.current_time() + REPORT_SECONDS
        for each in self._watched:
            each.renew_at = trio.current_time() + TICKET_KEY_SECONDS
        while True:
            with trio.move_on_after(POLL_SECONDS):
                await self._wanted.wait()
            asked = self._wanted.is_set()
            self._wanted = trio.Event()
            for each in self._watched:
                await self._look(each, asked=asked)
            if asked and self.on_reloaded is not None:
                self.on_reloaded()
            if trio.current_time() >= report_at:
                report_at += REPORT_SECONDS
                self.report()

    async def _look(self, each: _Watched, *, asked: bool) -> None:
        try:
            states = await self._run_sync(each.tls.states)
            has_changed = states != each.tls.looked_at and states == each.seen
            each.seen = states
            retries = each.refused is not None and trio.current_time() >= each.retry_at
            if asked or has_changed or retries:
                await self._reload(each, again=retries and not (asked or has_changed))
            elif trio.current_time() >= each.renew_at:
                each.renew_at = trio.current_time() + TICKET_KEY_SECONDS
                await self._run_sync(each.tls.renew)
                log.info("ticket keys renewed", listener=each.name)
        except Exception as error:  # a file in an unforeseen state: no reason to end
            log.exception("certificates not reloaded, the old ones stay", listener=each.name)
            self._refuse(each, repr(error))

    async def _reload(self, each: _Watched, *, again: bool) -> None:
        """New certificates for new connections; the present ones go on (A7.22). What `gateway check-config` would
        refuse is not taken: the listener keeps what it has. ``again``: what was said of a refusal is not repeated."""
        try:
            await self._run_sync(partial(each.tls.reload, self._clock()))
        except GatewayError as error:
            if not (again and each.refused == str(error)):
                log.error("certificates not reloaded, the old ones stay", listener=each.name, error=str(error))
            self._refuse(each, str(error))
            return
        each.refused = None
        each.renew_at = trio.current_time() + TICKET_KEY_SECONDS
        self._metrics.count("certificate_reloads", "taken")
        log.info("certificates reloaded", listener=each.name)
        self._report(each)
        await self._taken(each.name)

    def _refuse(self, each: _Watched, reason: str) -> None:
        each.refused = reason
        each.retry_at = trio.current_time() + RETRY_SECONDS
        self._metrics.count("certificate_reloads", "refused")

    def report(self) -> None:
        """Say which certificates chargers will refuse, or soon would. At a start there are no others to keep, and
        chargers that have no clock do not mind: serving those is better than serving none."""
        for each in self._watched:
            self._report(each)

    def _report(self, each: _Watched) -> None:
        now = self._clock()
        for fault in each.tls.validity(now):
            log.error("clients that check this certificate will refuse it", listener=each.name, error=fault.reason)
        for kind, path, ends in each.tls.expiries():
            if kind != CRL and now < ends <= now + EXPIRY_WARNING:
                self._near_end(each.name, kind, path, ends, now)

    def _near_end(self, listener: str, kind: str, path: Path, ends: datetime, now: datetime) -> None:
        log.warning(
            "a certificate expires soon",
            listener=listener,
            kind=kind,
            file=str(path),
            ends=f"{ends:%Y-%m-%d}",
            days=(ends - now).days,
        )

    def ends(self) -> Iterator[tuple[str, str, datetime]]:
        """Return the ends of all that is served: the listener's name, the kind, and the time. At once."""
        for each in self._watched:
            for kind, _, ends in each.tls.expiries():
                yield each.name, kind, ends

    def _expiries(self) -> Iterator[tuple[tuple[str, ...], float]]:
        return (((name, kind), ends.timestamp()) for name, kind, ends in self.ends())


CRL: Final = "client_crl"
"""A kind of which the end is always near: lists of revoked certificates are made anew each day or week."""
