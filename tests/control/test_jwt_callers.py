"""Callers that show a JWT: which tokens are taken, what their claims give, and for how long."""

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest
import trio
from attrs import evolve
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.api.v1 import event_pb2, id_tag_pb2
from gateway.client import problem_of
from gateway.control.errors import Failure
from gateway.control.jwt_callers import (
    MAX_JWKS_BYTES,
    MAX_JWT,
    MAX_KEYS,
    MAX_SUBJECT,
    REMEMBERED,
    JwtCallers,
    JwtRules,
    parse_jwks,
)
from gateway.control.server import ControlSettings
from gateway.domain.callers import Role
from gateway.errors import SettingsError
from tests.control.fakes import control
from tests.control.test_authentication import LIST, WATCH, brings_about, ending, row, serving

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
RULES = JwtRules(
    "https://idp.example/", "gateway", {"ops": Role.OPERATE, "root": Role.ADMINISTER, "look": Role.READ}, leeway=30
)
EC, OTHER_EC = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
WEAK_RSA = rsa.generate_private_key(65537, 1024)
PRIVATE = {"ES256": EC, "EdDSA": ED, "RS256": RSA}


def public(key: Any, **fields: Any) -> dict[str, Any]:
    """A key as its issuer publishes it."""
    kinds = {ec.EllipticCurvePrivateKey: ECAlgorithm, ed25519.Ed25519PrivateKey: OKPAlgorithm}
    kind = next((each for base, each in kinds.items() if isinstance(key, base)), RSAAlgorithm)
    return {**kind.to_jwk(key.public_key(), as_dict=True), **fields}


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


KEYS = parse_jwks(jwks(*(public(key, kid=name) for name, key in PRIVATE.items())))


def claims(**changes):
    """Those of a sound token; None leaves one out."""
    sound = {
        "iss": RULES.issuer,
        "aud": ["other", RULES.audience],
        "exp": int(NOW.timestamp()) + 300,
        "sub": "anna",
        "roles": ["ops", "unknown"],
    }
    return {name: value for name, value in {**sound, **changes}.items() if value is not None}


def token(algorithm: str = "ES256", key: Any = None, headers: Any = None, **changes: Any) -> str:
    given = {"kid": algorithm, **(headers or {})}
    return jwt.encode(claims(**changes), key or PRIVATE[algorithm], algorithm, headers=given)


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


def callers(rules=RULES, keys=KEYS, clock=None):
    return JwtCallers(rules, keys, clock or Clock())


def check_of(text, rules=RULES, keys=KEYS):
    """The check that a token fails; what is answered has nothing of it."""
    with pytest.raises(Failure) as caught:
        callers(rules, keys).caller(text)
    failure = caught.value
    assert failure.reason == "TOKEN_REFUSED"
    assert [part for part in text.split(".") if len(part) >= 4 and part in failure.message] == []
    return failure.metadata["check"]


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_sound_token_names_its_caller(algorithm):
    """By each algorithm; roles are those that the settings give to the claim's values, in one text as well."""
    found = callers().caller(token(algorithm))
    assert (found.caller.name, found.caller.roles, found.caller.scope) == ("jwt:anna", (Role.OPERATE,), {})
    assert found.expires_at == NOW + timedelta(seconds=330)
    both = callers().caller(token(algorithm, roles="look root")).caller
    assert both.roles == (Role.READ, Role.ADMINISTER)
    assert callers().caller(token(algorithm, roles=None)).caller.roles == ()


def unsigned(header, payload=None):
    """A token without a signature worth the name."""
    parts = (json.dumps(header).encode(), json.dumps(payload or claims()).encode(), b"x")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        (token(exp=int(NOW.timestamp()) - 30), "exp"),
        (token(exp=None), "exp"),
        (token(exp="soon"), "exp"),
        (token(exp=True), "exp"),
        (token(exp=-1), "exp"),
        (token(nbf=int(NOW.timestamp()) + 31), "nbf"),
        (token(nbf="later"), "nbf"),
        (token(iat=int(NOW.timestamp()) + 31), "iat"),
        (token(aud="other"), "aud"),
        (token(aud=None), "aud"),
        (token(iss="https://evil.example/"), "iss"),
        (token(iss=None), "iss"),
        (token(key=OTHER_EC), "signature"),
        (token(headers={"kid": "gone"}), "kid"),
        (token(headers={"crit": ["x"], "x": 1}), "format"),
        (token(sub=None), "sub"),
        (token(sub=7), "sub"),
        (token(sub="a\nb"), "sub"),
        (token(sub="é"), "sub"),
        (token(sub="x" * (MAX_SUBJECT + 1)), "sub"),
        (token(roles=7), "roles"),
        (token(roles=[7]), "roles"),
        (unsigned({"alg": "none"}), "alg"),
        (unsigned({"alg": "HS256", "kid": "ES256"}), "alg"),
        (unsigned({"alg": ["ES256"]}), "alg"),
        (unsigned({"alg": "RS256", "kid": "ES256"}), "kid"),
        (unsigned({"alg": "ES256", "kid": "ES256"}), "signature"),
        ("a.b.c", "format"),
        ("..", "format"),
        (token() + "x" * MAX_JWT, "length"),
    ],
)
def test_the_check_that_fails_is_named(text, check):
    """And the token is not echoed. A public key can't be used as a secret, nor no algorithm at all."""
    assert check_of(text) == check


def test_times_may_be_off_by_the_leeway():
    """Not by more; a token that is remembered ends, too."""
    clock = Clock()
    shown = callers(clock=clock)
    text = token(exp=int(NOW.timestamp()) - 29, nbf=int(NOW.timestamp()) + 30, iat=int(NOW.timestamp()) + 30)
    assert shown.caller(text).caller.name == "jwt:anna"
    clock.now += timedelta(seconds=1)
    with pytest.raises(Failure, match="expired"):
        shown.caller(text)


def test_a_token_ends_with_its_key():
    """Also one that is remembered; another key under the same id is another key."""
    shown = callers()
    text = token()
    shown.caller(text)
    shown.replace(parse_jwks(jwks(public(OTHER_EC, kid="ES256"))))
    with pytest.raises(Failure) as caught:
        shown.caller(text)
    assert caught.value.metadata == {"check": "kid"}
    with pytest.raises(Failure) as caught:
        shown.caller(text)
    assert caught.value.metadata == {"check": "signature"}


def test_only_so_many_tokens_are_remembered():
    """The least recently used ones are verified again."""
    shown = callers()
    for number in range(REMEMBERED + 3):
        shown.caller(token("EdDSA", sub=f"s{number}"))
    assert len(shown._known) == REMEMBERED


def test_a_token_that_is_shown_again_and_again_is_verified_once(monkeypatch):
    """However many others are shown once meanwhile."""
    shown, busy, verified = callers(), token("EdDSA", sub="busy"), []
    verify = shown._verified
    monkeypatch.setattr(shown, "_verified", lambda text: verified.append(text) or verify(text))
    for number in range(REMEMBERED + 3):
        shown.caller(busy)
        shown.caller(token("EdDSA", sub=f"s{number}"))
    assert verified.count(busy) == 1
    assert len(verified) == REMEMBERED + 4


def test_without_a_key_id_the_one_fitting_key_is_meant():
    """Several may not be guessed from."""
    bare = jwt.encode(claims(), EC, "ES256")
    assert callers().caller(bare).caller.name == "jwt:anna"
    two = parse_jwks(jwks(public(EC, kid="a"), public(OTHER_EC, kid="b")))
    assert check_of(bare, keys=two) == "kid"


def test_an_algorithm_that_the_settings_leave_out_is_refused():
    """Though there is a key for it."""
    assert check_of(token("RS256"), evolve(RULES, algorithms=("ES256",))) == "alg"


SCOPED = evolve(RULES, scope={"site": "gw_site"})


def test_a_scope_is_a_claim():
    """Each claim has to be there: one that is forgotten does not open all; a star does."""
    assert callers(SCOPED).caller(token(gw_site="north")).caller.scope == {"site": "north"}
    assert callers(SCOPED).caller(token(gw_site="*")).caller.scope == {}
    assert callers(SCOPED).caller(token(gw_site="*", roles="root")).caller.roles == (Role.ADMINISTER,)
    for wrong in (None, "", 7, ["north"], "x" * 200):
        assert check_of(token(gw_site=wrong), SCOPED) == "gw_site"
    assert check_of(token(gw_site="north", roles="root"), SCOPED) == "roles"


@given(st.text(max_size=200) | st.tuples(*[st.text("abcAZ09-_=eyJ", max_size=40)] * 3).map(".".join))
def test_any_text_is_refused(text):
    """Nothing else is raised; none of these is signed."""
    with pytest.raises(Failure) as caught:
        callers().caller(text)
    assert caught.value.reason == "TOKEN_REFUSED"


# --- the key set ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON Web Key Set"),
        (b"[]", "no JSON Web Key Set"),
        (b'{"keys": 7}', "list of objects"),
        (b'{"keys": [7]}', "list of objects"),
        (jwks(), "no key for"),
        (jwks({"kty": "oct", "k": "c2VjcmV0"}), "symmetric"),
        (jwks(public(EC, use="enc")), "no key for"),
        (jwks(public(RSA, alg="RS512")), "no key for"),
        (jwks({**public(EC), "x": "AA"}), r"keys\[0\]"),
        (jwks({**public(EC), "kid": 7}), r"keys\[0\].kid"),
        (jwks(public(WEAK_RSA)), "1024 bits"),
        (jwks(public(EC, kid="a"), public(ED, kid="a")), "same kid"),
        (jwks(public(EC), public(ED)), "same kid"),
        (jwks(*[public(EC, kid=str(number)) for number in range(MAX_KEYS + 1)]), "more than"),
        (b" " * (MAX_JWKS_BYTES + 1), "larger than"),
    ],
)
def test_a_set_that_can_not_be_used_says_why(data, words):
    """By the key's place, and without a word of the key."""
    with pytest.raises(SettingsError, match=words):
        parse_jwks(data)


def test_a_private_key_is_not_shown():
    """It should not be there at all."""
    private = ECAlgorithm.to_jwk(EC, as_dict=True)
    with pytest.raises(SettingsError, match="private") as caught:
        parse_jwks(jwks(private))
    assert private["d"] not in str(caught.value)


def test_keys_for_something_else_are_left_out():
    """Issuers publish keys for encryption, and of other algorithms, in the same set."""
    found = parse_jwks(jwks(public(EC, kid="a"), public(RSA, kid="b", use="enc"), {"kty": "RSA?", "kid": "c"}))
    assert [each.key_id for each in found] == ["a"]
    assert "JwtKey" in repr(found[0])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_set_or_are_refused(data):
    """And nothing else is raised."""
    with pytest.raises(SettingsError):
        parse_jwks(data)


# --- over a channel -------------------------------------------------------------------------------------------------


def settings(**changes):
    return ControlSettings(port=0, idle=0.2, require_callers=True, jwt=evolve(RULES, **changes), jwt_keys=KEYS)


def fresh(**changes: Any) -> str:
    """A token by the machine's clock, which the interface is given."""
    return token(exp=int(datetime.now(UTC).timestamp()) + 300, **changes)


@brings_about("token-refused")
async def test_a_jwt_lets_in_to_what_its_roles_allow(tmp_path):
    """And to no more; its caller is named in what it does."""
    async with control(tmp_path, settings()) as gateway:

        def asked(text):
            with serving(gateway, text) as client:
                try:
                    client.charge_points.ListChargePoints(LIST, timeout=60)
                    tag = id_tag_pb2.IdTag(id_tag="T", status=1)
                    return client.id_tags.CreateIdTag(id_tag_pb2.CreateIdTagRequest(id_tag=tag), timeout=60)
                except grpc.RpcError as error:
                    return problem_of(error)

        assert ending(await trio.to_thread.run_sync(asked, fresh())) == row("no-role")
        made = await trio.to_thread.run_sync(asked, fresh(roles="root"))
        assert made.id_tag.create_caller == "jwt:anna"
        problem = await trio.to_thread.run_sync(asked, token(exp=1))
        assert ending(problem) == row("token-refused")
        assert problem.metadata == {"check": "exp"}
        assert ending(await trio.to_thread.run_sync(asked, "ocpgw_x")) == row("no-such-token")


@pytest.mark.parametrize("why", ["expired", "key gone"])
async def test_a_stream_ends_with_its_jwt(tmp_path, why):
    """At its end, or as its key is taken out of the set; not before."""
    async with control(tmp_path, settings(leeway=0)) as gateway:
        began = threading.Event()

        def watched():
            soon = int(datetime.now(UTC).timestamp()) + (2 if why == "expired" else 300)
            with serving(gateway, token(exp=soon)) as client:
                stream = client.events.WatchEvents(WATCH, timeout=60)
                seen = [next(stream)]
                began.set()
                with pytest.raises(grpc.RpcError) as caught:
                    seen.extend(stream)
                return seen, problem_of(caught.value)

        async with trio.open_nursery() as nursery:

            async def replaces():
                await trio.to_thread.run_sync(began.wait)
                gateway.server.replace_jwt_keys(KEYS)
                if why == "key gone":
                    gateway.server.replace_jwt_keys(tuple(each for each in KEYS if each.algorithm != "ES256"))

            nursery.start_soon(replaces)
            seen, problem = await trio.to_thread.run_sync(watched)
        assert all(isinstance(each, event_pb2.WatchEventsResponse) for each in seen)
        assert ending(problem) == row("token-refused")
        assert problem.metadata["check"] == ("exp" if why == "expired" else "kid")
