"""Runs the examples of `examples/clients` from the files of `make dist`, installed into empty environments.

    python scripts/example_runs.py DIST [--only go]

A gateway from the wheel, which asks for TLS and a token, simulated chargers, and in each language: provision, watch,
start, limit, stop, read the energy. Meanwhile the gateway and the watcher are killed, and started again; at the end the
watcher has each event once, as a reader has it that came later. In Python also a plan, an app's status and a bill, the
export to NATS and a webhook, killed likewise, and a fleet page.

Go's and Node's toolchains are used where they are; a language without is skipped by name and, with CI set, fails the
run.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gateway.client import Gateway, GatewayError, Tls, v1  # noqa: E402 - the folder is no package that is installed
from scripts.dist import unpack  # noqa: E402

BUILT = ROOT / ".examples"
EXAMPLES = BUILT / "sources" / "examples"
BUF = ROOT / "node_modules" / ".bin" / "buf"
UV = Path(sys.executable).parent / "uv"

WAIT_SECONDS = 60.0
"""Until what a run waits for has happened; an idle machine takes some seconds for each."""

BUILD_SECONDS = 200.0
SPEED = "60"
"""Of the simulated chargers: a meter value each second."""

LANGUAGES = ("python", "go", "typescript")


def run(*command: object, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """A command's output. Raises SystemExit with what it said, where it fails."""
    words = [str(each) for each in command]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(
        words, cwd=folder, env=variables, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def until(condition: Callable[[], Any], wanted: str) -> Any:
    """Wait until a condition holds; its value. Raises SystemExit where it never does."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"it never came: {wanted}")


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(name: str, lock: str, wheel: Path) -> Path:
    """The folder of programs of an environment that holds a lock's packages and one wheel."""
    folder, text = BUILT / name, (ROOT / lock).read_bytes()
    stamp, programs = folder / ".lock", folder / "bin"
    if not stamp.is_file() or stamp.read_bytes() != text:
        shutil.rmtree(folder, ignore_errors=True)
        run(UV, "venv", "--quiet", "--python", sys.executable, folder)
        packages = ["--require-hashes", "--only-binary", ":all:", "--requirement", ROOT / lock]
        run(UV, "pip", "install", "--quiet", "--python", programs / "python", *packages)
        stamp.write_bytes(text)
    run(UV, "pip", "install", "--quiet", "--python", programs / "python", "--no-deps", "--reinstall", wheel)
    return programs


# --- the processes ------------------------------------------------------------------------------------------------


class Process:
    """A program that can be killed and started again. Its output goes to a file."""

    def __init__(self, log: Path, *command: object, environment: Mapping[str, str] | None = None) -> None:
        self._command = [str(each) for each in command]
        self._environment = {**os.environ, **(environment or {})}
        self.log = log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as out:
            self._running = subprocess.Popen(self._command, env=self._environment, stdout=out, stderr=out)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait until it has."""
        if self._running is not None:
            self._running.send_signal(how)
            self._running.wait(WAIT_SECONDS)
            self._running = None

    def outcome(self) -> str:
        """Its output once it has ended well. Raises SystemExit where it has not."""
        assert self._running is not None
        code = self._running.wait(2 * WAIT_SECONDS)
        self._running = None
        said = self.log.read_text(encoding="utf-8")
        if code != 0:
            raise SystemExit(f"{' '.join(self._command)} ended with {code}:\n{said}")
        return said


class Stage:
    """A gateway from the wheel with its store, its chargers, and what else was started; all is ended with it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        self.wss, self.control = free_port(), free_port()
        self.target = f"localhost:{self.control}"
        self._started: list[Process] = []
        run(programs / "gateway", "certs", "dev", "--directory", folder / "certs")
        settings = f"""
[[listeners]]
host = "127.0.0.1"
port = {self.wss}
certificates = [{{ certificate = "certs/server-ecdsa.pem", key = "certs/server-ecdsa.key" }}]
[sessions]
settle_delay_seconds = 0.05
ready_after_silence_seconds = 1
[control]
address = "127.0.0.1:{self.control}"
certificate = "certs/server-ecdsa.pem"
key = "certs/server-ecdsa.key"
require_callers = true
[metrics]
address = "off"
"""
        (folder / "gateway.toml").write_text(settings, encoding="utf-8")
        words = ["--role", "administer", "--offline", "--json", "--config", folder / "gateway.toml"]
        self.token: str = json.loads(run(programs / "gateway", "callers", "add", "platform", *words))["token"]
        self.environment = {
            "GATEWAY_TARGET": self.target,
            "GATEWAY_CA": str(folder / "certs" / "ca.pem"),
            "GATEWAY_TOKEN": self.token,
        }
        self.gateway = self.process("gateway", programs / "gateway", "serve", "--config", folder / "gateway.toml")

    def process(self, name: str, *command: object) -> Process:
        """Start a program that knows the gateway's address."""
        made = Process(self.folder / f"{name}.log", *command, environment=self.environment)
        made.start()
        self._started.append(made)
        return made

    def client(self, timeout: float | None = None) -> Gateway:
        """A client of the run's own."""
        tls = Tls(ca=(self.folder / "certs" / "ca.pem").read_bytes())
        return Gateway(self.target, tls, self.token, timeout)

    def charger(self, identity: str, key: str) -> None:
        """Start a simulated charger with a vehicle plugged in."""
        url = f"wss://localhost:{self.wss}/ocpp"
        words = ["--identity", identity, "--key-text", key, "--url", url, "--ca", self.folder / "certs" / "ca.pem"]
        self.process(identity, self.programs / "gateway", "simulate", *words, "--plugged", "--speed", SPEED)

    def restart(self) -> None:
        """Kill the gateway, and start it again."""
        self.gateway.kill()
        self.gateway.start()
        self.ready()

    def ready(self) -> None:
        """Wait until the gateway answers."""

        def answers() -> bool:
            with self.client(timeout=1) as gateway:
                try:
                    gateway.server.get_server_info(v1.GetServerInfoRequest())
                except GatewayError:
                    return False
            return True

        until(answers, f"an answer of the gateway; its log is {self.gateway.log.read_text(encoding='utf-8')[-2000:]}")

    def connected(self, identity: str) -> bool:
        """Tell whether a charger is connected, and its connector known."""
        with self.client() as gateway:
            request = v1.GetChargePointRequest(identity=identity)
            point = gateway.charge_points.get_charge_point(request).charge_point
            return point.HasField("connection") and any(each.status == "Preparing" for each in point.connectors)

    def events(self) -> list[tuple[str, str, str]]:
        """Id, charge point and type of all events, as one reader has them from the beginning."""
        found = []
        with self.client() as gateway:
            request = v1.WatchEventsRequest(start_at=v1.WATCH_START_BEGINNING)
            for batch in gateway.watch_events(request):
                found += [(event.event_id, event.charge_point, event.type) for event in batch.events]
                if batch.caught_up:
                    return found
        return found

    def transaction(self, identity: str) -> list[v1.Transaction]:
        """The transactions of a charge point."""
        with self.client() as gateway:
            request = v1.ListTransactionsRequest(charge_point=identity)
            return list(gateway.transactions.list_transactions(request).transactions)

    def close(self) -> None:
        """End everything that was started."""
        for each in reversed(self._started):
            each.kill(signal.SIGTERM if each is self.gateway else signal.SIGKILL)


def lines_of(path: Path) -> list[tuple[str, ...]]:
    """The events in a watcher's file."""
    return [tuple(line.split(" ")) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


# --- the runs -----------------------------------------------------------------------------------------------------


def charge(stage: Stage, language: str, program: tuple[object, ...]) -> None:
    """A charger from its provisioning to its energy, with the gateway and the watcher killed meanwhile."""
    identity, token, out = f"CP-{language}", stage.folder / f"{language}.token", stage.folder / f"{language}.events"
    key = json.loads(run(*program, "provision", identity, "FAMILY", environment=stage.environment))
    watcher = stage.process(f"{language}-watch", *program, "watch", token, out)
    stage.charger(identity, key["key"])
    until(lambda: stage.connected(identity), f"{identity} with a vehicle")
    until(lambda: any(event[1] == identity for event in lines_of(out)), f"an event of {identity} in {out.name}")
    watcher.kill()
    charging = stage.process(f"{language}-charge", *program, "charge", identity, "FAMILY")
    until(lambda: stage.transaction(identity), f"a transaction of {identity}")
    stage.restart()
    watcher.start()
    result = json.loads(charging.outcome().splitlines()[-1])
    [transaction] = stage.transaction(identity)
    if result != {"transaction_id": transaction.transaction_id, "watt_hours": transaction.energy.watt_hours}:
        raise SystemExit(f"{language} read {result}, not {transaction}")
    if not float(result["watt_hours"]) > 0:
        raise SystemExit(f"{language}: no energy")
    known = stage.events()
    until(lambda: len(lines_of(out)) >= len(known), f"the last of {len(known)} events in {out.name}")
    watcher.kill()
    for number, (found, event) in enumerate(zip(lines_of(out), known, strict=False), 1):
        if found != event:
            raise SystemExit(f"{out.name} has {found} for event {number}, not {event}")
    print(f"{language}: {result['watt_hours']} Wh, {len(known)} events over two kills", flush=True)


def jobs(stage: Stage, programs: Path) -> None:
    """A plan, an app's status and a bill, after the charge."""
    [transaction] = stage.transaction("CP-python")

    def job(*words: str) -> Any:
        program = [programs / "python", EXAMPLES / "python" / "jobs.py"]
        return json.loads(run(*program, *words, environment=stage.environment))

    bill = job("bill", transaction.transaction_id)
    wanted = {"watt_hours": transaction.energy.watt_hours, "look_at_it": False}
    if {key: bill[key] for key in wanted} != wanted or not bill["total"].endswith(" GBP"):
        raise SystemExit(f"the bill: {bill}")
    until(lambda: job("status", "CP-python")["connected"], "CP-python in the app")
    planned, shown = job("plan", "CP-python"), job("status", "CP-python")
    connectors = [{"state": "CONNECTED", "watts": 0.0}]
    if not planned["state"].startswith("STEERING_STATE_") or shown["connectors"] != connectors:
        raise SystemExit(f"the plan: {planned}; the app: {shown}")
    print(f"jobs: {bill}, {planned}, {shown}", flush=True)


class Webhook:
    """A receiver that notes the events that it has not had, by their ids, and is away at first."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.received = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.received += 1
                # Refused once in a while, as receivers do: it comes again.
                refused = outer.received % 5 == 0
                if not refused:
                    outer.seen.setdefault(self.headers["Idempotency-Key"], body["type"])
                self.send_response(503 if refused else 204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def bus(stage: Stage, programs: Path) -> None:
    """The export to NATS and a webhook, killed twice: each has each event once."""
    port = free_port()
    words = ["-js", "-a", "127.0.0.1", "-p", port, "-sd", stage.folder / "nats"]
    stage.process("nats", shutil.which("nats-server") or "nats-server", *words)
    url, webhook = f"nats://127.0.0.1:{port}", Webhook()
    until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "NATS")
    program = [programs / "python", EXAMPLES / "python" / "bus.py", stage.folder / "bus.token", url, webhook.url]
    exporter = stage.process("bus", *program)
    until(lambda: len(webhook.seen) > 10, f"events at the webhook; {exporter.log.read_text(encoding='utf-8')}")
    exporter.kill()
    exporter.start()
    until(lambda: len(webhook.seen) > 20, f"more events at the webhook; {exporter.log.read_text(encoding='utf-8')}")
    stage.restart()
    known = stage.events()
    until(lambda: set(webhook.seen) >= {each[0] for each in known}, "all events at the webhook")
    exporter.kill()
    reader = (
        "import asyncio, nats, sys\n"
        "async def main():\n"
        f"    connection = await nats.connect({url!r})\n"
        "    js = connection.jetstream()\n"
        "    count = (await js.stream_info('charging')).state.messages\n"
        "    subscription = await js.subscribe('charging.>', ordered_consumer=True)\n"
        "    for _ in range(count):\n"
        "        print((await subscription.next_msg(5)).headers['Nats-Msg-Id'])\n"
        "    await connection.close()\n"
        "asyncio.run(main())\n"
    )
    published = run(programs / "python", "-c", reader).split()
    wanted = [each[0] for each in known]
    if published[: len(wanted)] != wanted or len(set(published)) != len(published):
        raise SystemExit(f"the bus has {len(published)} events, not {len(wanted)}, each once and in order")
    print(f"bus: {len(published)} events, each once, over two kills; the webhook was asked {webhook.received} times")


def fleet_page(stage: Stage, programs: Path) -> None:
    """The fleet page shows each charge point, and goes on after a kill of the gateway."""
    port = free_port()
    stage.process("fleet", programs / "python", EXAMPLES / "python" / "fleet_page.py", port)

    def shown() -> Any:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/fleet", timeout=5) as page:
            return json.load(page)
        return {}

    until(lambda: shown().get("CP-python", {}).get("connected"), "CP-python on the fleet page")
    stage.restart()
    with stage.client() as gateway:
        point = v1.ChargePoint(identity="CP-late")
        gateway.charge_points.create_charge_point(v1.CreateChargePointRequest(charge_point=point))
    until(lambda: "CP-late" in shown(), "a charge point that came after the kill on the fleet page")
    until(lambda: shown().get("CP-python", {}).get("connected"), "CP-python on the fleet page again")
    print(f"fleet page: {sorted(shown())}")


# --- the languages ------------------------------------------------------------------------------------------------


def go(protos: Path) -> tuple[object, ...]:
    """The program in Go, built in a folder of its own from the archive's protos."""
    folder = fresh("go")
    if not BUF.is_file():  # npm came only now
        run("npm", "ci", "--loglevel=error", folder=ROOT)
    run(BUF, "generate", protos, folder=folder)
    run("go", "build", "-mod=readonly", "-o", "charge", ".", folder=folder)
    return (folder / "charge",)


def typescript(protos: Path) -> tuple[object, ...]:
    """The program in TypeScript, likewise."""
    folder = fresh("typescript")
    run("npm", "ci", "--loglevel=error", folder=folder)
    run("npx", "buf", "generate", protos, folder=folder)
    run("npx", "buf", "generate", "error_info.proto", folder=folder)
    run("npx", "tsc", folder=folder)
    return ("node", folder / "dist" / "charge.js")


def fresh(language: str) -> Path:
    """A copy of an example's folder."""
    folder = BUILT / language
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLES / language, folder)
    return folder


def skipped(language: str, programs: Mapping[str, str]) -> bool:
    """Tell whether a language has to be left out: a program is missing, even after the attempt to install it in CI."""
    for program, package in programs.items():
        if shutil.which(program) is None and os.environ.get("CI"):
            subprocess.run([ROOT / "scripts" / "install-tool", package, f"{language} is not tested"], check=True)
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                raise SystemExit(f"{program} is missing, and CI is set")
            print(f"SKIPPED: {language}: {program} was not found")
            return True
    return False


@contextlib.contextmanager
def staged(programs: Path) -> Iterator[Stage]:
    """A stage in a folder of its own; the logs are shown where a run fails."""
    with tempfile.TemporaryDirectory() as name:
        stage = Stage(Path(name), programs)
        try:
            stage.ready()
            yield stage
        except BaseException:
            for log in sorted(Path(name).glob("*.log")):
                print(f"--- {log.name}:\n{log.read_text(encoding='utf-8', errors='replace')[-1500:]}", file=sys.stderr)
            raise
        finally:
            stage.close()


def main() -> None:
    """Run the examples."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path)
    parser.add_argument("--only", choices=LANGUAGES)
    arguments = parser.parse_args()
    dist, wanted = arguments.dist.resolve(), [arguments.only] if arguments.only else LANGUAGES
    [server], [client] = dist.glob("gateway-[0-9]*.whl"), dist.glob("gateway_client-*.whl")
    [archive] = dist.glob("gateway-protos-*.tar.gz")
    [examples] = dist.glob("gateway-examples-*.tar.gz")
    shutil.rmtree(BUILT / "sources", ignore_errors=True)
    for path, name in ((archive, "protos"), (examples, "examples")):
        unpack(path, BUILT / "sources")
        [folder] = (BUILT / "sources").glob(f"gateway-{name}-*")
        folder.rename(BUILT / "sources" / name)
    protos = BUILT / "sources" / "protos"
    programs = environment("gateway", "requirements.lock", server)
    with staged(programs) as stage:
        if "python" in wanted:
            python = environment("python", "requirements-examples.lock", client)
            charge(stage, "python", (python / "python", EXAMPLES / "python" / "charge.py"))
            jobs(stage, python)
            fleet_page(stage, python)
            if not skipped("NATS", {"nats-server": "nats-server"}):
                bus(stage, python)
        if "go" in wanted and not skipped("go", {"go": "golang-go", "npm": "npm"}):
            charge(stage, "go", go(protos))
        if "typescript" in wanted and not skipped("typescript", {"node": "nodejs", "npm": "npm"}):
            charge(stage, "typescript", typescript(protos))


if __name__ == "__main__":
    main()
