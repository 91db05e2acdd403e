"""SteVe, which an operator has built, on a MariaDB of its own: both started with settings for a measurement.

A folder holds all of it: the database, made anew each time from SteVe's own migrations, its settings, its key store
and its log. Both processes have the server's core, as the gateway's one process has, which decides and stores, too.
Loopback only: the proxy that the JVM is given refuses, so SteVe finds no way out when it looks for a release.
"""

import os
import pwd
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from bench import cores, wire
from bench.processes import Credentials, Usage, await_port, certificates, end, free_ports, usage
from bench.servers import process

NAME = "steve"

VARIABLE = "BENCH_STEVE"
"""Names the folder where the option ``--steve`` does not."""

JAR = Path("target") / "steve.jar"
MIGRATIONS = Path("src") / "main" / "resources" / "db" / "migration"
"""In the folder that SteVe was built in; the jar's class path is beside it."""

PROGRAMS = ("java", "mariadbd", "mariadb-install-db", "mariadb")
BESIDES_PATH = "/usr/sbin:/usr/local/sbin"
"""Where distributions put servers, which the path of a user may leave out."""

JVM, DATABASE = "SteVe's JVM", "MariaDB"

WARM_UP_SECONDS = 15.0
"""Before each measurement, at least: a JVM compiles what it runs often while it runs."""

PREPARE_SECONDS = 120.0
"""For making a database, and for each file of its schema."""

START_SECONDS = 180.0
"""For a JVM that reads a thousand classes on one core."""

TAG = "BENCH"
"""The idTag of the measurements' transactions: accepted, and in any number of them at once."""

PROBE = "BENCH-PROBE"
"""The charge point that asks whether chargers are accepted yet."""

DATABASE_NAME, USER, SOCKET = "stevedb", "steve", "mariadb.sock"
DISCARD = 9
"""The port of a service that machines no longer have: a connection there is refused."""

SETTINGS = """\
context.path = steve
db.ip = 127.0.0.1
db.port = {database_port}
db.schema = {schema}
db.user = {user}
db.password = {password}
db.sql.logging = false
auth.user = admin
auth.password = {password}
server.host = 127.0.0.1
server.gzip.enabled = true
http.enabled = false
http.port = {port}
https.enabled = true
https.port = {port}
keystore.path = {key_store}
keystore.password = {password}
ws.session.select.strategy = ALWAYS_LAST
auto.register.unknown.stations = false
steve.version = bench
profile = prod
"""
"""All that its own file of settings has; what is not an address, a key or a name is as it comes."""

LOGGING = """\
<Configuration status="WARN">
  <Appenders><Console name="OUT"><PatternLayout pattern="%p %c: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="OUT"/></Root></Loggers>
</Configuration>
"""
"""Warnings only, as the gateway's: it writes two lines for each message otherwise."""

_MIGRATION = re.compile(r"(?P<kind>[BV])(?P<version>[0-9_]+)__\w+\.sql")


# --- What there has to be -----------------------------------------------------------------------------------------


def fault(folder: Path) -> str | None:
    """Return what the folder lacks of a built SteVe; None if nothing."""
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if not (folder / JAR).is_file():
        return f"{folder} has no {JAR}, which a build of SteVe 3.7 leaves there"
    if not migrations(folder):
        return f"{folder} has no {MIGRATIONS}: name the folder that SteVe was built in"
    return None


def named() -> Path | None:
    """The folder that the environment names."""
    return Path(text) if (text := os.environ.get(VARIABLE)) else None


def why_unavailable(folder: Path | None) -> str | None:
    """Return why it can't be run here; None if it can. ``folder``: what was named, if anything was."""
    if folder is None:
        return f"no built SteVe is named (--steve FOLDER, or {VARIABLE} in the environment)"
    for program in PROGRAMS:
        if found(program) is None:
            return f"{program} was not found"
    return fault(folder)


def migrations(folder: Path) -> list[Path]:
    """The files that make its schema, in their order: its newest baseline and what came after, as Flyway reads them."""
    found = []
    for path in (folder / MIGRATIONS).glob("*.sql"):
        if matched := _MIGRATION.fullmatch(path.name):
            version = tuple(map(int, matched["version"].split("_")))
            found.append((version, matched["kind"], path))
    baselines = [version for version, kind, _ in found if kind == "B"]
    first = max(baselines, default=())
    return [path for version, kind, path in sorted(found) if version > first or (version == first and kind == "B")]


def found(program: str) -> str | None:
    """The path of a program, also of one that the path of a user leaves out."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), BESIDES_PATH)))


# --- MariaDB ------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class MariaDB:
    """A MariaDB that runs in ``folder``. Its root is the user that started it, through a socket only."""

    pid: int
    port: int
    folder: Path

    def run(self, statements: str, database: str = "") -> str:
        """Run statements; what they return, a line for each row. Raises RuntimeError with MariaDB's words."""
        # The socket is named from its folder: a path to it may be longer than the system allows.
        options = ("--no-defaults", f"--socket={SOCKET}", "--default-character-set=utf8mb4", "--skip-column-names")
        done = subprocess.run(
            [_program("mariadb"), *options, *([database] if database else [])],
            cwd=self.folder,
            input=statements.encode(),
            capture_output=True,
            check=False,
            timeout=PREPARE_SECONDS,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            error = said[max(0, said.find("ERROR")) :]  # before it come the statements, which may have a password
            raise RuntimeError(f"MariaDB refused: {error[:300]}")
        return done.stdout.decode()


@contextmanager
def mariadb(folder: Path) -> Iterator[MariaDB]:
    """A MariaDB with its own settings (each commit is flushed), made in ``folder``; SIGTERM at the end."""
    folder.mkdir()
    user = pwd.getpwuid(os.geteuid()).pw_name
    runs_as = [f"--user={user}"] if os.geteuid() == 0 else []
    made = subprocess.run(
        [
            *(_program("mariadb-install-db"), "--no-defaults", f"--datadir={folder}", *runs_as),
            *("--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}"),
            *("--skip-test-db", "--skip-name-resolve"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=PREPARE_SECONDS,
    )
    if made.returncode != 0:
        raise RuntimeError(f"MariaDB can't be made: {made.stdout.decode(errors='replace').strip()[-300:]}")
    [port] = free_ports(1)
    log = folder / "mariadbd.log"
    with log.open("wb") as output, cores.on([cores.server_core()]):
        running = subprocess.Popen(
            [
                *(_program("mariadbd"), "--no-defaults", f"--datadir={folder}", *runs_as, f"--socket={SOCKET}"),
                *("--bind-address=127.0.0.1", f"--port={port}", "--skip-name-resolve"),
                "--default-time-zone=+00:00",  # SteVe refuses to start where its time zone is not the database's
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _or_its_words(log, lambda: await_port(running, "127.0.0.1", port))
        yield MariaDB(running.pid, port, folder)
    finally:
        end(running)


# --- SteVe --------------------------------------------------------------------------------------------------------


@frozen(eq=False)
class SteVe:
    """SteVe, ready for chargers. A ``processes.Server``."""

    pid: int
    port: int
    ca_file: Path
    database: MariaDB
    host: str = "127.0.0.1"
    path: str = "/steve/websocket/CentralSystemService"

    def usage(self) -> Usage:
        """Return the usage of its JVM and its database together, and each one's CPU."""
        jvm, database = usage(self.pid), usage(self.database.pid)
        both = jvm + database
        parts = {JVM: jvm.cpu_seconds, DATABASE: database.cpu_seconds}
        return Usage(both.cpu_seconds, both.rss_bytes, both.threads, parts)

    def provision(self, count: int, prefix: str = "CP") -> list[Credentials]:
        """Make charge points known, as its operator would. They have keys; it looks at none."""
        found = process.credentials(count, prefix)
        self.database.run(known([each.identity for each in found]), DATABASE_NAME)
        return found


@contextmanager
def running(built: Path, folder: Path) -> Iterator[SteVe]:
    """SteVe from ``built`` on a MariaDB, both in ``folder``, which has the certificates; SIGTERM at the end.

    Raises ``process.Unavailable``; RuntimeError if one of them does not become ready.
    """
    missing = why_unavailable(built)
    if missing is not None:
        raise process.Unavailable(missing)
    ca = certificates(folder)
    password = secrets.token_hex(16)
    with mariadb(folder / "mariadb") as database:
        prepare(database, built, password)
        [port] = free_ports(1)
        configure(folder, database.port, port, password)
        log = folder / "steve.log"
        with log.open("wb") as output, cores.on([cores.server_core()]):
            jvm = subprocess.Popen(
                command(built.resolve() / JAR, folder), cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            steve = SteVe(jvm.pid, port, ca, database)
            _or_its_words(log, lambda: _await(jvm, steve))
            yield steve
            if jvm.poll() is not None:
                raise RuntimeError(f"SteVe ended with {jvm.returncode}{_last_words(log)}")
        finally:
            end(jvm)


def prepare(database: MariaDB, built: Path, password: str) -> None:
    """Make SteVe's schema, its user, and the rows without which no charger is let in or no idTag accepted."""
    database.run(
        f"CREATE DATABASE {DATABASE_NAME} CHARACTER SET utf8 COLLATE utf8_unicode_ci;"
        f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{password}';"
        f"GRANT ALL PRIVILEGES ON {DATABASE_NAME}.* TO '{USER}'@'127.0.0.1';"
    )
    for path in migrations(built):
        database.run(path.read_text(encoding="utf-8"), DATABASE_NAME)
    tag = f"INSERT INTO ocpp_tag (id_tag, max_active_transaction_count) VALUES ('{TAG}', -1);"
    database.run(tag + known([PROBE]), DATABASE_NAME)


def known(identities: Iterable[str]) -> str:
    """The statement that makes charge points known; another time it changes nothing."""
    rows = ", ".join(f"('{each}')" for each in identities)
    return f"INSERT IGNORE INTO charge_box (charge_box_id) VALUES {rows};"


def configure(folder: Path, database_port: int, port: int, password: str) -> None:
    """Write its settings, its logging and its key store, of the ECDSA certificate in ``folder/certs``."""
    key_store = folder / "steve.p12"
    key_store.write_bytes(key_store_of(folder / "certs" / "server-ecdsa.pem", password))
    names = {"schema": DATABASE_NAME, "user": USER, "password": password, "key_store": key_store}
    settings = SETTINGS.format(database_port=database_port, port=port, **names)
    (folder / "steve.properties").write_text(settings, encoding="utf-8")
    (folder / "log4j2.xml").write_text(LOGGING, encoding="utf-8")


def key_store_of(certificate: Path, password: str) -> bytes:
    """PKCS #12 with the key and the chain of a certificate whose key is beside it."""
    key = serialization.load_pem_private_key(certificate.with_suffix(".key").read_bytes(), None)
    own, *chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    encryption = serialization.BestAvailableEncryption(password.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return pkcs12.serialize_key_and_certificates(b"steve", key, own, chain or None, encryption)


def command(jar: Path, folder: Path) -> Sequence[str]:
    """Return the command that starts it, with the settings of ``folder`` and a proxy that refuses."""
    properties: Mapping[str, object] = {
        "main.properties": folder / "steve.properties",
        "log4j2.configurationFile": folder / "log4j2.xml",
        "user.home": folder,
        "java.io.tmpdir": folder,
        "https.proxyHost": "127.0.0.1",
        "https.proxyPort": DISCARD,
    }
    return [_program("java"), *(f"-D{name}={value}" for name, value in properties.items()), "-jar", str(jar)]


# --- Ready or not -------------------------------------------------------------------------------------------------


def _await(jvm: "subprocess.Popen[bytes]", steve: SteVe) -> None:
    """Wait until a charger is let in: SteVe listens before its WebSockets are there."""
    until = time.monotonic() + START_SECONDS
    await_port(jvm, steve.host, steve.port, START_SECONDS)
    while not _lets_in(steve):
        if jvm.poll() is not None:
            raise RuntimeError(f"SteVe ended with {jvm.returncode}")
        if time.monotonic() > until:
            raise RuntimeError(f"SteVe let no charger in within {START_SECONDS:.0f} s")
        time.sleep(0.2)


def _lets_in(steve: SteVe) -> bool:
    context = ssl.create_default_context(cafile=steve.ca_file)
    with suppress(OSError), ExitStack() as opened:
        plain = opened.enter_context(socket.create_connection((steve.host, steve.port), timeout=60))
        stream = opened.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
        stream.sendall(wire.upgrade_request(steve.path, PROBE, b""))
        answer = wire.upgrade_answer(stream.recv(4096))
        return answer is not None and answer[0] == 101
    return False


def _or_its_words(log: Path, act: Callable[[], None]) -> None:
    """Act; what goes wrong gets the last words of a log."""
    try:
        act()
    except RuntimeError as error:
        raise RuntimeError(f"{error}{_last_words(log)}") from None


def _last_words(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return f"; its last words: {text[-600:]}" if text else ""


def _program(name: str) -> str:
    path = found(name)
    if path is None:
        raise process.Unavailable(f"{name} was not found")
    return path
