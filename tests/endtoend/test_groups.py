"""Which groups a handshake may use, on a gateway that was started in each of the ways there are."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gateway.openssl import MARK, VARIABLE
from gateway.transport.tls_probe import GROUPS, client_hello
from tests.endtoend.gateway_process import Gateway, MakeGateway, eventually, free_port

CHEAP = {"X25519": "", "P-256": "prime256v1", "P-384": "secp384r1"}
"""What chargers may use, and their names in ``set_ecdh_curve``."""

DEAR = sorted(set(GROUPS) - set(CHEAP))

TLS_1_2 = 0x0303
DHE_SUITES = (0x009E, 0x009F, 0x0033, 0x0039, 0x0067, 0x006B, 0xCCAA, 0x009C + 0x4000)
"""TLS 1.2 over finite fields (DHE-RSA-…), and one number that is no suite."""

ALERT, HANDSHAKE = 21, 22
SERVER_HELLO = 2
FATAL_HANDSHAKE_FAILURE = b"\x02\x28"

OPERATORS = """
openssl_conf = mine
[mine]
ssl_conf = my_tls
[my_tls]
system_default = my_defaults
[my_defaults]
MaxProtocol = TLSv1.2
Groups = ffdhe2048:P-521
"""
"""An operator's own configuration: its limit to TLS 1.2 shows that it is read."""


def answer(port: int, hello: bytes) -> tuple[int, bytes]:
    """Kind and content of the first record that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(hello)
        head = exactly(link, 5)
        return head[0], exactly(link, int.from_bytes(head[3:], "big"))


def exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        assert part, f"ended after {data!r}"
        data += part
    return data


def refused(gateway: Gateway, hello: bytes) -> bool:
    kind, content = answer(gateway.port, hello)
    if kind == ALERT:
        assert content == FATAL_HANDSHAKE_FAILURE
        return True
    assert (kind, content[0]) == (HANDSHAKE, SERVER_HELLO)
    return False


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Gateway]:
    """A gateway that serves, for all that only look at the door."""
    gateway = Gateway(tmp_path_factory.mktemp("groups"), certificates)
    gateway.start()
    try:
        yield gateway
        gateway.finish()
    finally:
        gateway.reap()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", CHEAP)
def test_a_charger_that_knows_one_cheap_group_gets_in(door: Gateway, name: str, version: ssl.TLSVersion) -> None:
    """Each of X25519, P-256 and P-384, in both versions of TLS: a whole handshake."""
    client = ssl.create_default_context(cafile=str(door.ca))
    client.minimum_version = client.maximum_version = version
    client.set_ciphers("ECDHE")
    if name != "X25519":  # that is offered first anyway, and Python 3.11.2 can't name it
        client.set_ecdh_curve(CHEAP[name])
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=60) as link,
        client.wrap_socket(link, server_hostname="localhost") as tls,
    ):
        assert tls.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


@pytest.mark.parametrize("name", DEAR)
def test_no_other_group_is_agreed_to(door: Gateway, name: str) -> None:
    """Offered alone, with a share of random bytes and without one: an alert, no ServerHello and no request to retry."""
    group = GROUPS[name]
    assert refused(door, client_hello([group]))
    assert refused(door, client_hello([group], [(group, os.urandom(1024))]))
    assert refused(door, client_hello([group], version=TLS_1_2, suites=(0xC02F, 0xC02B)))


def test_an_allowed_group_is_chosen_over_a_dear_one_that_came_first(door: Gateway) -> None:
    """The client's order and its ready-made share decide nothing: it is asked for a share of X25519."""
    dear, cheap = GROUPS["ffdhe8192"], GROUPS["X25519"]
    kind, content = answer(door.port, client_hello([dear, cheap], [(dear, os.urandom(1024))]))
    assert (kind, content[0]) == (HANDSHAKE, SERVER_HELLO)
    assert content.endswith(b"\x00\x33\x00\x02" + cheap.to_bytes(2, "big"))  # key_share of a HelloRetryRequest


def test_no_finite_field_suite_of_tls_1_2_is_agreed_to(door: Gateway) -> None:
    """RFC 7919 offers none of its groups there either; old DHE would be OpenSSL's own choice of size."""
    assert refused(door, client_hello([GROUPS["X25519"]], version=TLS_1_2, suites=DHE_SUITES))
    assert refused(door, client_hello([GROUPS["ffdhe2048"]], version=TLS_1_2, suites=DHE_SUITES))


LAUNCHERS = {
    "console script": (str(Path(sys.executable).with_name("gateway")),),
    "module": (sys.executable, "-m", "gateway"),
    "wrapped by what has loaded OpenSSL": (
        sys.executable,
        "-c",
        "import hashlib, ssl\nfrom gateway.cli.main import run\nrun()",
    ),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_however_it_is_started_the_groups_are_restricted(make_gateway: MakeGateway, launcher: str) -> None:
    """By hand, by a service manager, or by a tool that wraps it."""
    gateway = make_gateway()
    gateway.start(LAUNCHERS[launcher])
    assert refused(gateway, client_hello([GROUPS["ffdhe8192"]]))
    assert not refused(gateway, client_hello([GROUPS["P-384"]]))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_an_operators_own_configuration_stays_in_force(
    make_gateway: MakeGateway, tmp_path: Path, launcher: str
) -> None:
    """Its groups are replaced; the rest of it goes on to hold, here its limit to TLS 1.2."""
    own = tmp_path / "openssl.cnf"
    own.write_text(OPERATORS)
    gateway = make_gateway()
    gateway.start(LAUNCHERS[launcher], {VARIABLE: str(own)})
    for name in ("ffdhe2048", "P-521"):
        assert refused(gateway, client_hello([GROUPS[name]], version=TLS_1_2, suites=(0xC02F, 0xC02B)))
    assert not refused(gateway, client_hello([GROUPS["P-256"]], version=TLS_1_2, suites=(0xC02F, 0xC02B)))
    kind, content = answer(gateway.port, client_hello([GROUPS["P-256"]]))
    assert (kind, content) == (ALERT, b"\x02\x46")  # protocol_version


def test_a_configuration_that_is_not_there_hinders_nothing(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """As OpenSSL itself goes on without it."""
    gateway = make_gateway()
    gateway.start(environment={VARIABLE: str(tmp_path / "none.cnf")})
    assert refused(gateway, client_hello([GROUPS["ffdhe2048"]]))


def test_it_refuses_to_start_where_a_dear_group_would_be_accepted(make_gateway: MakeGateway) -> None:
    """The restriction is tried, not believed: here a process that takes its configuration for read, and it was not."""
    gateway = make_gateway()
    gateway.log.touch()
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", gateway.config],
        env={**environment, MARK: "none"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "ffdhe2048" in ended.stderr
    assert "Groups = X25519:P-256:P-384" in ended.stderr
    assert "Traceback" not in ended.stderr


def https_console(certificates: Path, launcher: Sequence[str]) -> "subprocess.Popen[str]":
    """A console over HTTPS as a process; its gateway is not there."""
    pair = [f"--https-certificate={certificates / 'server-rsa.pem'}", f"--https-key={certificates / 'server-rsa.key'}"]
    arguments = ["console", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:1", *pair]
    return subprocess.Popen([*launcher, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_console_agrees_to_no_dear_group_however_it_is_started(certificates: Path, launcher: str) -> None:
    """It is a process of its own, and its pages may be open to strangers."""
    with https_console(certificates, LAUNCHERS[launcher]) as console:
        try:
            assert console.stdout is not None
            found = re.search(r"https://127.0.0.1:(\d+)/", console.stdout.readline())
            assert found is not None
            only_cheap_groups(int(found[1]))
        finally:
            console.terminate()


@pytest.fixture
def https(make_gateway: MakeGateway, certificates: Path) -> tuple[Gateway, int]:
    """A gateway with TLS on its control interface, and its port of HTTP."""
    port, pair = free_port(), {"certificate": "server-rsa.pem", "key": "server-rsa.key"}
    control = {setting: str(certificates / name) for setting, name in pair.items()}
    gateway = make_gateway(control=control, http={"address": f"127.0.0.1:{port}"})
    gateway.begin()
    eventually("it serves", lambda: gateway.log.read_text(), lambda log: "listening for chargers" in log, 120)
    return gateway, port


def test_http_agrees_to_no_dear_group(https: tuple[Gateway, int]) -> None:
    """Its TLS is Python's, as that of chargers, and not gRPC's."""
    only_cheap_groups(https[1])


def is_answered(port: int, hello: bytes) -> bool:
    """True if a ServerHello comes, or a request for another share; asyncio closes without an alert else."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(hello)
        return link.recv(1) == bytes((HANDSHAKE,))


def only_cheap_groups(port: int) -> None:
    """No dear group is answered, with a share or without one, nor one of TLS 1.2; the cheap ones are."""
    for name in DEAR:
        group = GROUPS[name]
        assert not is_answered(port, client_hello([group])), name
        assert not is_answered(port, client_hello([group], [(group, os.urandom(1024))])), name
    assert not is_answered(port, client_hello([GROUPS["ffdhe2048"]], version=TLS_1_2, suites=DHE_SUITES))
    assert not is_answered(port, client_hello([GROUPS["X25519"]], version=TLS_1_2, suites=DHE_SUITES))
    for name in CHEAP:
        assert is_answered(port, client_hello([GROUPS[name]])), name


@pytest.mark.parametrize("where", ["chargers", "http"])
def test_no_client_begins_another_handshake_on_its_connection(https: tuple[Gateway, int], where: str) -> None:
    """Renegotiation of TLS 1.2 would be handshakes past all that counts them."""
    openssl = shutil.which("openssl")
    assert openssl is not None, "it comes with Debian"
    port = https[1] if where == "http" else https[0].port
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"]
    ended = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=60)
    assert "RENEGOTIATING" in ended.stdout + ended.stderr
    assert "no renegotiation" in ended.stderr
