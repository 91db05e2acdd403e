"""Values between Python, protobuf and JSON; and streams in both directions as loops."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
import trio

from gateway.client import (
    CertificateSigning,
    Gateway,
    Tls,
    VendorDataHandling,
    duration,
    moment,
    timestamp,
    to_dict,
    to_json,
    v1,
)
from gateway.client.aio import AsyncGateway
from gateway.client.trio_gateway import TrioGateway
from tests.client.fakes import FakeGateway


def test_times_keep_their_moment() -> None:
    """Whatever their zone."""
    at = datetime(2026, 11, 27, 13, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=1)))
    assert moment(timestamp(at)) == at
    assert moment(timestamp(at)).tzinfo is UTC
    assert duration(timedelta(seconds=90)).seconds == 90


def test_a_time_without_a_zone_is_refused() -> None:
    """It could be any."""
    with pytest.raises(ValueError, match="zone"):
        timestamp(datetime(2026, 11, 27, 13, 30))  # noqa: DTZ001


def test_messages_become_json_with_the_protos_names() -> None:
    """On one line."""
    message = v1.ResetRequest(charge_point="CP1", type=v1.RESET_TYPE_HARD)
    assert to_dict(message) == {"charge_point": "CP1", "type": "RESET_TYPE_HARD"}
    assert to_json(message) == '{"charge_point": "CP1", "type": "RESET_TYPE_HARD"}'


def test_data_of_vendors_is_handled_in_a_loop(fake: FakeGateway) -> None:
    """Registered first, then an answer for each; leaving ends it."""
    fake.behaviour["HandleVendorData"] = lambda requests, _: (
        v1.HandleVendorDataResponse(data=v1.VendorDataRequest(data_id=each.WhichOneof("part"))) for each in requests
    )
    interest = v1.VendorInterest(vendor_id="acme")
    with (
        Gateway(fake.target) as gateway,
        VendorDataHandling(gateway.vendor_data.handle_vendor_data, [interest]) as stream,
    ):
        responses = iter(stream)
        assert next(responses).data.data_id == "registration"
        stream.answer(v1.VendorDataAnswer(data_id="1"))
        assert next(responses).data.data_id == "answer"
        stream.leave()
        assert list(responses) == []


def test_certificates_are_signed_in_a_loop(fake: FakeGateway) -> None:
    """Likewise."""
    fake.behaviour["SignCertificates"] = lambda requests, _: (v1.SignCertificatesResponse() for _ in requests)
    with Gateway(fake.target) as gateway, CertificateSigning(gateway.signing.sign_certificates) as stream:
        responses = iter(stream)
        next(responses)
        stream.answer(v1.SigningAnswer(signing_id="1"))
        next(responses)
        stream.leave()
        assert list(responses) == []


def test_a_client_over_tls_has_a_secure_channel() -> None:
    """Made of the PEM that it is given; nothing is connected yet. The key is in no representation."""
    tls = Tls(key=b"secret")
    assert "secret" not in repr(tls)
    with Gateway("127.0.0.1:1", Tls()) as gateway:
        assert gateway.channel is not None


def test_the_other_clients_have_one_too() -> None:
    """Each made in its own loop."""

    async def made(kind: type[AsyncGateway] | type[TrioGateway]) -> None:
        async with kind("127.0.0.1:1", Tls()) as gateway:
            assert gateway.channel is not None

    asyncio.run(made(AsyncGateway))
    trio.run(made, TrioGateway)
