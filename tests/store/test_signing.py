"""Requests to certify a charger's key, and the certificates that chargers have, on both stores; and the guards that a
decision about them, about operations and about remote starts rests on."""

from datetime import datetime

import pytest

from gateway.domain.certificates import CertificateFacts
from gateway.domain.decision import Guard, OperationUnused, SigningOpen, StartPending
from gateway.domain.events import (
    Body,
    CertificateExpiring,
    CertificateInstalled,
    CertificateIssued,
    CertificateRequested,
    CertificateSigningEnded,
    ChargePointConnected,
    OperationAccepted,
)
from gateway.domain.operations import OperationKind, OperationRequest
from gateway.domain.signing import SigningEnd, SigningRecord
from gateway.store.api import Store
from gateway.store.certificates import DueCertificate
from gateway.store.commits import Append, Appended, GuardFailed, OpenSession
from tests.store.builders import append, at, connect, create, event, one

CSR, CHAIN = "-----BEGIN CERTIFICATE REQUEST-----", "-----BEGIN CERTIFICATE-----"


def requested(signing_id: str = "sig_1", expires: float = 100) -> CertificateRequested:
    return CertificateRequested(signing_id, CSR, at(expires))


def issued(signing_id: str = "sig_1") -> CertificateIssued:
    return CertificateIssued(signing_id, CHAIN, "aa", at(900))


def ended(signing_id: str = "sig_1") -> CertificateSigningEnded:
    return CertificateSigningEnded(signing_id, SigningEnd.REFUSED, "no")


def installed(serial: str = "aa", end: float = 900) -> CertificateInstalled:
    return CertificateInstalled(serial, at(end))


def expiring(serial: str = "aa", expired: bool = False) -> CertificateExpiring:
    return CertificateExpiring(serial, at(900), expired)


@pytest.fixture
def store(store: Store) -> Store:
    """With two charge points."""
    create(store, "CP1")
    create(store, "CP2")
    return store


# --- requests ---------------------------------------------------------------------------------------------------


def test_a_request_is_found_until_it_has_ended(store: Store) -> None:
    """By its id, with the certificate once there is one; the end of another one ends nothing."""
    append(store, requested(), seconds=5)
    record = SigningRecord("sig_1", "CP1", CSR, at(5), at(100))
    assert store.signing("sig_1") == record
    assert store.signing("sig_2") is None
    append(store, issued("sig_2"), ended("sig_2"))
    assert store.signing("sig_1") == record
    append(store, issued())
    assert store.signing("sig_1") == SigningRecord("sig_1", "CP1", CSR, at(5), at(100), CHAIN)
    append(store, ended())
    assert store.signing("sig_1") is None


def test_a_later_request_takes_the_place_of_the_one_before(store: Store) -> None:
    """A charge point has one; it waits for its certificate anew."""
    append(store, requested(), issued())
    append(store, requested("sig_2", 200), seconds=7)
    assert store.signing("sig_1") is None
    assert store.signing("sig_2") == SigningRecord("sig_2", "CP1", CSR, at(7), at(200))


def test_requests_that_wait_for_the_signing_service_are_paged_by_id(store: Store) -> None:
    """Those that have their certificate wait no more."""
    append(store, requested("sig_2"), identity="CP1")
    append(store, requested("sig_1"), identity="CP2")
    assert [each.signing_id for each in store.unsigned("", 10)] == ["sig_1", "sig_2"]
    assert [each.signing_id for each in store.unsigned("", 1)] == ["sig_1"]
    assert [each.charge_point for each in store.unsigned("sig_1", 10)] == ["CP1"]
    append(store, issued("sig_2"), identity="CP1")
    assert [each.signing_id for each in store.unsigned("", 10)] == ["sig_1"]


def test_requests_whose_time_is_over_are_found_the_oldest_first(store: Store) -> None:
    """At their very time, whether or not they have a certificate."""
    append(store, requested("sig_1", 20), issued("sig_1"), identity="CP1")
    append(store, requested("sig_2", 10), identity="CP2")
    found = [[each.signing_id for each in store.overdue_signings(at(when), 10)] for when in (9, 10, 19, 20)]
    assert found == [[], ["sig_2"], ["sig_2"], ["sig_2", "sig_1"]]
    assert len(store.overdue_signings(at(20), 1)) == 1


# --- certificates -----------------------------------------------------------------------------------------------


def certificate(store: Store, identity: str = "CP1") -> CertificateFacts | None:
    found = store.charge_point(identity)
    assert found is not None
    return found.certificate


def came(store: Store, serial: str, end: datetime | None) -> None:
    """CP1 connects with a client certificate."""
    one(store, OpenSession("CP1", ChargePointConnected("192.0.2.7", "ocpp1.6", 3, "TLSv1.3", serial, end), at(1)))


def test_the_certificate_is_the_one_that_was_installed_or_came_last(store: Store) -> None:
    """A connection without one changes nothing, nor does one whose end is not known."""
    assert certificate(store) is None
    append(store, installed())
    assert certificate(store) == CertificateFacts("aa", at(900))
    came(store, "bb", at(950))
    assert certificate(store) == CertificateFacts("bb", at(950))
    connect(store)
    came(store, "cc", None)
    assert certificate(store) == CertificateFacts("bb", at(950))
    assert certificate(store, "CP2") is None


def test_a_certificate_is_due_once_near_its_end_and_once_past_it(store: Store) -> None:
    """Until an event says so; of several the first to end comes first."""
    append(store, installed("aa", 900), identity="CP1")
    append(store, installed("bb", 800), identity="CP2")

    def due(now: float, near: float, limit: int = 10) -> list[DueCertificate]:
        return store.due_certificates(at(now), at(near), limit)

    one, two = DueCertificate("CP1", "aa", at(900), False), DueCertificate("CP2", "bb", at(800), False)
    assert [due(0, near) for near in (799, 800, 899, 900)] == [[], [two], [two], [two, one]]
    assert due(0, 900, 1) == [two]
    append(store, expiring("aa"), identity="CP1")
    assert due(0, 900) == [two]
    assert due(899, 899) == [DueCertificate("CP2", "bb", at(800), True)]
    assert due(900, 900)[1] == DueCertificate("CP1", "aa", at(900), True)
    append(store, expiring("aa", True), identity="CP1")
    assert [each.charge_point for each in due(900, 900)] == ["CP2"]


def test_another_certificate_is_reported_anew(store: Store) -> None:
    """The same one is not; a report of another one's end counts for nothing."""
    append(store, installed(), expiring("bb"))
    assert len(store.due_certificates(at(0), at(900), 10)) == 1
    append(store, expiring(), installed())
    assert store.due_certificates(at(0), at(900), 10) == []
    append(store, installed("aa", 901))
    assert len(store.due_certificates(at(0), at(901), 10)) == 1
    append(store, expiring(), installed("bb", 901))
    assert len(store.due_certificates(at(0), at(901), 10)) == 1


# --- guards -----------------------------------------------------------------------------------------------------

OPERATION = OperationAccepted("op_1", "r", OperationRequest(OperationKind.STOP_CHARGING), at(60))

GUARDS: list[tuple[Guard, Body, bool]] = [
    (SigningOpen("sig_1"), requested(), True),
    (SigningOpen("sig_1", False), requested(), True),
    (SigningOpen("sig_1", True), requested(), False),
    (SigningOpen("sig_1"), issued(), True),
    (SigningOpen("sig_1", False), issued(), False),
    (SigningOpen("sig_1", True), issued(), True),
    (SigningOpen("sig_2"), requested(), False),
    (SigningOpen("sig_1"), ended(), False),
    (OperationUnused("r"), OPERATION, False),
    (OperationUnused("s"), OPERATION, True),
    (StartPending("cmd_1"), requested(), False),
]


@pytest.mark.parametrize(("guard", "last", "holds"), GUARDS)
def test_a_guard_holds_or_fails_by_what_was_committed(store: Store, guard: Guard, last: Body, holds: bool) -> None:
    """Of its own charge point, and in the same transaction too."""
    before = () if last in (OPERATION, requested()) else (requested(),)
    append(store, *before, last)
    expected = Appended if holds else GuardFailed
    assert isinstance(append(store, installed(), guards=[guard]), expected)
    if not holds:
        assert append(store, installed(), guards=[guard]) == GuardFailed(guard)
    elsewhere = isinstance(guard, OperationUnused)
    assert isinstance(
        append(store, installed(), identity="CP2", guards=[guard]), Appended if elsewhere else GuardFailed
    )


def test_a_guard_sees_what_the_same_batch_has_written(store: Store) -> None:
    """Whatever of it has not been sent yet."""
    batch = [
        Append("CP1", None, (event(requested()), event(OPERATION))),
        Append("CP1", None, (event(installed()),), (SigningOpen("sig_1"),)),
        Append("CP1", None, (event(installed()),), (OperationUnused("r"),)),
    ]
    first, second, third = store.commit(batch)
    assert isinstance(first, Appended)
    assert isinstance(second, Appended)
    assert third == GuardFailed(OperationUnused("r"))
