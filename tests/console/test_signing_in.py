"""Signing in, and refusals, the cookie, forms of other sites, and a person whose role only reads."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from gateway.console.action_table import ACTIONS
from gateway.console.application import PAGES
from gateway.console.cookies import MAX_TOKEN, Cookies
from gateway.console.settings import ConsoleSettings
from gateway.control.server import ControlSettings
from gateway.domain.callers import Role
from gateway.domain.events import TransactionStarted
from gateway.domain.values import ConnectorAddress
from tests.console.test_actions import COMMANDS, OPERATIONS, PLAIN, SIGNED
from tests.console.visitor import SECONDS, Visitor, console
from tests.control import test_jwt_callers as jwts
from tests.control.fakes import control
from tests.control.test_authentication import required


@contextmanager
def served(gateway: Any, clock: Callable[[], float] | None = None, **settings: Any) -> Iterator[Callable[[], Visitor]]:
    with console(ConsoleSettings(f"127.0.0.1:{gateway.port}", **settings), clock) as made:
        yield made


async def in_thread(act: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(act)


async def test_a_person_signs_in_and_out(tmp_path: Path) -> None:
    """With a credential that the gateway knows, and is led to where the person wanted to go."""
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("CP1")

        def act() -> None:
            with served(gateway) as made:
                visitor = made()
                asked = visitor.get("/charge-points/CP1")
                assert asked.headers["location"] == "/sign-in?to=%2Fcharge-points%2FCP1"
                assert visitor.try_to_sign_in("stranger").status == 403
                assert visitor.try_to_sign_in("two words").status == 400
                assert visitor.try_to_sign_in("x" * (MAX_TOKEN + 1)).status == 400
                answer = visitor.sign_in(tokens[Role.READ], "/charge-points/CP1")
                cookie = answer.headers["set-cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=strict" in cookie
                assert tokens[Role.READ] not in cookie
                page = visitor.follow(answer)
                assert "CP1" in page.words
                assert "Sign out" in page.words
                out = visitor.post("/sign-out", {"form_token": page.form_token})
                assert out.headers["location"] == "/sign-in"
                assert visitor.get("/").status == 303
                assert visitor.get("/live", accept="text/event-stream").status == 401

        await in_thread(act)


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/\\evil.example", "", "/\n"])
async def test_nobody_is_led_elsewhere(tmp_path: Path, to: str) -> None:
    """A link to the sign-in can't send a person on to another site."""
    async with required(tmp_path) as (gateway, tokens):

        def act() -> None:
            with served(gateway) as made:
                assert made().sign_in(tokens[Role.READ], to).headers["location"] == "/"

        await in_thread(act)


async def test_a_person_who_only_reads_is_refused_every_action_by_the_gateway(tmp_path: Path) -> None:
    """Each form is sent by hand; the gateway's word is on the page, and nothing reaches a charger."""
    fields = COMMANDS | OPERATIONS | {
        "start": {"id_tag": "TAG"},
        "stop": {"transaction_id": "tx"},
        "plan": {"connector": "1", "steps": "2030-01-01T00:00 9\n2030-01-01T05:00"},
        "clear-plan": {"connector": "1"},
        "reset": {"type": "hard"},
        "firmware": PLAIN,
        "signed-firmware": SIGNED,
    }  # fmt: skip
    assert fields.keys() == ACTIONS.keys()
    async with required(tmp_path) as (gateway, tokens):
        epoch = await gateway.charge_point("CP1")
        started = TransactionStarted("tx", 1, ConnectorAddress(1, 1), "TAG", "Accepted", 0, "key")
        await gateway.append("CP1", epoch, started)

        def act() -> None:
            with served(gateway) as made:
                visitor = made()
                visitor.sign_in(tokens[Role.READ])
                for action in ACTIONS:
                    page = visitor.submit(f"/charge-points/CP1/actions/{action}", **fields[action])
                    assert page.status == 403, (action, page.words)
                    assert "ROLE_MISSING" in page.words
                form = {"form_token": visitor.get("/charge-points/CP1/actions/reset").form_token}
                closed = visitor.post("/sessions/tx/close", form | {"reason": "x"})
                tied = visitor.post("/orphans", form | {"orphan": "o", "transaction_id": "tx", "reason": "x"})
                assert (closed.status, tied.status) == (403, 403)
                assert "Your role does not show the audit" in visitor.get("/operations").words

        await in_thread(act)
        assert gateway.store.transaction("tx").state == "OPEN"
        assert gateway.commands.calls == []
        assert gateway.wanted.changes == []


async def test_a_credential_that_is_revoked_leads_back_to_the_sign_in(tmp_path: Path) -> None:
    """With its cookie taken away."""
    from gateway.api.v1.caller_pb2 import RevokeCallerRequest
    from tests.control.test_authentication import serving

    async with required(tmp_path) as (gateway, tokens):

        def act() -> None:
            with served(gateway) as made:
                visitor = made()
                visitor.sign_in(tokens[Role.OPERATE])
                assert visitor.get("/").status == 200
                with serving(gateway, tokens[Role.ADMINISTER]) as client:
                    names = [each.name for each in client.callers.ListCallers(_list(), timeout=60).callers]
                    name = next(each for each in names if Role.OPERATE.value.lower() in each.lower())
                    client.callers.RevokeCaller(RevokeCallerRequest(name=name), timeout=60)
                answer = visitor.get("/")
                assert answer.headers["location"] == "/sign-in?to=%2F&refused=1"
                assert "does not take this credential any more" in visitor.follow(answer).words

        await in_thread(act)


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("/charge-points/CP1/actions/reset", {"type": "soft", "request_id": "r"}),
        ("/charge-points/CP1/actions/pause", {"connector": "1", "request_id": "r"}),
        ("/sessions/tx/close", {"reason": "lost"}),
    ],
)
async def test_a_form_that_is_sent_after_the_credential_was_revoked_does_nothing(
    tmp_path: Path, place: str, fields: dict[str, str]
) -> None:
    """It says to sign in, and is not shown again as refused by the charge point's state."""
    from gateway.api.v1.caller_pb2 import RevokeCallerRequest
    from tests.control.test_authentication import serving

    async with required(tmp_path) as (gateway, tokens):
        epoch = await gateway.charge_point("CP1")
        started = TransactionStarted("tx", 1, ConnectorAddress(1, 1), "TAG", "Accepted", 0, "key")
        await gateway.append("CP1", epoch, started)

        def act() -> None:
            with served(gateway) as made:
                visitor = made()
                visitor.sign_in(tokens[Role.OPERATE])
                form = {"form_token": visitor.get(place).form_token} | fields
                with serving(gateway, tokens[Role.ADMINISTER]) as client:
                    client.callers.RevokeCaller(RevokeCallerRequest(name=Role.OPERATE.value), timeout=60)
                answer = visitor.post(place, form)
                assert (answer.status, answer.text) == (401, "sign in first\n")

        await in_thread(act)
        assert gateway.commands.calls == []
        assert gateway.wanted.changes == []
        assert gateway.store.transaction("tx").state == "OPEN"


def jwt_interface(**changes: Any) -> ControlSettings:
    """A control interface that checks JWTs by an issuer's published keys."""
    rules = evolve(jwts.RULES, **changes)
    return ControlSettings(port=0, idle=0.2, require_callers=True, jwt=rules, jwt_keys=jwts.KEYS)


async def test_a_person_signs_in_with_a_jwt_that_the_gateway_checks(tmp_path: Path) -> None:
    """By the keys of its issuer: what its roles don't allow is refused, and the audit names its subject."""
    async with control(tmp_path, jwt_interface()) as gateway:
        epoch = await gateway.charge_point("CP1")
        started = TransactionStarted("tx", 1, ConnectorAddress(1, 1), "TAG", "Accepted", 0, "key")
        await gateway.append("CP1", epoch, started)

        def act() -> None:
            with served(gateway) as made:
                reader, operator = made(), made()
                reader.sign_in(jwts.fresh(roles=["look"], sub="lena"))
                assert "CP1" in reader.get("/charge-points/CP1").words
                refused = reader.submit("/charge-points/CP1/actions/reset", type="soft")
                assert refused.status == 403
                assert "ROLE_MISSING" in refused.words
                operator.sign_in(jwts.fresh(sub="otto"))
                closed = operator.submit("/sessions/tx/close", reason="gone", meter="", insist="on")
                assert closed.status == 303, closed.words
                administrator = made()
                administrator.sign_in(jwts.fresh(roles=["root"]))
                audit = administrator.get("/operations").words.partition("Who did what")[2]
                assert "jwt:otto CloseTransaction CP1" in audit

        await in_thread(act)
        assert gateway.commands.calls == []


async def test_a_jwt_that_the_gateway_does_not_take_is_refused(tmp_path: Path) -> None:
    """One of another key, of another audience, one that is over; and none that is longer than a cookie holds."""
    async with control(tmp_path, jwt_interface()) as gateway:

        def act() -> None:
            with served(gateway) as made:
                visitor = made()
                for wrong in (
                    jwts.fresh(key=jwts.OTHER_EC),
                    jwts.fresh(aud="another"),
                    jwts.token(exp=1_000_000_000),
                    "a.b.c",
                ):
                    page = visitor.try_to_sign_in(wrong)
                    assert (page.status, wrong in page.text) == (403, False)
                    assert "does not know this credential" in page.words
                long = jwts.fresh(more="x" * MAX_TOKEN)
                assert f"more than {MAX_TOKEN} characters" in visitor.try_to_sign_in(long).words
                assert visitor.get("/").status == 303

        await in_thread(act)


async def test_a_person_is_signed_out_when_the_issuer_takes_its_key_back(tmp_path: Path) -> None:
    """At the next page: the gateway is asked with each, and the console remembers no verdict."""
    async with control(tmp_path, jwt_interface()) as gateway:
        without = tuple(each for each in jwts.KEYS if each.algorithm != "ES256")

        def act() -> None:
            with served(gateway) as made:
                visitor = made()
                visitor.sign_in(jwts.fresh())
                assert visitor.get("/").status == 200
                trio.from_thread.run_sync(gateway.server.replace_jwt_keys, without)
                answer = visitor.get("/")
                assert answer.headers["location"] == "/sign-in?to=%2F&refused=1"

        await in_thread(act)


def _list() -> Any:
    from gateway.api.v1.caller_pb2 import ListCallersRequest

    return ListCallersRequest()


async def test_a_session_ends_when_it_is_idle_and_after_a_day_of_work(tmp_path: Path) -> None:
    """By the console's clock, whatever the browser keeps."""
    now = [1000.0]
    async with required(tmp_path) as (gateway, tokens):

        def act() -> None:
            with served(gateway, lambda: now[0], idle=100.0, absolute=250.0) as made:
                visitor = made()
                visitor.sign_in(tokens[Role.READ])
                for _ in range(2):
                    now[0] += 90
                    assert visitor.get("/").status == 200
                now[0] += 90
                assert visitor.get("/").status == 303
                visitor.sign_in(tokens[Role.READ])
                now[0] += 101
                assert visitor.get("/").status == 303

        await in_thread(act)


STREAMS = [path for _, path, _ in PAGES if path.endswith("/live")]


@pytest.mark.parametrize("path", [*STREAMS, "/operations/certificates"])
async def test_a_page_that_is_left_open_does_not_keep_its_session(tmp_path: Path, path: str) -> None:
    """Its streams are taken up again by the browser, and parts are filled in: that is no use by the person."""
    now = [1000.0]
    place = re.sub(r"{\w+}", "CP1", path)
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("CP1")

        def act() -> None:
            with served(gateway, lambda: now[0], idle=100.0, absolute=250.0) as made:
                visitor = made()
                visitor.sign_in(tokens[Role.READ])
                now[0] += 90
                if path in STREAMS:
                    with visitor.stream(place) as stream:
                        assert stream.chunks.get(timeout=SECONDS).startswith("retry:")
                else:
                    assert visitor.get(place, x_fragment="filling").status == 200
                now[0] += 11
                assert visitor.get("/").status == 303

        await in_thread(act)


async def test_a_session_is_kept_by_what_its_person_does(tmp_path: Path) -> None:
    """Opens a page, searches in it, sends a form."""
    now = [1000.0]
    async with required(tmp_path) as (gateway, tokens):
        await gateway.charge_point("CP1")

        def act() -> None:
            with served(gateway, lambda: now[0], idle=100.0, absolute=1000.0) as made:
                visitor = made()
                visitor.sign_in(tokens[Role.READ])
                now[0] += 90
                page = visitor.get("/charge-points/CP1/actions/reset")
                now[0] += 90
                assert visitor.get("/charge-points?q=C", x_fragment="search").status == 200
                now[0] += 90
                form = {"form_token": page.form_token, "request_id": "r", "type": "soft"}
                assert visitor.post("/charge-points/CP1/actions/reset", form).status == 403  # by the role alone
                now[0] += 90
                assert visitor.get("/").status == 200

        await in_thread(act)


def test_a_cookie_that_was_changed_or_is_anothers_is_none() -> None:
    """Of another process, cut, turned round, or no cookie at all."""
    mine, other = (Cookies(10, 10, lambda: 0.0) for _ in range(2))
    person = mine.new("secret")
    value = mine.write(person)
    assert mine.read(value) == person
    assert "secret" not in repr(person)
    for wrong in (other.write(person), value[:-8], value[::-1], "", "ü", "AAAA", "a" * 5000):
        assert mine.read(wrong) is None
    assert mine.is_form_of(person, mine.form_token(person))
    assert not mine.is_form_of(person, other.form_token(person))
    assert not mine.is_form_of(person, "ü")


def test_a_form_of_another_site_changes_nothing(visitor: Visitor) -> None:
    """Neither by its origin, nor without the page's own token; also where no sign-in is needed."""
    place = "/charge-points/HOME-1/actions/trigger"
    token = visitor.get(place).form_token
    form = {"form_token": token, "request_id": "csrf", "message": "TRIGGERED_MESSAGE_HEARTBEAT"}
    assert visitor.post(place, form, origin="http://evil.example").status == 403
    assert visitor.post(place, form, origin="null").status == 403
    assert visitor.post(place, form, origin="http://[").status == 403
    assert visitor.post(place, form, sec_fetch_site="cross-site").status == 403
    assert visitor.post(place, form | {"form_token": "0" * 64}).status == 403
    assert visitor.post("/sign-out", {}).status == 403
    stranger = dict(visitor.cookies)
    visitor.cookies.clear()
    assert visitor.post(place, form).status == 403
    visitor.cookies.update(stranger)
    assert visitor.post(place, form, origin="http://localhost:8080", sec_fetch_site="same-origin").status == 303


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "", "127.0.0.1.evil.example"])
def test_another_name_for_this_machine_shows_nothing(visitor: Visitor, host: str) -> None:
    """A site whose name leads to loopback could read pages by its scripts."""
    visitor.host = host
    answer = visitor.get("/")
    assert answer.status == 421
    assert "Fleet" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:1", "[::1]:8080", "localhost"])
def test_this_machine_by_its_names_is_served(visitor: Visitor, host: str) -> None:
    visitor.host = host
    assert visitor.get("/").status == 200


@pytest.mark.parametrize("place", ["/", "/sign-in", "/static/console.js", "/nowhere", "/sessions"])
def test_every_answer_holds_the_browser_to_this_site(visitor: Visitor, place: str) -> None:
    """No script or style in a page, nothing of others, in no frame."""
    answer = visitor.get(place)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("cache-control" in answer.headers) == (not place.startswith("/static"))
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")


def test_a_form_is_bounded(visitor: Visitor) -> None:
    """In bytes and in fields."""
    place = "/charge-points/HOME-1/actions/trigger"
    assert visitor.post(place, {"x": "y" * 70_000}).status == 413
    assert visitor.post(place, {f"x{number}": "" for number in range(200)}).status == 413


def test_every_page_is_behind_the_sign_in() -> None:
    """The table has each address once, and nothing else is a page but the sign-in and what is never secret."""
    assert len({(method, path) for method, path, _ in PAGES}) == len(PAGES)
    assert not [path for _, path, _ in PAGES if path.startswith(("/static", "/sign-in"))]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, None),
        ({"host": "::1"}, None),
        ({"host": "localhost"}, None),
        ({"host": "192.0.2.1"}, "is not loopback"),
        ({"host": "0.0.0.0"}, "is not loopback"),
        ({"host": "console.example"}, "is not loopback"),
        ({"host": "192.0.2.1", "certificate": Path("c"), "key": Path("k")}, None),
        ({"certificate": Path("c")}, "go together"),
    ],
)
def test_any_address_but_loopback_needs_tls(settings: dict[str, Any], fault: str | None) -> None:
    found = ConsoleSettings("127.0.0.1:1", **settings).fault()
    assert found is None if fault is None else fault in (found or "")
