"""The page of operations, jobs, certificates, and stops that belong to no session."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from gateway.api.v1.charge_point_pb2 import ChargePoint, CreateChargePointRequest
from gateway.api.v1.diagnostics_pb2 import GetGatewayStatusRequest
from gateway.api.v1.fleet_pb2 import (
    CancelFleetJobRequest,
    ChargePointSelection,
    FleetOutcome,
    FleetPace,
    RollOutFirmwareRequest,
    RotateAuthorizationKeysRequest,
    WatchFleetJobRequest,
)
from gateway.console import overview_pages
from gateway.domain.callers import Role
from gateway.domain.events import CertificateInstalled, TransactionOrphaned, TransactionStarted
from gateway.domain.values import ConnectorAddress
from tests.console.conftest import Stage
from tests.console.test_signing_in import served
from tests.console.visitor import Visitor
from tests.control.test_authentication import required, serving

ONE, TWO = ConnectorAddress(1, 1), ConnectorAddress(2, 1)

STOP = {"transactionId": 77, "meterStop": 900, "timestamp": "2026-03-01T12:30:00Z", "idTag": "TAG", "reason": "Local"}


async def as_operator(tmp_path: Path, prepare: Any, act: Callable[[Any, Any, Any], None], role: Role) -> None:
    """Sign in with a role on a gateway that requires callers, and act."""
    async with required(tmp_path) as (gateway, tokens):
        await prepare(gateway)

        def acting() -> None:
            with served(gateway) as made:
                visitor = made()
                visitor.sign_in(tokens[role])
                act(visitor, gateway, tokens)

        await trio.to_thread.run_sync(acting)


async def test_certificates_near_their_end_are_listed(tmp_path: Path) -> None:
    """Those that end first before the others; not one that has been renewed since, and no look at the past."""
    now = datetime.now(UTC)

    async def prepare(gateway: Any) -> None:
        for name, days in (("NEAR", 3), ("OVER", -1), ("RENEWED", 3), ("FAR", 300)):
            epoch = await gateway.charge_point(name)
            await gateway.append(name, epoch, CertificateInstalled("0A", now + timedelta(days=days), ""))
            if name == "RENEWED":
                await gateway.append(name, epoch, CertificateInstalled("0B", now + timedelta(days=300), ""))

    def act(visitor: Any, gateway: Any, tokens: Any) -> None:
        page = visitor.get("/operations/certificates")
        assert re.search(r"OVER\s+has ended.*NEAR\s+ends", page.words, re.DOTALL)
        assert "RENEWED" not in page.words
        assert "FAR" not in page.words
        with serving(gateway, tokens[Role.READ]) as client:
            assert client.diagnostics.GetGatewayStatus(GetGatewayStatusRequest(), timeout=60).status.watcher_count == 0
        assert "Look for them" in visitor.get("/operations").words

    await as_operator(tmp_path, prepare, act, Role.READ)


async def test_of_many_certificates_near_their_end_the_first_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that lists the others."""
    monkeypatch.setattr(overview_pages, "CERTIFICATES", 2)
    now = datetime.now(UTC)

    async def prepare(gateway: Any) -> None:
        for number in range(3):
            epoch = await gateway.charge_point(f"CP{number}")
            ends = now + timedelta(days=9 - number)
            await gateway.append(f"CP{number}", epoch, CertificateInstalled("0A", ends, ""))

    def act(visitor: Any, gateway: Any, tokens: Any) -> None:
        words = visitor.get("/operations/certificates").words
        assert re.search(r"CP2\s+ends.*CP1\s+ends.*gateway certificates list", words, re.DOTALL)
        assert "CP0" not in words

    await as_operator(tmp_path, prepare, act, Role.READ)


async def test_a_job_over_the_fleet_is_shown_with_its_progress(tmp_path: Path) -> None:
    """Live until it has ended; with each of its charge points."""

    async def prepare(gateway: Any) -> None:
        await gateway.charge_point("CP1")

    def act(visitor: Any, gateway: Any, tokens: Any) -> None:
        with serving(gateway, tokens[Role.ADMINISTER]) as client:
            request = RotateAuthorizationKeysRequest(request_id="r", selection=ChargePointSelection(every=True))
            job = client.fleet.RotateAuthorizationKeys(request, timeout=60).fleet_job.fleet_job_id
            assert "rotate authorization key" in visitor.get("/operations").words
            page = visitor.get(f"/jobs/{job}")
            assert re.search(r"CP1\s+waiting", page.words)
            with visitor.stream(f"/jobs/{job}/live") as stream:
                shown, _ = stream.next("fragments")
                assert "0 of 1" in shown["progress"]
                client.fleet.CancelFleetJob(CancelFleetJobRequest(fleet_job_id=job), timeout=60)
                assert "caller" not in shown

    await as_operator(tmp_path, prepare, act, Role.ADMINISTER)


def test_a_job_is_followed_to_its_end(stage: Stage, visitor: Visitor) -> None:
    """Here by cancelling it, for its charge point never comes."""
    stage.gateway.charge_points.CreateChargePoint(
        CreateChargePointRequest(charge_point=ChargePoint(identity="SHELF")), timeout=10
    )
    selection = ChargePointSelection(charge_points=["SHELF"])
    pace = FleetPace(per_minute=7.5, at_once=3)
    request = RotateAuthorizationKeysRequest(request_id="shelf", selection=selection, pace=pace, max_failures=4)
    job = stage.gateway.fleet.RotateAuthorizationKeys(request, timeout=10).fleet_job.fleet_job_id
    words = visitor.get(f"/jobs/{job}").words
    assert "Pace 7.5 a minute, 3 at once" in words
    assert "Failures that end it 4" in words
    with visitor.stream(f"/jobs/{job}/live") as stream:
        stream.next("fragments", lambda each: "0 of 1" in each["progress"])
        stage.gateway.fleet.CancelFleetJob(CancelFleetJobRequest(fleet_job_id=job), timeout=60)
        stream.next("fragments", lambda each: "cancelled" in each["progress"])
        stream.next("end")
    assert "cancelled" in visitor.get("/operations").words


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "plain"])
def test_a_rollout_of_firmware_is_followed_to_its_end(stage: Stage, visitor: Visitor, signed: bool) -> None:
    """A real charger fetches and installs it; the page says which firmware, and how far it has come, live."""
    stage.wait_connected("HOME-5")
    request = RollOutFirmwareRequest(
        request_id=f"rollout {signed}",
        selection=ChargePointSelection(charge_points=["HOME-5"]),
        location="https://firmware.example/3.bin",
        signing_certificate=trustme.CA().cert_pem.bytes().decode() if signed else "",
        signature="c2lnbmVk" if signed else "",
    )
    job = stage.gateway.fleet.RollOutFirmware(request, timeout=60).fleet_job.fleet_job_id
    with visitor.stream(f"/jobs/{job}/live") as stream:
        stream.next("fragments", lambda each: "installing" in each["items"])
    # A charger that boots holds no place, and is looked at each half minute.
    *_, last = stage.gateway.fleet.WatchFleetJob(WatchFleetJobRequest(fleet_job_id=job), timeout=60)
    assert [(each.outcome, each.count) for each in last.fleet_job.counts] == [(FleetOutcome.FLEET_OUTCOME_DONE, 1)]
    page = visitor.get(f"/jobs/{job}")
    assert "1 of 1" in page.words
    assert "Pace 60 a minute, 20 at once" in page.words
    assert "Failures that end it none" in page.words
    assert "https://firmware.example/3.bin" in page.words
    assert re.search(r"HOME-5\s+done\s+installing", page.words)
    assert f"Signed {'yes' if signed else 'no'}" in page.words
    words = visitor.get("/operations").words
    jobs, _, single = words.partition("Firmware that was installed charger by charger")
    assert "install firmware https://firmware.example/3.bin" in jobs
    assert "https://firmware.example/3.bin" not in single.partition("Gateway")[0]


async def test_a_stop_that_belongs_to_no_session_is_tied_to_one(tmp_path: Path) -> None:
    """From the list of such stops, with a reason; and never to another one."""

    async def prepare(gateway: Any) -> None:
        epoch = await gateway.charge_point("CP1")
        await gateway.append("CP1", epoch, TransactionStarted("tx_1", 1, ONE, "TAG", "Accepted", 100, "key"))
        await gateway.append("CP1", epoch, TransactionStarted("tx_2", 2, TWO, "TAG", "Accepted", 100, "key2"))
        await gateway.append("CP1", epoch, TransactionOrphaned(77, "unknown-number", STOP))

    def act(visitor: Any, gateway: Any, tokens: Any) -> None:
        page = visitor.get("/sessions")
        assert "unknown number, number 77" in page.words
        orphan = re.search(r'name="orphan" value="([^"]+)"', page.text)
        assert orphan is not None
        form = {"form_token": page.form_token, "orphan": orphan[1], "transaction_id": "tx_1", "reason": "its stop"}
        tied = visitor.follow(visitor.post("/orphans", form))
        assert "stopped" in tied.words
        assert "unknown number, number 77" not in visitor.get("/sessions").words
        refused = visitor.post("/orphans", form | {"transaction_id": "tx_2", "request_id": "another"})
        assert refused.status == 409
        assert "ORPHAN_ATTRIBUTED" in refused.words

    await as_operator(tmp_path, prepare, act, Role.OPERATE)
