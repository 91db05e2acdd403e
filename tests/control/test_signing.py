"""SignCertificates over a real server and client; a charger's request is put into the store as a session does."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest
import trio
from typer.testing import CliRunner

from gateway.api.v1 import signing_pb2 as pb
from gateway.cli.main import app
from gateway.client import CertificateSigning, problem_of
from gateway.control.signing import MAX_SERVICES
from gateway.domain import events as e
from gateway.domain.signing import SigningEnd
from gateway.domain.values import Registration
from gateway.store.api import EventFilter
from gateway.store.commits import Append, CreateChargePoint
from tests.support.charger_certificates import SigningAuthority, request

CSR = request("CP1")


def now():
    return datetime.now(UTC)


async def asks(gateway, signing_id="sign_1", csr=CSR):
    """A charger's request, accepted."""
    body = e.CertificateRequested(signing_id, csr, now() + timedelta(hours=1))
    await gateway.journal.commit(CreateChargePoint("CP1", Registration.ACCEPTED, (), now()))
    await gateway.journal.commit(Append("CP1", None, (e.NewEvent(body, now()),)))


def signing(gateway):
    return CertificateSigning(gateway.client.signing.SignCertificates)


async def following(reported):
    """The next response."""
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(next, reported)


async def registered(service):
    reported = iter(service)
    assert (await following(reported)).HasField("registered")
    return reported


async def answered(gateway, kind):
    """The event that an answer has made."""
    where = EventFilter(types=frozenset([kind.TYPE]))
    with trio.fail_after(60):
        async with gateway.feed.subscribe(where, 0) as subscription:
            while not (found := (await subscription.next()).events):
                pass
    (stored,) = found
    return stored.body_json


async def test_a_request_that_waited_is_signed(gateway):
    """It is there before the service is; the answer is on disk."""
    await asks(gateway)
    with signing(gateway) as service:
        reported = await registered(service)
        asked = (await following(reported)).request
        assert (asked.signing_id, asked.charge_point, asked.csr) == ("sign_1", "CP1", CSR)
        chain = SigningAuthority(now()).issue(asked.csr)
        service.answer(pb.SigningAnswer(signing_id="sign_1", certificate_chain=chain))
        await answered(gateway, e.CertificateIssued)
        service.answer(pb.SigningAnswer(signing_id="sign_1", certificate_chain=chain))
        late = (await following(reported)).refused
        assert (late.signing_id, late.reason) == ("sign_1", pb.SIGNING_ANSWER_REFUSAL_NOT_WAITING)


async def test_a_request_that_comes_later_is_refused(gateway):
    """In the service's words; what is no answer is reported before."""
    with signing(gateway) as service:
        reported = await registered(service)
        await asks(gateway)
        asked = (await following(reported)).request
        for wrong, reason in (
            (pb.SigningAnswer(signing_id=asked.signing_id), pb.SIGNING_ANSWER_REFUSAL_BAD_ANSWER),
            (pb.SigningAnswer(signing_id=asked.signing_id, refusal="x" * 256), pb.SIGNING_ANSWER_REFUSAL_BAD_ANSWER),
            (
                pb.SigningAnswer(signing_id=asked.signing_id, certificate_chain="pem"),
                pb.SIGNING_ANSWER_REFUSAL_BAD_CHAIN,
            ),
        ):
            service.answer(wrong)
            refused = (await following(reported)).refused
            assert refused.reason == reason
            assert refused.description
        service.answer(pb.SigningAnswer(signing_id=asked.signing_id, refusal="not today"))
        ended = await answered(gateway, e.CertificateSigningEnded)
        assert b"not today" in ended
        assert SigningEnd.REFUSED.encode() in ended


async def test_a_service_that_leaves_ends_its_stream(gateway):
    """Without an error."""
    with signing(gateway) as service:
        reported = await registered(service)
        service.leave()
        with trio.fail_after(60):
            assert await trio.to_thread.run_sync(list, reported) == []


async def test_a_stream_begins_with_a_registration(gateway):
    """And has one only."""
    stub = gateway.client.signing.SignCertificates
    for sent in (
        [pb.SignCertificatesRequest(answer=pb.SigningAnswer(signing_id="x"))],
        [pb.SignCertificatesRequest(registration=pb.SigningRegistration())] * 2,
    ):
        with pytest.raises(grpc.RpcError) as caught, trio.fail_after(60):
            await trio.to_thread.run_sync(lambda sent=sent: list(stub(iter(sent))))
        problem = problem_of(caught.value)
        assert problem.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [field for field, _ in problem.violations] == ["part"]


async def test_there_are_so_many_services(gateway):
    """One more is refused."""
    services = [signing(gateway) for _ in range(MAX_SERVICES)]
    for each in services:
        await registered(each)
    with signing(gateway) as one_more:
        with pytest.raises(grpc.RpcError) as caught:
            await following(iter(one_more))
        assert problem_of(caught.value).reason == "TOO_MANY_SERVICES"
    for each in services:
        each.close()


@pytest.mark.parametrize("words", ["", "not in the register"])
async def test_a_trial_is_signed_for_by_a_command(gateway, tmp_path, monkeypatch, words):
    """By the development CA, or refused with the operator's words; it leaves after so many."""
    certificates = tmp_path / "certs"
    monkeypatch.setenv("GATEWAY_TARGET", f"127.0.0.1:{gateway.port}")
    await asks(gateway)
    run = CliRunner().invoke
    assert run(app, ["certs", "dev", "--directory", str(certificates)]).exit_code == 0
    command = ["certs", "sign", "--directory", str(certificates), "--limit", "1"]
    with trio.fail_after(60):
        done = await trio.to_thread.run_sync(run, app, command + (["--refuse", words] if words else []))
    assert done.exit_code == 0, done.output
    assert f"CP1: {'refused' if words else 'signed'}" in done.output
    stored = await answered(gateway, e.CertificateSigningEnded if words else e.CertificateIssued)
    assert (words or "BEGIN CERTIFICATE").encode() in stored
