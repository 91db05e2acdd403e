"""Claims of an upgrade request, and the subprotocol it gets."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.identity import MAX_CHARACTERS
from gateway.transport.api import Peer, Rejection, UpgradeRequest
from gateway.transport.authentication import (
    MAX_SHOWN_PATH,
    Claim,
    claim,
    select_subprotocol,
    shown_path,
    unauthorized,
)


def basic(user: bytes, password: bytes) -> tuple[str, str]:
    return ("Authorization", "Basic " + base64.b64encode(user + b":" + password).decode())


def request(target: str, *headers: tuple[str, str], certificate: bytes | None = None) -> UpgradeRequest:
    peer = Peer("192.0.2.1", 5000, "TLSv1.2", "AES128-SHA", certificate)
    return UpgradeRequest(target, headers, (), peer, "test")


def claimed(target: str, identity: str, prefix: str = "/ocpp") -> Claim | Rejection:
    return claim(request(target, basic(identity.encode(), b"pw")), prefix)


def test_the_specifications_own_vector_is_understood() -> None:
    """J §6.2.2 (A7.2): the password is twenty raw bytes, NUL and 0xFF among them."""
    asked = request("/ocpp/AL1000", ("Authorization", "Basic QUwxMDAwOgABAgMEBQYH////////////////"))
    password = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
    assert claim(asked, "/ocpp") == Claim("AL1000", b"AL1000", password)


@pytest.mark.parametrize(
    ("target", "identity", "prefix"),
    [
        ("/ocpp/CP1", "CP1", "/ocpp"),
        ("/ocpp/CP1", "CP1", "/ocpp/"),
        ("/CP1", "CP1", "/"),
        ("/CP1", "CP1", ""),
        ("/a/b/CP1", "CP1", "/a/b"),
        ("/ocpp/RDAM%20123", "RDAM 123", "/ocpp"),
        ("/ocpp/%2520", "%20", "/ocpp"),
        ("/ocpp/Stra%c3%9Fe", "Straße", "/ocpp"),
        ("/ocpp/CP1/", "CP1", "/ocpp"),
        ("/ocpp//CP1", "CP1", "/ocpp"),
        ("/ocpp/CP1?token=%zz", "CP1", "/ocpp"),
        ("/ocpp/CP1/?x=/y", "CP1", "/ocpp"),
        ("wss://gateway.test:9443/ocpp/CP1", "CP1", "/ocpp"),
        ("HTTPS://gateway.test/ocpp/CP1", "CP1", "/ocpp"),
        ("/ocpp/cp1", "cp1", "/ocpp"),
        ("/ocpp/+", "+", "/ocpp"),
        ("/ocpp/...", "...", "/ocpp"),
        ("/ocpp/" + "x" * MAX_CHARACTERS, "x" * MAX_CHARACTERS, "/ocpp"),
    ],
)
def test_the_identity_is_the_last_segment_decoded_once(target: str, identity: str, prefix: str) -> None:
    """A1.1, A1.2, A1.4."""
    assert claimed(target, identity, prefix) == Claim(identity, identity.encode(), b"pw")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "/ocpp",
        "/ocpp/",
        "/ocpp//",
        "/ocpp/?id=CP1",
        "/ocppx/CP1",
        "/OCPP/CP1",
        "/ocpp/a/CP1",
        "/ocpp/CP1//",
        "ftp://x/ocpp/CP1",
        "/other",
    ],
)
def test_a_path_outside_the_endpoint_or_without_identity_is_404(target: str) -> None:
    """A1.4: an empty identity never gets further."""
    refused = claimed(target, "CP1")
    assert isinstance(refused, Rejection)
    assert (refused.status, refused.identity) == (404, None)


@pytest.mark.parametrize(
    "raw",
    [
        "%", "%2", "%zz", "CP%", "%ff", "%c3", "%ed%a0%80", "CP1%00", "%0a", "%7f", "%c2%85", "%e2%80%ae",
        "%e2%80%a8", "a%2Fb", "a%2fb", ".", "..", "%2e%2E", "%20", "CP#1", "Stra\xdfe", "a:b", "a%3Ab",
        "x" * (MAX_CHARACTERS + 1),
    ],
)  # fmt: skip
def test_a_malformed_identity_is_400_before_any_look_up(raw: str) -> None:
    """A1.3; it appears in no refusal, so in no log."""
    refused = claimed(f"/ocpp/{raw}", "CP1")
    assert isinstance(refused, Rejection)
    assert (refused.status, refused.identity) == (400, None)


@pytest.mark.parametrize("password", [b"", b":", b"a:b:c", b"\x00\xff", bytes(range(256))])
def test_a_password_is_any_bytes_after_the_first_colon(password: bytes) -> None:
    """A7.2."""
    assert claim(request("/ocpp/CP1", basic(b"CP1", password)), "/ocpp") == Claim("CP1", b"CP1", password)


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic ", " bAsIc  "])
def test_the_scheme_is_case_insensitive_and_spacing_free(scheme: str) -> None:
    """A7.5."""
    asked = request("/ocpp/CP1", ("authorization", f"{scheme} Q1AxOnB3 "))
    assert claim(asked, "/ocpp") == Claim("CP1", b"CP1", b"pw")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((), "authorization_missing"),
        ((("Authorization", "Bearer abc"),), "authorization_scheme"),
        ((("Authorization", ""),), "authorization_scheme"),
        ((("Authorization", "BasicQ1AxOnB3"),), "authorization_scheme"),
        ((basic(b"CP2", b"pw"),), "username_is_not_identity"),
        ((basic(b"cp1", b"pw"),), "username_is_not_identity"),
        ((basic(b"", b"pw"),), "username_is_not_identity"),
    ],
)
def test_missing_or_unfitting_credentials_are_401_with_a_challenge(
    headers: tuple[tuple[str, str], ...], reason: str
) -> None:
    """A7.1, A7.3, A7.4."""
    refused = claim(request("/ocpp/CP1", *headers), "/ocpp")
    assert refused == unauthorized(reason, "CP1")
    assert refused.headers == (("WWW-Authenticate", 'Basic realm="ocpp"'),)


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", "Basic"),),
        (("Authorization", "Basic !!!"),),
        (("Authorization", "Basic Q1AxOnB3 Q1AxOnB3"),),
        (("Authorization", "Basic Q1AxOnB"),),
        (("Authorization", "Basic \xdf"),),
        (("Authorization", "Basic " + base64.b64encode(b"CP1").decode()),),
        (basic(b"CP1", b"pw"), basic(b"CP1", b"pw")),
    ],
)
def test_a_malformed_authorization_is_400(headers: tuple[tuple[str, str], ...]) -> None:
    """A7.5: not base64, no colon, two headers."""
    refused = claim(request("/ocpp/CP1", *headers), "/ocpp")
    reason = "several_authorization_headers" if len(headers) > 1 else "authorization_malformed"
    assert refused == Rejection(400, reason, "CP1")


def test_a_client_certificate_may_come_without_authorization() -> None:
    """Security profile 3: admission compares the certificate; a Basic header, if there, must still fit."""
    assert claim(request("/ocpp/CP1", certificate=b"der"), "/ocpp") == Claim("CP1", None, None)
    refused = claim(request("/ocpp/CP1", basic(b"CP2", b"x"), certificate=b"der"), "/ocpp")
    assert isinstance(refused, Rejection)


def test_no_representation_shows_a_secret() -> None:
    """A7.9."""
    asked = request("/ocpp/CP1", basic(b"CP1", b"hunter2"))
    assert "Q1AxOmh1bnRlcjI" not in repr(asked)
    assert "hunter2" not in repr(claim(asked, "/ocpp"))


@given(st.text(max_size=60), st.binary(max_size=30))
def test_a_claim_is_the_encoded_identity_or_a_refusal(identity: str, password: bytes) -> None:
    """Round trip over all of Unicode; nothing else can come out."""
    user = identity.encode(errors="replace")
    answer = claim(request("/ocpp/" + quote(user, safe=""), basic(user, password)), "/ocpp")
    if isinstance(answer, Claim):
        assert answer.identity == identity
        assert answer.identity.isprintable()
        assert 0 < len(answer.identity) <= MAX_CHARACTERS
        assert answer.password == password
    else:
        assert answer.status in (400, 401, 404)


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60),
    st.text(st.characters(max_codepoint=0xFF), max_size=60),
)
def test_any_target_and_any_authorization_give_a_value(target: str, authorization: str) -> None:
    """Never an exception, never an empty identity."""
    for start in ("", "/ocpp/"):
        for scheme in ("", "Basic "):
            answer = claim(request(start + target, ("Authorization", scheme + authorization)), "/ocpp")
            if isinstance(answer, Claim):
                assert answer.identity
            else:
                assert answer.status in (400, 401, 404)


@pytest.mark.parametrize(
    ("offered", "supported", "chosen"),
    [
        (["ocpp1.6"], ["ocpp1.6"], "ocpp1.6"),
        (["ocpp0.1", "ocpp1.6"], ["ocpp1.6"], "ocpp1.6"),
        (["ocpp2.0.1", "ocpp1.6"], ["ocpp1.6"], "ocpp1.6"),
        (["ocpp1.6", "ocpp2.0.1"], ["ocpp2.0.1", "ocpp1.6"], "ocpp1.6"),
        (["ocpp2.0.1", "ocpp1.6"], ["ocpp1.6", "ocpp2.0.1"], "ocpp2.0.1"),
    ],
)
def test_the_clients_order_decides(offered: list[str], supported: list[str], chosen: str) -> None:
    """A2.1, A2.2, A2.4, A2.5."""
    assert select_subprotocol(offered, supported) == chosen
    assert select_subprotocol(offered, supported, assume=True) == chosen


@pytest.mark.parametrize("offered", [["ocpp0.1"], ["OCPP1.6"], ["ocpp1.6j"]])
@pytest.mark.parametrize("assume", [False, True])
def test_an_offer_without_a_known_protocol_is_refused(offered: list[str], assume: bool) -> None:
    """A2.3, A2.8, X1."""
    assert select_subprotocol(offered, ["ocpp1.6"], assume) == Rejection(400, "subprotocol_unsupported")


def test_no_offer_is_refused_unless_the_operator_assumes() -> None:
    """X2, quirk 1: served then, without an echo."""
    assert select_subprotocol([], ["ocpp1.6"]) == Rejection(400, "subprotocol_missing")
    assert select_subprotocol([], ["ocpp1.6"], assume=True) is None


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/steve/websocket/CentralSystemService/CP1", "/steve/websocket/CentralSystemService/CP1"),
        ("/", "/"),
        ("/ws/CP1?token=hunter2#x", "/ws/CP1"),
        ("wss://user:hunter2@host:9443/ws/CP1", "/ws/CP1"),
        ("https://host", ""),
        ("/ws/user:hunter2@CP1", "/ws/(redacted)"),
        ("/ws/CP1;password=hunter2", "/ws/(redacted)"),
        ("/ocpp/CP1/00112233445566778899AABBCCDDEEFF00112233", "/ocpp/CP1/(redacted)"),
        ("/ocpp/CP1/" + "k" * 49, "/ocpp/CP1/(redacted)"),
        ("/a\x1b[2J\x00\x85\u202e/b", "/a[2J/b"),
        ("/abc" * 1_000, ("/abc" * 1_000)[:99] + "~"),
    ],
)
def test_a_path_is_shown_without_what_may_be_a_secret(target: str, shown: str) -> None:
    """An operator compares it with the right one; a stranger has written it."""
    assert shown_path(target) == shown


@given(st.text())
def test_whatever_a_path_is_what_is_shown_is_short_and_printable(target: str) -> None:
    """It goes to a terminal."""
    found = shown_path(target)
    assert len(found) <= MAX_SHOWN_PATH
    assert found.isascii()
    assert found.isprintable()


def test_a_path_of_nothing_that_can_be_shown_is_looked_at_only_so_far() -> None:
    """A thousand characters: a stranger's path may have sixteen thousand."""
    assert "seen" in shown_path("\x01" * 990 + "seen")
    assert "seen" not in shown_path("\x01" * 1000 + "seen")
