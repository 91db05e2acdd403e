"""Callers over HTTP: the same tokens, certificates, roles, scopes and audit as over gRPC."""

import json
import ssl
from datetime import UTC, datetime
from typing import Any

import h11
import pytest
import trio
import trustme

from gateway.client import Tls as ClientTls
from gateway.control.server import ControlSettings
from gateway.control.tls import Tls
from gateway.domain.callers import Caller, Role, new_token, token_digest
from gateway.domain.values import Registration
from gateway.store.commits import AddCaller, CreateChargePoint, UpdateChargePoint
from tests.control.fakes import NOW, Control, control
from tests.control.http.client import EVENTS, JSON, EventReader, HttpClient, client, settings
from tests.control.test_jwt_callers import KEYS, RULES, token

LIST = "/v1/ChargePointService/ListChargePoints"
WATCH = "/v1/EventService/WatchEvents?start_at=WATCH_START_NOW"


def bearer(text: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"authorization": f"Bearer {text}"}


async def known(gateway: Control, *roles: Role, certificate: str = "", **scope: str) -> str:
    """A caller, made known; its token."""
    shown = new_token()
    name = certificate or "_".join(roles)
    digest = b"" if certificate else token_digest(shown)
    await gateway.journal.commit(AddCaller(Caller(name, roles, NOW, digest, certificate, scope)))
    return shown


def required(**options: Any) -> ControlSettings:
    """Settings that ask for callers."""
    return settings(require_callers=True, **options)


async def test_a_token_lets_in_to_what_its_roles_allow(tmp_path: Any) -> None:
    """Nothing without one; a refusal of a known caller is in the audit."""
    async with control(tmp_path, required()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        shown, keeper = await known(gateway, Role.READ), await known(gateway, Role.ADMINISTER)
        nothing = await http.get(LIST)
        assert nothing.ending == (401, "UNAUTHENTICATED", "CALLER_NOT_NAMED")
        assert nothing.headers["www-authenticate"] == "Bearer"
        assert (await http.get(f"{LIST}?colour=red")).code == 401  # a stranger is shown nothing of what it asks
        assert (await http.get(LIST, **bearer("ocpgw_x"))).ending == (401, "UNAUTHENTICATED", "TOKEN_NOT_KNOWN")
        assert (await http.get(LIST, **bearer(shown))).code == 200
        body = {"chargePoint": "CP1", "requestId": "r1", "type": "RESET_TYPE_SOFT"}
        refused = await http.post("/v1/CommandService/Reset", body, **bearer(shown))
        assert refused.ending == (403, "PERMISSION_DENIED", "ROLE_MISSING")
        assert gateway.commands.calls == []
        entry = await refused_call(http, bearer(keeper))
        assert (entry["caller"], entry["action"], entry["chargePoint"]) == ("read", "Reset", "CP1")


async def test_no_more_is_read_of_a_stranger_than_a_small_request(tmp_path: Any) -> None:
    """A body that goes on is refused behind its first kilobytes; of a known caller all of it is read, and of one that
    lacks the role, which is then in the audit with its charge point."""
    reset = "/v1/CommandService/Reset"
    head = f"POST {reset} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    async with control(tmp_path, required()) as gateway:
        await gateway.charge_point()
        shown, keeper = await known(gateway, Role.READ), await known(gateway, Role.ADMINISTER)
        for name, reason in (("", "CALLER_NOT_NAMED"), ("ocpgw_x", "TOKEN_NOT_KNOWN")):
            async with client(gateway) as http:
                who = f"authorization: Bearer {name}\r\n" if name else ""
                await http.stream.send_all(f"{head}{who}content-length: 4000000\r\n\r\n".encode() + b" " * 20_000)
                data = await http.stream.receive_some()
                assert data.startswith(b"HTTP/1.1 401")
                assert reason.encode() in data
        body = {"chargePoint": "CP1", "requestId": "r1", "type": "RESET_TYPE_SOFT"}
        async with client(gateway) as http:
            large = b" " * 100_000 + json.dumps(body).encode()
            await http.send("POST", reset, large, {**JSON, **bearer(keeper)})
            assert (await http.answer()).code == 200
            await http.send("POST", reset, large, {**JSON, **bearer(shown)})
            assert (await http.answer()).ending[2] == "ROLE_MISSING"
            assert (await refused_call(http, bearer(keeper)))["chargePoint"] == "CP1"


async def refused_call(http: HttpClient, keeper: dict[str, str]) -> Any:
    """The newest entry of the audit, once there is one: it is written behind the answer."""
    with trio.fail_after(60):
        while True:
            entries = (await http.get("/v1/AuditService/ListAudit", **keeper)).json.get("entries", [])
            refused = [each for each in entries if each["action"] == "Reset"]
            if refused:
                return refused[0]
            await trio.sleep(0.01)


async def test_a_name_in_what_is_done_is_the_callers(tmp_path: Any) -> None:
    """As over gRPC, each request by its own."""
    async with control(tmp_path, required()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        body = {"chargePoint": "CP1", "requestId": "r1", "type": "RESET_TYPE_SOFT"}
        for shown in (await known(gateway, Role.OPERATE), await known(gateway, Role.ADMINISTER)):
            assert (await http.post("/v1/CommandService/Reset", body, **bearer(shown))).code == 200
        assert gateway.commands.callers == ["operate", "administer"]


async def test_a_scope_hides_what_is_outside(tmp_path: Any) -> None:
    """Of lists, of single charge points, and of watches."""
    async with control(tmp_path, required()) as gateway, client(gateway) as http:
        for name in ("IN", "OUT"):
            await gateway.journal.commit(CreateChargePoint(name, Registration.ACCEPTED, (), NOW))
        await gateway.journal.commit(UpdateChargePoint("IN", NOW, labels={"site": "north"}))
        shown = bearer(await known(gateway, Role.READ, site="north"))
        listed = (await http.get(LIST, **shown)).json["chargePoints"]
        assert [each["identity"] for each in listed] == ["IN"]
        hidden = await http.get("/v1/ChargePointService/GetChargePoint?identity=OUT", **shown)
        assert hidden.ending == (404, "NOT_FOUND", "UNKNOWN_CHARGE_POINT")
        watched = await http.get(f"{WATCH}&charge_points=OUT", **shown)
        assert watched.ending == (404, "NOT_FOUND", "UNKNOWN_CHARGE_POINT")


async def test_a_stream_ends_as_its_caller_is_revoked(tmp_path: Any) -> None:
    """With the reason, and no event after that."""
    async with control(tmp_path, required()) as gateway, client(gateway) as http:
        shown = await known(gateway, Role.READ)
        keeper = bearer(await known(gateway, Role.ADMINISTER))
        await http.send("GET", WATCH, headers={**EVENTS, **bearer(shown)})
        assert (await http.head())[0] == 200
        stream = EventReader(http)
        await stream.next()
        async with client(gateway) as other:
            assert (await other.post("/v1/CallerService/RevokeCaller", {"name": "read"}, **keeper)).code == 200
        [*_, last] = await stream.until(lambda each: each.kind == "failure")
        assert last.data["error"]["details"][0]["reason"] == "CALLER_REVOKED"


async def test_a_jwt_is_taken_as_over_grpc(tmp_path: Any) -> None:
    """By its issuer's keys, with its roles."""
    async with control(tmp_path, required(jwt=RULES, jwt_keys=KEYS)) as gateway, client(gateway) as http:
        fresh = token(exp=int(datetime.now(UTC).timestamp()) + 300)
        assert (await http.get(LIST, **bearer(fresh))).code == 200
        assert (await http.get(LIST, **bearer(token(exp=1)))).ending == (401, "UNAUTHENTICATED", "TOKEN_REFUSED")


class Authority:
    """Certificates for a server and its clients."""

    def __init__(self) -> None:
        self.servers, self.clients = trustme.CA(), trustme.CA()

    def server(self, clients: trustme.CA | None = None) -> Tls:
        """Certificate, key and clients' CA of the server."""
        cert = self.servers.issue_cert("localhost")
        authority = (clients or self.clients).cert_pem.bytes()
        return Tls(cert.cert_chain_pems[0].bytes(), cert.private_key_pem.bytes(), authority)

    def holding(self, *names: str, by: trustme.CA | None = None, **more: str) -> ssl.SSLContext:
        """A client with a certificate."""
        context = ssl.create_default_context()
        self.servers.configure_trust(context)
        (by or self.clients).issue_cert(*names, **more).configure_cert(context)
        return context


async def test_a_caller_is_known_by_a_name_in_its_certificate(tmp_path: Any) -> None:
    """An alternative name of any kind, or the common name; a token counts before it."""
    made = Authority()
    options = {"tls": made.server()}
    async with control(tmp_path, required(**options), tls_of(made)) as gateway:
        await known(gateway, Role.READ, certificate="app.example")
        await known(gateway, Role.READ, certificate="ops@example.org")
        await known(gateway, Role.READ, certificate="2001:db8::1")
        await known(gateway, Role.VENDOR_DATA, certificate="Vendor Service")

        async def code(context: ssl.SSLContext, **headers: str) -> int:
            async with client(gateway, context) as http:
                return (await http.get(LIST, **headers)).code

        assert await code(made.holding("other.example", "app.example")) == 200
        assert await code(made.holding("ops@example.org")) == 200
        assert await code(made.holding("2001:db8::1")) == 200
        assert await code(made.holding("other.example", common_name="Vendor Service")) == 403
        assert await code(made.holding("stranger.example")) == 401
        assert await code(made.holding("app.example"), **bearer("ocpgw_wrong")) == 401


def tls_of(made: Authority) -> Any:
    """The gRPC client's side."""
    cert = made.clients.issue_cert("grpc.example")
    return ClientTls(made.servers.cert_pem.bytes(), cert.cert_chain_pems[0].bytes(), cert.private_key_pem.bytes())


async def test_certificates_are_replaced_under_way(tmp_path: Any) -> None:
    """The server's own, and the clients' CA: the next client is let in by the new one alone."""
    made, later = Authority(), trustme.CA()
    async with control(tmp_path, settings(tls=made.server()), tls_of(made)) as gateway:
        async with client(gateway, made.holding("a.example")) as http:
            assert (await http.get(LIST)).code == 200
            gateway.server.replace_tls(made.server(later))
            async with client(gateway, made.holding("a.example", by=later)) as new:
                assert (await new.get(LIST)).code == 200
            assert (await http.get(LIST)).code == 200  # who is connected goes on
        async with client(gateway, made.holding("a.example")) as old:
            assert await is_refused(old)


async def test_a_client_needs_a_certificate_where_there_is_a_ca(tmp_path: Any) -> None:
    """Without one, or with a stranger's, there is no connection."""
    made = Authority()
    async with control(tmp_path, settings(tls=made.server()), tls_of(made)) as gateway:
        bare = ssl.create_default_context()
        made.servers.configure_trust(bare)
        for context in (bare, made.holding("a.example", by=trustme.CA())):
            async with client(gateway, context) as http:
                assert await is_refused(http)


async def is_refused(http: HttpClient) -> bool:
    """Return true if the server ends a handshake: under TLS 1.3 that comes after the client's side of it."""
    with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
        await http.get(LIST)
    return True
