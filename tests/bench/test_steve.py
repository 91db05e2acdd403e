"""SteVe beside the gateway: what it is started with, why it is left out, and, where there is a built one, itself."""

import io
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from rich.console import Console

from bench import __main__ as bench_main
from bench import scenarios
from bench.processes import certificates
from bench.scenarios import peers
from bench.servers import measuring, process, steve
from bench.servers.measuring import Plan
from tests.bench.blocking_charger import MESSAGES, Charger

COMMON = f"""#!{sys.executable}
import os, signal, socket, ssl, sys, time

def note(text):
    with open(os.environ["NOTES"], "a", encoding="utf-8") as file:
        file.write(text + "\\n")

def option(name):
    return next(each.partition("=")[2] for each in sys.argv if each.startswith(name + "="))

def at_end(name):
    def ended(*_):
        note(name + " ended")
        os._exit(143)
    signal.signal(signal.SIGTERM, ended)
"""

PROGRAMS = {
    "mariadb-install-db": """
note("made in " + option("--datadir"))
""",
    "mariadbd": """
at_end("database")
listener = socket.create_server((option("--bind-address"), int(option("--port"))))
while True:
    listener.accept()[0].close()
""",
    "mariadb": """
note(sys.argv[-1].partition("=")[0] + ": " + sys.stdin.read().strip())
""",
    # As SteVe does it: it listens first, and lets no charger in until its WebSockets are there.
    "java": """
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

at_end("SteVe")
if os.path.exists(os.environ["NOTES"] + ".broken"):
    print("ERROR no such table: settings")
    sys.exit(1)
with open(option("-Dmain.properties"), encoding="utf-8") as file:
    settings = dict(line.strip().split(" = ", 1) for line in file)
with open(settings["keystore.path"], "rb") as file:
    store = pkcs12.load_pkcs12(file.read(), settings["keystore.password"].encode())
pem = os.path.join(option("-Duser.home"), "fake.pem")
with open(pem, "wb") as file:
    file.write(store.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    file.write(store.cert.certificate.public_bytes(serialization.Encoding.PEM))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(pem)
listener = socket.create_server((settings["server.host"], int(settings["https.port"])))
asked = 0
while True:
    plain = listener.accept()[0]
    try:
        stream = context.wrap_socket(plain, server_side=True)
        line = stream.recv(4096).decode().partition("\\r\\n")[0]
    except OSError:
        continue
    asked += 1
    note("asked: " + line)
    stream.sendall(b"HTTP/1.1 101 Switching\\r\\n\\r\\n" if asked > 1 else b"HTTP/1.1 404 Not Found\\r\\n\\r\\n")
    stream.close()
""",
}
"""Stand-ins for what is not ours: they note what they were started with and asked."""

PLAN = Plan(sessions=10, active=4, seconds=0.3, warm_up=0.1, rate=50.0)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder that looks as one in which SteVe was built."""
    folder = tmp_path / "built"
    (folder / steve.JAR).parent.mkdir(parents=True)
    (folder / steve.JAR).touch()
    (folder / steve.MIGRATIONS).mkdir(parents=True)
    (folder / steve.MIGRATIONS / "B1_0_5__schema.sql").write_text("CREATE the tables;", encoding="utf-8")
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-ins in place of all programs there are."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in PROGRAMS.items():
        (folder / name).write_text(COMMON + text, encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(steve, "BESIDES_PATH", "")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return folder


def test_without_a_built_one_it_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed before anything is measured, and kept with the results."""
    monkeypatch.delenv(steve.VARIABLE, raising=False)
    printed = io.StringIO()
    [result] = peers.run(scenarios.options(peers, {"servers": ["steve"]}), Console(file=printed))
    why = "no built SteVe is named (--steve FOLDER, or BENCH_STEVE in the environment)"
    assert (result.case, result.figures, result.notes) == ("steve", (), (f"left out: {why}",))
    assert f"steve is left out: {why}" in printed.getvalue()


@pytest.mark.parametrize("absent", steve.PROGRAMS)
def test_without_one_of_its_programs_it_is_left_out_with_its_name(absent: str, programs: Path, built: Path) -> None:
    """Java, and what MariaDB is made, run and asked with."""
    assert steve.why_unavailable(built) is None
    (programs / absent).unlink()
    assert steve.why_unavailable(built) == f"{absent} was not found"
    with pytest.raises(process.Unavailable, match=f"^{absent} was not found$"), steve.running(built, built):
        pass


def test_a_folder_without_a_built_one_is_an_error_of_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, with what it lacks; nothing is measured."""
    with pytest.raises(SystemExit, match=r"^2$"):
        bench_main.main(["peers", "--steve", str(tmp_path), "--results", str(tmp_path)])
    assert f"argument --steve: {tmp_path} has no target/steve.jar" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_the_environment_names_in_vain_is_said(
    monkeypatch: pytest.MonkeyPatch, programs: Path, built: Path
) -> None:
    """It stops no run of everything: SteVe is left out, for what the folder lacks."""
    (built / steve.MIGRATIONS / "B1_0_5__schema.sql").unlink()
    monkeypatch.setenv(steve.VARIABLE, str(built))
    [result] = peers.run(scenarios.options(peers, {"servers": ["steve"]}), Console(file=io.StringIO()))
    lacks = f"{built} has no src/main/resources/db/migration: name the folder that SteVe was built in"
    assert result.notes == (f"left out: {lacks}",)
    assert steve.fault(built / "elsewhere") == f"{built}/elsewhere is not a folder"


def test_its_schema_begins_with_the_newest_baseline(built: Path) -> None:
    """And goes on by number, not by letter; what the baseline has in it is not run again, nor what is no migration."""
    for name in (
        *("V1_0_4__old.sql", "V1_0_5__in_it.sql", "B0_9__older.sql", "V1_0_10__last.sql", "V1_0_9__next.sql"),
        *("README.sql", "V1_1__notes.txt"),
    ):
        (built / steve.MIGRATIONS / name).touch()
    names = [path.name for path in steve.migrations(built)]
    assert names == ["B1_0_5__schema.sql", "V1_0_9__next.sql", "V1_0_10__last.sql"]


def test_without_a_baseline_its_schema_is_all_migrations(built: Path) -> None:
    """As its first versions have them."""
    (built / steve.MIGRATIONS / "B1_0_5__schema.sql").unlink()
    for name in ("V0_10__b.sql", "V0_9__a.sql"):
        (built / steve.MIGRATIONS / name).touch()
    assert [path.name for path in steve.migrations(built)] == ["V0_9__a.sql", "V0_10__b.sql"]


def test_its_key_store_has_the_certificate_that_chargers_trust(tmp_path: Path) -> None:
    """With its key, under the password of its settings alone."""
    ca = certificates(tmp_path)
    data = steve.key_store_of(ca.parent / "server-ecdsa.pem", "secret")
    store = pkcs12.load_pkcs12(data, b"secret")
    assert store.cert is not None
    assert store.key is not None
    both = [
        each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for each in (store.key.public_key(), store.cert.certificate.public_key())
    ]
    assert both[0] == both[1]
    der = store.cert.certificate.public_bytes(Encoding.DER)
    assert ssl.DER_cert_to_PEM_cert(der) in (ca.parent / "server-ecdsa.pem").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(data, b"guess")


def test_it_is_started_on_a_prepared_database_and_ended_before_it(programs: Path, built: Path, tmp_path: Path) -> None:
    """Schema, user and rows come first; it is ready once it lets a charger in, on loopback with TLS."""
    folder = tmp_path / "run"
    folder.mkdir()
    with steve.running(built, folder) as running:
        assert set(running.usage().parts) == {steve.JVM, steve.DATABASE}
        assert [each.identity for each in running.provision(2)] == ["CP00000", "CP00001"]
        settings = (folder / "steve.properties").read_text(encoding="utf-8")
    notes = (tmp_path / "notes").read_text(encoding="utf-8").splitlines()
    assert notes[0] == f"made in {folder / 'mariadb'}"
    assert notes[1].startswith("--skip-column-names: CREATE DATABASE stevedb ")
    assert "CREATE USER 'steve'@'127.0.0.1' IDENTIFIED BY '" in notes[1]
    assert notes[2:] == [
        "stevedb: CREATE the tables;",
        "stevedb: INSERT INTO ocpp_tag (id_tag, max_active_transaction_count) VALUES ('BENCH', -1);"
        "INSERT IGNORE INTO charge_box (charge_box_id) VALUES ('BENCH-PROBE');",
        *["asked: GET /steve/websocket/CentralSystemService/BENCH-PROBE HTTP/1.1"] * 2,
        "stevedb: INSERT IGNORE INTO charge_box (charge_box_id) VALUES ('CP00000'), ('CP00001');",
        "SteVe ended",
        "database ended",
    ]
    assert "server.host = 127.0.0.1\n" in settings
    assert "http.enabled = false\n" in settings


def test_one_that_does_not_start_is_told_with_its_words(programs: Path, built: Path, tmp_path: Path) -> None:
    """And its database is ended, too."""
    (tmp_path / "notes.broken").touch()
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        pytest.raises(RuntimeError, match="ended with 1; its last words: ERROR no such table: settings"),
        steve.running(built, folder),
    ):
        pass
    assert (tmp_path / "notes").read_text(encoding="utf-8").splitlines()[-1] == "database ended"


def test_a_database_that_refuses_is_told_with_its_words(programs: Path, built: Path, tmp_path: Path) -> None:
    """Nothing goes on with half a schema; the statements, which it repeats, are left out: one has a password."""
    refuses = "sys.stderr.write(sys.stdin.read() + '\\nERROR 1064: near the')\nsys.exit(1)\n"
    (programs / "mariadb").write_text(COMMON + refuses, encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(RuntimeError, match=r"^MariaDB refused: ERROR 1064: near the$"), steve.running(built, folder):
        pass


def test_a_database_is_made_and_asked(tmp_path: Path) -> None:
    """With the MariaDB of this machine: rows that were made are there, and a statement that is none is refused."""
    for program in steve.PROGRAMS[1:]:
        if steve.found(program) is None:
            pytest.skip(f"MariaDB: {program} was not found")
    with steve.mariadb(tmp_path / "mariadb") as database:
        database.run("CREATE DATABASE known; CREATE TABLE known.charge_box (charge_box_id VARCHAR(20) PRIMARY KEY);")
        for _ in range(2):
            database.run(steve.known(["CP1", "CP2"]), "known")
        assert database.run("SELECT charge_box_id FROM charge_box ORDER BY 1", "known") == "CP1\nCP2\n"
        with pytest.raises(RuntimeError, match="MariaDB refused: ERROR 1064"):
            database.run("SELECT FROM")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[steve.SteVe]:
    """SteVe itself, from the folder that the environment names."""
    folder = steve.named()
    if (missing := steve.why_unavailable(folder)) is not None:
        pytest.skip(f"steve: {missing}")
    assert folder is not None
    with steve.running(folder, tmp_path_factory.mktemp("steve")) as running:
        yield running


def test_steve_confirms_all_and_stores_it(real: steve.SteVe) -> None:
    """Every message of the measurements is answered by a CALLRESULT, and its readings are rows."""
    [known] = real.provision(1, "REAL")
    with Charger(real, identity=known.identity) as charger:
        for action, payload in MESSAGES.items():
            assert charger.call(action, payload)[:2] == [3, "19223201"], action
    assert real.database.run("SELECT value FROM connector_meter_value", steve.DATABASE_NAME) == "1\n"


def test_steve_is_measured_with_all_its_sessions(real: steve.SteVe) -> None:
    """All connect, send and are confirmed; the CPU of the JVM and of the database is known of each."""
    measured = measuring.measure(real, real.provision(PLAN.sessions), PLAN)
    assert measured.wrong == ()
    assert measured.closed.messages > 0
    parts = measured.closed.server_parts
    assert set(parts) == {steve.JVM, steve.DATABASE}
    assert sum(parts.values()) == pytest.approx(measured.closed.server_cpu_seconds)
    figures = {each.name for each in measuring.result("peers", "steve", PLAN, [measured]).figures}
    assert {f"CPU per message, of it {part}" for part in parts} <= figures
