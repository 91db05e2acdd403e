"""Many chargers, their daily life, and the real wire: TLS over loopback."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
import trustme
from cryptography import x509
from trio.testing import MockClock

from gateway.simulator import ChargerConfig, Habits, SimulatedCharger, VehicleConfig, simulate_many
from gateway.simulator.link import Target, TlsDial
from tests.simulator.central import Central, trio_clock
from tests.support.charger_certificates import SigningAuthority, key_pem, new_key, pem, request


def configs(count: int) -> list[ChargerConfig]:
    return [ChargerConfig("wss://central.example/ocpp", f"HOME-{number}", b"k" * 16, seed=5) for number in range(count)]


async def day(hours: float, habits: Habits) -> tuple[Central, list[tuple[str, str, dict[str, Any]]]]:
    """Let three households live for some hours."""
    reports: list[tuple[str, str, dict[str, Any]]] = []

    def hear(identity: str, name: str, details: Mapping[str, Any]) -> None:
        reports.append((identity, name, dict(details)))

    async with trio.open_nursery() as nursery:
        central = Central(nursery)

        async def households(task_status: trio.TaskStatus[Any]) -> None:
            await simulate_many(
                configs(3),
                habits=habits,
                clock=trio_clock(),
                on_event=hear,
                dial=central.dial,
                task_status=task_status,
            )

        chargers = await nursery.start(households)
        assert [charger.identity for charger in chargers] == ["HOME-0", "HOME-1", "HOME-2"]
        await trio.sleep(hours * 3600)
        nursery.cancel_scope.cancel()
    return central, reports


async def test_a_day_of_three_households(autojump_clock: MockClock) -> None:
    """Everybody comes home, charges, leaves; every transaction that started and is over was stopped."""
    central, reports = await day(48, Habits())
    starts, stops = central.having("StartTransaction"), central.having("StopTransaction")
    assert len(starts) >= 6
    assert 0 <= len(starts) - len(stops) <= 3
    assert {stop["reason"] for stop in stops} == {"Local", "EVDisconnected"}
    assert {identity for identity, name, _ in reports if name == "transaction_stopped"} == {
        "HOME-0",
        "HOME-1",
        "HOME-2",
    }
    assert any(details["energy_wh"] > 5_000 for _, name, details in reports if name == "transaction_stopped")


async def test_the_same_seed_gives_the_same_day(autojump_clock: MockClock) -> None:
    """Arrivals, departures and energy are repeatable."""

    def story(reports: list[tuple[str, str, dict[str, Any]]]) -> list[tuple[str, Any, Any]]:
        kept = [
            (who, what["energy_wh"], what["reason"]) for who, name, what in reports if name == "transaction_stopped"
        ]
        return sorted(kept)

    first = story((await day(24, Habits()))[1])
    assert first
    assert first == story((await day(24, Habits()))[1])


async def test_who_has_no_tag_waits_for_a_remote_start(autojump_clock: MockClock) -> None:
    """starts_with_tag=0: vehicles are plugged in, nothing starts by itself."""
    central, _ = await day(24, Habits(starts_with_tag=0))
    assert central.having("StatusNotification", connectorId=1, status="Preparing")
    assert not central.having("StartTransaction")


async def test_two_chargers_with_one_identity_are_refused() -> None:
    """They would throw each other off the link for ever."""
    with pytest.raises(ValueError, match="identity"):
        await simulate_many([*configs(1), *configs(1)])


@pytest.mark.parametrize("url", ["ws://central.example/ocpp", "https://central.example", "wss:///ocpp", "central"])
def test_only_wss_is_a_url(url: str) -> None:
    """The error names the field; plain ws is not offered."""
    with pytest.raises(ValueError, match="url"):
        ChargerConfig(url, "HOME-1", b"")


def test_the_password_is_in_no_representation() -> None:
    """Of the configuration."""
    assert "hunter2" not in repr(ChargerConfig("wss://central.example/ocpp", "HOME-1", b"hunter2" * 3))


class Tls:
    """A central system listening on loopback with a certificate of a CA of its own."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.central = Central(nursery)
        self.nursery = nursery
        self.presented: list[int] = []
        """Serial numbers of the certificates that chargers have shown, in their order."""
        self.authority = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.server)
        self.client = ssl.create_default_context()
        self.authority.configure_trust(self.client)

    async def listen(self) -> str:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def serve(stream: trio.SocketStream) -> None:
            try:
                secured = trio.SSLStream(stream, self.server, server_side=True)
                await secured.do_handshake()
                shown = secured.getpeercert(binary_form=True)
                if shown:
                    self.presented.append(x509.load_der_x509_certificate(shown).serial_number)
                await self.central.serve(secured)
            except* (trio.BrokenResourceError, ssl.SSLError):
                pass  # a client that does not trust us

        self.nursery.start_soon(trio.serve_listeners, serve, listeners)
        return f"wss://127.0.0.1:{listeners[0].socket.getsockname()[1]}/ocpp"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something beyond a socket."""
    while not condition():  # noqa: ASYNC110 - no event of the test's own
        await trio.sleep(0.01)


async def test_a_renewed_certificate_is_presented_from_then_on(nursery: trio.Nursery) -> None:
    """The charger connects anew with it; the context that it was given, which others may share, keeps the old one."""
    tls = Tls(nursery)
    chargers = SigningAuthority(datetime.now(UTC))
    tls.server.verify_mode = ssl.CERT_REQUIRED
    tls.server.load_verify_locations(cadata=pem(chargers.root) + pem(chargers.issuer))
    url, key = await tls.listen(), new_key()
    with tempfile.NamedTemporaryFile() as file:
        file.write((chargers.issue(request("HOME-1", key=key)) + key_pem(key)).encode())
        file.flush()
        tls.client.load_cert_chain(file.name)
    tls.central.replies["SignCertificate"] = lambda _: {"status": "Accepted"}
    requests: list[str] = []
    with trio.fail_after(60):
        charger = SimulatedCharger(ChargerConfig(url, "HOME-1", b"", speed=600, vehicle=VehicleConfig()), tls.client)
        await nursery.start(charger.run)
        await charger.wait_for(lambda each: each.registration == "Accepted")
        await tls.central.call("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})

        def asked() -> bool:
            requests[:] = [each["csr"] for name, each in tls.central.requests if name == "SignCertificate"]
            return bool(requests)

        await until(asked)
        chain = chargers.issue(requests[0])
        assert await tls.central.call("CertificateSigned", {"certificateChain": chain}) == {"status": "Accepted"}
        await until(lambda: len(tls.presented) == 2)
        await charger.wait_for(lambda each: each.connected)
        assert tls.presented[1] == x509.load_pem_x509_certificate(chain.encode()).serial_number
        assert tls.presented[0] != tls.presented[1]
        with_the_old_one = await TlsDial(tls.client)(Target.of(url, "HOME-2", b""))
        await until(lambda: len(tls.presented) == 3)
        await trio.aclose_forcefully(with_the_old_one)
        assert tls.presented[2] == tls.presented[0]
    nursery.cancel_scope.cancel()


async def test_a_session_over_tls(nursery: trio.Nursery) -> None:
    """The whole way, in real time at high speed: boot, remote start, readings, stop, a lost link, back again."""
    tls = Tls(nursery)
    url = await tls.listen()
    config = ChargerConfig(url, "HOME 1", b"\x00\xff:" + b"k" * 14, speed=600, vehicle=VehicleConfig())
    charger = SimulatedCharger(config, tls.client)
    with trio.fail_after(60):
        await nursery.start(charger.run)
        await charger.wait_for(lambda each: each.registration == "Accepted")
        charger.plug_in()
        await tls.central.call("RemoteStartTransaction", {"idTag": "APP"})
        await tls.central.heard("MeterValues", times=2)
        charger.drop_link()
        await tls.central.until(lambda central: len(central.headers) == 2)
        await charger.wait_for(lambda each: each.connected)
        await tls.central.call("RemoteStopTransaction", {"transactionId": charger.transaction_id()})
        stop = await tls.central.heard("StopTransaction")
    assert stop["reason"] == "Remote"
    assert tls.central.targets == []
    assert tls.central.headers[0][b"authorization"].startswith(b"Basic SE9NRSAxOgD/O")
    assert len(tls.central.having("BootNotification")) == 1
    nursery.cancel_scope.cancel()


async def test_a_server_that_is_not_trusted_is_reported_as_such(nursery: trio.Nursery) -> None:
    """No upgrade, no credentials sent; the reason is for people."""
    tls = Tls(nursery)
    url = await tls.listen()
    reports: list[str] = []

    def hear(name: str, details: Mapping[str, Any]) -> None:
        if name == "link_failed":
            reports.append(str(details["reason"]))

    charger = SimulatedCharger(ChargerConfig(url, "HOME-1", b"k" * 16), ssl.create_default_context(), on_event=hear)
    with trio.fail_after(60):
        await nursery.start(charger.run)
        await charger.wait_for(lambda _: bool(reports))
    assert "certificate verify failed" in reports[0].lower()
    assert tls.central.headers == []
    nursery.cancel_scope.cancel()


async def test_no_listener_is_reported_and_tried_again(nursery: trio.Nursery) -> None:
    """A refused TCP connection is a failed link, not the end of the charger."""
    reports: list[str] = []

    def hear(name: str, details: Mapping[str, Any]) -> None:
        reports.append(name)

    config = ChargerConfig("wss://127.0.0.1:1/ocpp", "HOME-1", b"k" * 16, speed=100)
    charger = SimulatedCharger(config, on_event=hear)
    with trio.fail_after(60):
        await nursery.start(charger.run)
        await charger.wait_for(lambda _: reports.count("link_failed") >= 3)
    assert not charger.connected
    nursery.cancel_scope.cancel()
