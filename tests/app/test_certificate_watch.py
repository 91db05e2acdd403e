"""Certificates under a running fleet: changed files, ticket keys, near ends; in virtual time, on real files."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field
from cryptography import x509
from prometheus_client import generate_latest
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.app.certificate_watch import (
    POLL_SECONDS,
    REPORT_SECONDS,
    RETRY_SECONDS,
    TICKET_KEY_SECONDS,
    CertificateWatch,
)
from gateway.observability.metrics import Metrics
from gateway.transport.certificate_files import CertificateFiles
from gateway.transport.tls import TlsFiles, TlsProvider
from tests.app.test_reloading import DAY, GOOD, Authority, Pair, chained
from tests.transport.test_tls import Client, handshake

NOW = datetime.now(UTC)


@define
class Watching:
    """A watch on one listener's files, its clock and what it logs."""

    folder: Path
    tls: TlsProvider
    watch: CertificateWatch
    metrics: Metrics
    logged: list[Any]
    now: datetime = field(default=NOW)

    def put(self, pair: Pair) -> None:
        """Replace both files, as a certificate manager does."""
        self.put_certificate(pair)
        self.put_key(pair)

    def put_certificate(self, pair: Pair) -> None:
        replace(self.folder / "server.pem", pair[0])

    def put_key(self, pair: Pair) -> None:
        replace(self.folder / "server.key", pair[1])

    def lines(self, level: str | None = None) -> list[str]:
        return [each["event"] for each in self.logged if level in (None, each["log_level"])]

    @property
    def served(self) -> str:
        """The common name of the certificate that the next connection gets."""
        _, client = handshake(self.tls.context, trusting())
        shown: Any = client.tls.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).subject.rfc4514_string()

    def metric(self, start: str) -> float | None:
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(start)), None)


def replace(path: Path, data: bytes) -> None:
    """In one step, as a rename does."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


def trusting() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def at_once(work: Callable[[], Any]) -> Any:
    """In the place of a thread, which the test's clock would not wait for."""
    await trio.lowlevel.checkpoint()
    return work()


@asynccontextmanager
async def watching(folder: Path, pair: Pair) -> AsyncIterator[Watching]:
    folder.joinpath("server.pem").write_bytes(pair[0])
    folder.joinpath("server.key").write_bytes(pair[1])
    tls = TlsProvider(TlsFiles((CertificateFiles(folder / "server.pem", folder / "server.key"),)))
    metrics = Metrics()
    made: list[Watching] = []
    watch = CertificateWatch([("chargers", tls)], metrics=metrics, clock=lambda: made[0].now, run_sync=at_once)
    with capture_logs() as logged:
        made.append(Watching(folder, tls, watch, metrics, logged))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run)
            await wait_all_tasks_blocked()
            yield made[0]
            nursery.cancel_scope.cancel()


async def test_a_changed_file_is_taken_without_a_signal(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Once it has stood still from one look to the next."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        await trio.sleep(10 * POLL_SECONDS)
        assert seen.lines() == []
        seen.put(GOOD.issue("new"))
        await trio.sleep(2 * POLL_SECONDS + 0.1)
        assert seen.served == "CN=new"
        assert seen.lines() == ["certificates reloaded"]
        await trio.sleep(10 * POLL_SECONDS)
        assert seen.lines() == ["certificates reloaded"]
        assert seen.metrics._counts["certificate_reloads", "taken"] == 1


async def test_files_that_are_being_replaced_are_waited_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The key of a new certificate comes a moment later: no error is made of it."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        new = GOOD.issue("new")
        seen.put_certificate(new)
        await trio.sleep(POLL_SECONDS)
        seen.put_key(new)
        await trio.sleep(POLL_SECONDS)
        assert seen.served == "CN=old"
        await trio.sleep(POLL_SECONDS)
        assert seen.served == "CN=new"
        assert seen.lines() == ["certificates reloaded"]


async def test_a_folder_that_is_swapped_by_a_link_is_noticed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As orchestrators mount secrets: the paths stay, and lead elsewhere."""
    for name in ("old", "new"):
        pair = GOOD.issue(name)
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.pem").write_bytes(pair[0])
        (tmp_path / name / "server.key").write_bytes(pair[1])
    present = tmp_path / "present"
    present.symlink_to("old")
    tls = TlsProvider(TlsFiles((CertificateFiles(present / "server.pem", present / "server.key"),)))
    watch = CertificateWatch([("chargers", tls)], metrics=Metrics(), clock=lambda: NOW, run_sync=at_once)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        await wait_all_tasks_blocked()
        (tmp_path / "next").symlink_to("new")
        (tmp_path / "next").replace(present)
        before = tls.context
        await trio.sleep(2 * POLL_SECONDS + 0.1)
        assert tls.context is not before
        nursery.cancel_scope.cancel()


BAD: dict[str, Callable[[], Pair]] = {
    "expired": lambda: GOOD.issue("new", begin=-9 * DAY, end=-DAY),
    "not valid yet": lambda: GOOD.issue("new", begin=DAY),
    "another's key": lambda: (GOOD.issue("new")[0], GOOD.issue("other")[1]),
    "empty": lambda: (b"", b""),
}


@pytest.mark.parametrize("how", BAD)
async def test_a_bad_file_is_refused_once_and_the_old_one_stays(
    tmp_path: Path, autojump_clock: MockClock, how: str
) -> None:
    """Shown by a metric while it lies there, and logged once, however often it is tried again."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        assert seen.metric("gateway_certificates_refused{") == 0
        seen.put(BAD[how]())
        await trio.sleep(5 * RETRY_SECONDS)
        assert seen.served == "CN=old"
        assert seen.lines() == ["certificates not reloaded, the old ones stay"]
        assert seen.metric("gateway_certificates_refused{") == 1
        assert seen.metrics._counts["certificate_reloads", "refused"] >= 4
        seen.put(GOOD.issue("right"))
        await trio.sleep(2 * POLL_SECONDS + 0.1)
        assert seen.served == "CN=right"
        assert seen.metric("gateway_certificates_refused{") == 0


async def test_a_file_that_has_gone_is_a_refusal_too(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The one in memory is served on."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        (tmp_path / "server.pem").unlink()
        await trio.sleep(2 * POLL_SECONDS + 0.1)
        assert "server.pem: No such file or directory" in seen.logged[0]["error"]
        assert seen.served == "CN=old"


async def test_a_certificate_that_becomes_valid_is_taken_then(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Its file does not change any more: only time passes."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        seen.put(GOOD.issue("new", begin=timedelta(hours=1)))
        await trio.sleep(2 * POLL_SECONDS + 0.1)
        assert seen.served == "CN=old"
        seen.now = NOW + timedelta(hours=2)
        await trio.sleep(RETRY_SECONDS + POLL_SECONDS)
        assert seen.served == "CN=new"


async def test_a_signal_is_heeded_at_once_also_for_unchanged_files(tmp_path: Path, autojump_clock: MockClock) -> None:
    """And each time."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        for count in (1, 2):
            before = seen.tls.context
            seen.watch.reload()
            await wait_all_tasks_blocked()
            assert seen.tls.context is not before
            assert seen.lines() == ["certificates reloaded"] * count


# --- ticket keys ------------------------------------------------------------------------------------------------


def resumes(server: ssl.SSLContext, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    """Return true if a client with a session of before is spared a full handshake."""
    records, client = handshake(server, context, session=session)
    assert isinstance(client, Client)
    assert records.version == "TLSv1.2"
    return bool(client.tls.session_reused)


async def test_ticket_keys_change_every_twelve_hours_and_at_each_reload(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A session of before is resumed until then, and not after. The files may have gone: they are not needed."""
    assert TICKET_KEY_SECONDS <= 12 * 3600
    async with watching(tmp_path, GOOD.issue("old")) as seen:
        client = trusting()
        client.maximum_version = ssl.TLSVersion.TLSv1_2

        def session() -> ssl.SSLSession:
            found = handshake(seen.tls.context, client)[1].tls.session
            assert found is not None
            return found

        first = session()
        await trio.sleep(TICKET_KEY_SECONDS - 10 * POLL_SECONDS)
        assert resumes(seen.tls.context, client, first)
        (tmp_path / "server.key").unlink()
        await trio.sleep(11 * POLL_SECONDS)
        assert not resumes(seen.tls.context, client, first)
        assert "ticket keys renewed" in seen.lines()
        assert seen.served == "CN=old"
        second = session()
        assert resumes(seen.tls.context, client, second)
        seen.put(GOOD.issue("new"))
        seen.watch.reload()
        await wait_all_tasks_blocked()
        assert not resumes(seen.tls.context, client, second)


# --- ends -------------------------------------------------------------------------------------------------------


async def test_the_end_of_a_certificate_is_a_metric(tmp_path: Path, autojump_clock: MockClock) -> None:
    """By listener and kind of key, in seconds since 1970; the end of what is served."""
    name = 'gateway_certificate_expiry_timestamp_seconds{kind="ECDSA",listener="chargers"}'
    async with watching(tmp_path, GOOD.issue("old", end=100 * DAY)) as seen:
        assert seen.metric(name) == pytest.approx((NOW + 100 * DAY).timestamp(), abs=600)
        seen.put(GOOD.issue("new", end=200 * DAY))
        await trio.sleep(3 * POLL_SECONDS)
        assert seen.metric(name) == pytest.approx((NOW + 200 * DAY).timestamp(), abs=600)


async def test_the_end_of_the_issuer_counts_where_it_comes_first(tmp_path: Path, autojump_clock: MockClock) -> None:
    """No charger trusts the certificate after it."""
    issuer = Authority("short", end=50 * DAY)
    certificate, key = issuer.issue("old", end=100 * DAY)
    async with watching(tmp_path, chained((certificate, key), issuer)) as seen:
        assert seen.metric("gateway_certificate_expiry_timestamp_seconds{") == pytest.approx(
            (NOW + 50 * DAY).timestamp(), abs=600
        )


async def test_a_near_end_is_reported_once_a_day_from_thirty_days_before(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As a warning, and as an error once it is over."""
    async with watching(tmp_path, GOOD.issue("old", end=31 * DAY)) as seen:
        seen.watch.report()
        assert seen.lines() == []
        seen.now = NOW + 2 * DAY + timedelta(hours=1)
        await trio.sleep(REPORT_SECONDS + POLL_SECONDS)
        [line] = [each for each in seen.logged if each["log_level"] == "warning"]
        assert line["event"] == "a certificate expires soon"
        assert (line["listener"], line["kind"], line["days"]) == ("chargers", "ECDSA", 28)
        assert line["file"].endswith("server.pem")
        await trio.sleep(REPORT_SECONDS)
        assert seen.lines("warning") == ["a certificate expires soon"] * 2
        seen.now = NOW + 32 * DAY
        await trio.sleep(REPORT_SECONDS)
        assert seen.lines("error") == ["clients that check this certificate will refuse it"]


async def test_a_failure_of_an_unforeseen_kind_ends_nothing(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged as what it is, and the files are looked at again."""
    async with watching(tmp_path, GOOD.issue("old")) as seen:

        def fail(*_: object) -> None:
            raise SystemError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr(TlsProvider, "reload", fail)
            seen.watch.reload()
            await wait_all_tasks_blocked()
        assert seen.lines("error") == ["certificates not reloaded, the old ones stay"]
        seen.put(GOOD.issue("new"))
        await trio.sleep(3 * POLL_SECONDS)
        assert seen.served == "CN=new"
