"""Admission: the chargers that may connect, and the answers to all others; nothing is written for a refusal."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog
import trio
import trio.testing
from trio.testing import MockClock

from gateway.chargers.admission import LOGGED_AT_ONCE, Admission, EntryTerms, KeyUse, Principal
from gateway.chargers.certificate_identity import CertificateRule
from gateway.chargers.slow_checks import SlowChecks
from gateway.domain.credentials import Verifier, find, generate_key, make_credential
from gateway.domain.records import CredentialKind, KeyStanding
from gateway.session.ports import NoObserver
from gateway.store.commits import AddCredential, RemoveCredentials, UpdateChargePoint
from gateway.transport.api import Accept, Peer, Rejection, UpgradeRequest
from gateway.transport.authentication import unauthorized
from tests.support.harness import Harness, virtual_clock
from tests.transport.authorities import ClientAuthority

KEY = generate_key()
PEER = Peer("192.0.2.7", 40000, "TLSv1.3", "TLS_AES_128_GCM_SHA256", None)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.store.close()


AUTHORITY = ClientAuthority()
BY_PASSWORD = EntryTerms("/ocpp/")
BY_CERTIFICATE = EntryTerms("/ocpp/", 3, CertificateRule())


def admission(
    harness: Harness,
    refusing: str | None = None,
    has_place: Callable[[str], bool] = lambda _: True,
    slow_checks: SlowChecks | None = None,
    accept_hex: bool = False,
    subprotocols: tuple[str, ...] = ("ocpp1.6",),
    terms: EntryTerms = BY_PASSWORD,
) -> Admission:
    return Admission(
        reads=harness.reads,
        verifier=Verifier(accept_hex),
        clock=virtual_clock,
        observer=NoObserver(),
        terms={"chargers": terms},
        subprotocols=subprotocols,
        refusing=lambda: refusing,
        has_place=has_place,
        slow_checks=slow_checks,
    )


def add(harness: Harness, *keys: bytes, kind: CredentialKind = CredentialKind.GENERATED) -> None:
    harness.add_charge_point()
    for key in keys:
        harness.store.commit([AddCredential("CP1", make_credential(key, kind, virtual_clock()))])


def request(
    identity: str = "CP1",
    key: bytes = KEY,
    offered: tuple[str, ...] = ("ocpp1.6",),
    username: str = "",
    peer: Peer = PEER,
) -> UpgradeRequest:
    token = base64.b64encode((username or identity).encode() + b":" + key).decode()
    return UpgradeRequest(f"/ocpp/{identity}", (("Authorization", f"Basic {token}"),), offered, peer, "chargers")


def with_certificate(name: str, identity: str = "CP1") -> UpgradeRequest:
    """A request without a password."""
    peer = attrs.evolve(PEER, certificate=AUTHORITY.issue(name).der)
    return UpgradeRequest(f"/ocpp/{identity}", (), ("ocpp1.6",), peer, "chargers")


async def test_a_known_charger_with_its_key_is_admitted(harness: Harness) -> None:
    """A2.1, A7.3."""
    add(harness, KEY)
    assert await admission(harness)(request()) == Accept(Principal("CP1", "ocpp1.6", 2), "ocpp1.6")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("CP2"), 404),
        (request(key=generate_key()), 401),
        (request(username="CP2"), 401),
        (request(offered=("ocpp2.0.1",)), 400),
        (request(offered=()), 400),
    ],
)
async def test_any_other_is_refused_and_nothing_is_written(
    harness: Harness, asked: UpgradeRequest, status: int
) -> None:
    """A1.5, A1.6, A7.1, A7.4, X1."""
    add(harness, KEY)
    answer = await admission(harness)(asked)
    assert isinstance(answer, Rejection)
    assert answer.status == status
    assert harness.journal.commits == []


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (with_certificate("CP1"), Accept(Principal("CP1", "ocpp1.6", 3), "ocpp1.6")),
        (with_certificate("CP2"), Rejection(403, "certificate_of_another_charger", "CP1")),
        (with_certificate("CP1", "CP2"), Rejection(403, "certificate_of_another_charger", "CP2")),
        (with_certificate("CP3", "CP3"), Rejection(404, "unknown_identity", "CP3")),
        (request(), Rejection(403, "client_certificate_missing", "CP1")),
    ],
)
async def test_a_certificate_stands_in_the_place_of_the_password(
    harness: Harness, asked: UpgradeRequest, answer: Accept | Rejection
) -> None:
    """Security profile 3: its charger's alone, and a password in its place is not enough (A7.11, A7.17, A7.18)."""
    add(harness, KEY)
    harness.add_charge_point("CP2")
    assert await admission(harness, terms=BY_CERTIFICATE)(asked) == answer


async def test_a_wrong_password_beside_a_certificate_is_not_looked_at(harness: Harness) -> None:
    """Some chargers go on sending the key of before; no slow check is spent on it."""
    add(harness, KEY, kind=CredentialKind.IMPORTED)
    peer = attrs.evolve(PEER, certificate=AUTHORITY.issue("CP1").der)
    asked = request(key=b"another password", peer=peer)
    assert isinstance(await admission(harness, terms=BY_CERTIFICATE)(asked), Accept)


async def test_both_may_be_asked_for(harness: Harness) -> None:
    """Profile 2 on a listener with an authority: the certificate comes on top of the password."""
    add(harness, KEY)
    both = EntryTerms("/ocpp/", rule=CertificateRule())
    assert await admission(harness, terms=both)(with_certificate("CP1")) == unauthorized("authorization_missing", "CP1")
    peer = attrs.evolve(PEER, certificate=AUTHORITY.issue("CP1").der)
    assert await admission(harness, terms=both)(request(peer=peer)) == Accept(Principal("CP1", "ocpp1.6", 2), "ocpp1.6")
    stolen = attrs.evolve(PEER, certificate=AUTHORITY.issue("CP2").der)
    refused = await admission(harness, terms=both)(request(peer=stolen))
    assert refused == Rejection(403, "certificate_of_another_charger", "CP1")


async def test_a_certificate_may_name_the_serial_number_of_the_charge_point(harness: Harness) -> None:
    """As a label holds it, which its operator sets (WP A00.FR.405)."""
    add(harness, KEY)
    terms = EntryTerms("/ocpp/", 3, CertificateRule("serial", serial_label="sn"))
    refused = await admission(harness, terms=terms)(with_certificate("SN-4711"))
    assert refused == Rejection(403, "no_serial_number_known", "CP1")
    harness.store.commit([UpdateChargePoint("CP1", virtual_clock(), labels={"sn": "SN-4711"})])
    assert isinstance(await admission(harness, terms=terms)(with_certificate("SN-4711")), Accept)
    assert isinstance(await admission(harness, terms=terms)(with_certificate("CP1")), Rejection)


async def test_a_wrong_password_is_reported_before_a_wrong_subprotocol(harness: Harness) -> None:
    """Supported subprotocols are shown only to chargers that proved who they are."""
    add(harness, KEY)
    answer = await admission(harness)(request(key=generate_key(), offered=("ocpp2.0.1",)))
    assert isinstance(answer, Rejection)
    assert answer.status == 401


async def test_the_operators_switch_admits_a_charger_without_a_subprotocol(harness: Harness) -> None:
    """X2: spoken to as 1.6, and nothing is echoed."""
    add(harness, KEY)
    harness.store.commit([UpdateChargePoint("CP1", virtual_clock(), quirks={"assume_subprotocol": True})])
    answer = await admission(harness)(request(offered=()))
    assert answer == Accept(Principal("CP1", "ocpp1.6", 2), None)
    of_several = await admission(harness, subprotocols=("ocpp1.6", "ocpp9"))(request(offered=()))
    assert of_several == answer, "the first one is the one to assume"


async def test_an_imported_key_is_checked_slowly_once_and_recognised_after(harness: Harness) -> None:
    """Reconnects cost nothing, whatever kind of key."""
    add(harness, b"a password of old", kind=CredentialKind.IMPORTED)
    admit = admission(harness)
    assert isinstance(await admit(request(key=b"a password of old")), Accept)
    assert isinstance(await admit(request(key=b"a password of old")), Accept)
    refused = await admit(request(key=b"another password"))
    assert isinstance(refused, Rejection)
    assert refused.status == 401


async def test_whichever_of_several_imported_keys_it_was_is_recognised_after(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the first, nor the last: the one that was used."""
    keys = (b"a password of old", b"another of old", b"a third of old")
    add(harness, *keys, kind=CredentialKind.IMPORTED)
    checks: list[bytes] = []

    def counted(credentials: Any, password: bytes, *more: Any) -> Any:
        checks.append(password)
        return find(credentials, password, *more)

    monkeypatch.setattr("gateway.chargers.admission.find", counted)
    admit = admission(harness)
    for _ in range(3):
        for key in keys:
            answer = await admit(request(key=key))
            assert isinstance(answer, Accept)
    assert checks == list(keys)


async def test_where_too_many_guess_at_one_key_the_newest_is_to_come_again(harness: Harness) -> None:
    """503 with Retry-After and not 401, for it may be the right key; the right key before it is not touched."""
    add(harness, b"a password of old", kind=CredentialKind.IMPORTED)
    admit = admission(harness, slow_checks=SlowChecks(most_waiting=1))
    answers: dict[bytes, Accept | Rejection] = {}

    async def ask(key: bytes) -> None:
        answers[key] = await admit(request(key=key))

    async with trio.open_nursery() as nursery:
        for key in (b"a first guess", b"a password of old", b"a second guess"):
            nursery.start_soon(ask, key)
            await trio.testing.wait_all_tasks_blocked()
    crowded = answers[b"a second guess"]
    assert isinstance(crowded, Rejection)
    assert (crowded.status, crowded.reason) == (503, "checks_crowded")
    assert 5 <= int(dict(crowded.headers)["Retry-After"]) <= 15
    assert isinstance(answers[b"a password of old"], Accept)


@pytest.mark.parametrize("why", ["draining", "store-unavailable"])
async def test_a_charger_that_could_not_be_served_is_not_admitted(harness: Harness, why: str) -> None:
    """503 with Retry-After: chargers keep their messages and come back."""
    add(harness, KEY)
    answer = await admission(harness, refusing=why)(request())
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.reason) == (503, why)
    assert "Retry-After" in dict(answer.headers)


async def test_a_store_that_cannot_be_read_admits_no_charger(harness: Harness) -> None:
    """503, not 401 or 404: the charger has done nothing wrong."""
    add(harness, KEY)
    harness.journal.failing = True
    answer = await admission(harness)(request())
    assert isinstance(answer, Rejection)
    assert answer.status == 503


async def test_using_the_newer_key_supersedes_the_older_one(harness: Harness) -> None:
    """A7.8: with two keys in force, the newer one's first use decides; the older one's use decides of one that was
    offered, and nothing of one that was provisioned, or that counts from the next boot on."""
    new = generate_key()
    add(harness, KEY)
    credential = make_credential(new, CredentialKind.GENERATED, virtual_clock())
    passed_over = {
        KeyStanding.OFFERED: (credential.credential_id,),
        KeyStanding.AFTER_BOOT: (),
        KeyStanding.SETTLED: (),
    }
    for standing, ids in passed_over.items():
        harness.store.commit([AddCredential("CP1", attrs.evolve(credential, standing=standing))])
        with_old, with_new = await used(harness, KEY), await used(harness, new)
        assert (with_old.passed_over, with_old.settles) == (ids, bool(ids))
        assert (with_new.credential_id, with_new.passed_over) == (credential.credential_id, ())
        assert with_new.settles
        harness.store.commit([RemoveCredentials("CP1", (credential.credential_id,))])


async def used(harness: Harness, key: bytes) -> KeyUse:
    """Use a key that lets in; what follows from it."""
    accepted = await admission(harness)(request(key=key))
    assert isinstance(accepted, Accept)
    assert isinstance(accepted.principal, Principal)
    assert accepted.principal.use is not None
    return accepted.principal.use


async def test_above_the_mark_a_stranger_costs_nothing_and_is_answered_when_to_come_back(harness: Harness) -> None:
    """503 before any look-up: the store isn't even there. What is malformed keeps its 400."""
    harness.journal.failing = True
    full = admission(harness, has_place=lambda identity: identity == "CP2")
    answer = await full(request())
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.reason, answer.identity) == (503, "at_capacity", "CP1")
    [(name, seconds)] = answer.headers
    assert name == "Retry-After"
    assert 60 <= int(seconds) <= 180
    malformed = await full(request("CP%00"))
    assert isinstance(malformed, Rejection)
    assert malformed.status == 400


async def test_above_the_mark_a_charger_that_has_a_place_still_has_to_prove_who_it_is(harness: Harness) -> None:
    """It replaces its own old connection, so it needs none (A6.7, A6.9)."""
    add(harness, KEY)
    full = admission(harness, has_place=lambda identity: identity == "CP1")
    assert isinstance(await full(request()), Accept)
    refused = await full(request(key=generate_key()))
    assert isinstance(refused, Rejection)
    assert refused.status == 401


async def test_refusals_without_end_fill_no_log(harness: Harness, autojump_clock: MockClock) -> None:
    """Some lines a second, and how many were left out before (A1.6)."""
    strange = admission(harness)
    with structlog.testing.capture_logs() as logs:
        for _ in range(500):
            await strange(request("CP9"))
        await trio.sleep(10)
        await strange(request("CP9"))
    lines = [line for line in logs if line["event"] == "charger refused"]
    assert len(lines) == LOGGED_AT_ONCE + 1
    assert lines[-1]["unlogged_before"] == 500 - LOGGED_AT_ONCE


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (request("CP2"), (404, "unknown_identity", "CP2")),
        (request(key=b"another password"), (401, "wrong_password", "CP1")),
        (request(username="CP2"), (401, "username_is_not_identity", "CP1")),
        (request(offered=("ocpp2.0.1",)), (400, "subprotocol_unsupported", "CP1")),
        (request(offered=()), (400, "subprotocol_missing", "CP1")),
        (
            UpgradeRequest("/ocpp/CP1", (), ("ocpp1.6",), PEER, "chargers"),
            (401, "authorization_missing", "CP1"),
        ),
        (
            UpgradeRequest("/ocpp/CP1", (("Authorization", "Bearer x"),), ("ocpp1.6",), PEER, "chargers"),
            (401, "authorization_scheme", "CP1"),
        ),
        (UpgradeRequest("/elsewhere/CP1", (), ("ocpp1.6",), PEER, "chargers"), (404, "outside_prefix", None)),
        (UpgradeRequest("/ocpp/a/b", (), ("ocpp1.6",), PEER, "chargers"), (404, "outside_prefix", None)),
        (UpgradeRequest("/ocpp/", (), ("ocpp1.6",), PEER, "chargers"), (404, "identity_missing", None)),
        (UpgradeRequest("/ocpp/%00", (), ("ocpp1.6",), PEER, "chargers"), (400, "identity_characters", None)),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
async def test_a_refusal_names_its_reason_and_the_identity_as_far_as_it_is_known(
    harness: Harness, asked: UpgradeRequest, refusal: tuple[int, str, str | None]
) -> None:
    """`gateway refused` shows them, and operators search by them."""
    add(harness, KEY)
    answer = await admission(harness)(asked)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.reason, answer.identity) == refusal
    assert dict(answer.headers) == ({"WWW-Authenticate": 'Basic realm="ocpp"'} if answer.status == 401 else {})


async def test_refusals_without_a_line_are_reported_with_the_next_one_and_then_forgotten(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """So the log adds up."""
    add(harness, KEY)
    admit = admission(harness)
    with structlog.testing.capture_logs() as logs:
        for _ in range(70):
            await admit(request("CP2"))
        await trio.sleep(60)
        await admit(request("CP2"))
        await admit(request("CP2"))
    lines = [line["unlogged_before"] for line in logs if line["event"] == "charger refused"]
    assert lines == [0] * 50 + [20, 0]


@pytest.mark.parametrize("kind", CredentialKind)
@pytest.mark.parametrize("accepts", [True, False])
async def test_a_keys_hexadecimal_form_opens_where_it_is_tolerated(
    harness: Harness, kind: CredentialKind, accepts: bool
) -> None:
    """X3, of either kind of key: the slow check is given the same word."""
    key = bytes(range(20))
    add(harness, key, kind=kind)
    admit = admission(harness, accept_hex=accepts)
    answer = await admit(request(key=key.hex().encode()))
    assert isinstance(answer, Accept if accepts else Rejection)
    assert isinstance(await admit(request(key=key)), Accept)


HEX_KEY = b"0123456789abcdefghij"


@pytest.mark.parametrize("kind", CredentialKind)
@pytest.mark.parametrize(
    ("for_all", "for_one", "admitted"),
    [
        (False, None, False),
        (True, None, True),
        (False, True, True),
        (True, False, False),
    ],
)
async def test_hexadecimal_text_is_a_password_where_the_operator_says_so(
    harness: Harness, kind: CredentialKind, for_all: bool, for_one: bool | None, admitted: bool
) -> None:
    """X3: for all, or for one charge point, whose setting counts; the bytes are taken in any case."""
    add(harness, HEX_KEY, kind=kind)
    harness.store.commit([UpdateChargePoint("CP1", virtual_clock(), quirks={"accept_hex_password": for_one})])
    door = admission(harness, accept_hex=for_all)
    for digits in (HEX_KEY.hex().encode(), HEX_KEY.hex().upper().encode()):
        answer = await door(request(key=digits))
        assert isinstance(answer, Accept) == admitted
    assert isinstance(await door(request(key=HEX_KEY)), Accept)
    assert isinstance(await door(request(key=b"0" * 40)), Rejection)
