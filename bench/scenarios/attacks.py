"""A charger beside attackers: how long its worst answer takes while others send what costs the gateway most.

One charger sends a MeterValues, which is on disk before it is answered, or a Heartbeat every 20 ms, in turn, and counts
from when each was due. Beside it, one after the other: strangers' handshakes with a key share of ffdhe8192, sockets
that stall, guesses at a password, reconnects with a megabyte each, StopTransactions of 4 MiB, and ten chargers with
each of the messages of `tests.hostile.payloads` at once. The first case is without any. All settings are the defaults.
"""

import argparse
import select
import shlex
import socket
import ssl
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console

from bench import attackers, histogram, processes, wire
from bench.processes import Credentials, Gateway, Stopwatch
from bench.results import Figure, Result
from gateway.api.v1 import charge_point_pb2, charge_point_pb2_grpc

NAME = "attacks"
HELP = "one charger's worst answer beside attackers of every kind; four minutes"

SHORT: Mapping[str, Any] = {
    "seconds": 4.0,
    "attacks": ["none", "ffdhe8192", "nested-lists", "text-of-brackets", "stops of 4 MiB"],
}

PERIOD = 0.02
"""Between two messages of the neighbour, in seconds: within its pace, for as long as an attack is measured."""

PATIENCE = 60.0
"""For one answer."""

TARGET_MS = 100.0
"""The neighbour's worst answer, on two cores that have nothing else to do."""

SETTINGS = "[sessions]\nmax_messages_per_second = 20\n"
"""The default: the bench's own is for loops that are faster than any charger."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = list(attackers.ATTACKS)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each attack, its start included (%(default)s)")
    parser.add_argument(
        "--attacks",
        nargs="+",
        choices=names,
        default=names,
        metavar="NAME",
        help=f"which (all): {', '.join(map(shlex.quote, names))}",
    )


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Each attack with a gateway of its own, so that none inherits what another one has used up."""
    return [_measure(name, options, console) for name in options.attacks]


def _measure(name: str, options: argparse.Namespace, console: Console) -> Result:
    console.print(name)
    with (
        tempfile.TemporaryDirectory(prefix="bench-attacks-") as folder,
        processes.gateway(Path(folder), settings=SETTINGS) as gateway,
    ):
        neighbour, *others = gateway.provision(1 + attackers.TEN)
        link = _Neighbour(gateway, neighbour)
        with attackers.attacked(gateway, name, others, _imported(gateway)) as attacker:
            # From the start: what attackers may send at once, they send at once.
            watch, driver = Stopwatch.of(gateway.pid), Stopwatch.of(attacker)
            waited = link.talk(options.seconds)
            watch.stop()
            driver.stop()
        link.close()
        reasons = [reason for reason in link.unexpected if reason]
    answers = histogram.of(waited)
    worst = histogram.milliseconds(answers, 100)
    return Result(
        scenario=NAME,
        case=name,
        plan={"seconds": options.seconds, "period": PERIOD},
        figures=[
            Figure("worst answer", worst, "ms"),
            Figure("median answer", histogram.milliseconds(answers, 50), "ms"),
            Figure("CPU of the attackers", driver.cores, "cores"),
        ],
        histograms={"the neighbour's answer": answers},
        server_cores=watch.cores,
        invalid_because=[f"the neighbour: {reason}" for reason in reasons],
        notes=[f"above the target of {TARGET_MS:.0f} ms"] if worst > TARGET_MS else [],
    )


def _imported(gateway: Gateway) -> str:
    """A charge point whose key was chosen by a person, which is checked slowly; its identity."""
    with grpc.insecure_channel(gateway.control_address) as channel:
        charge_point_pb2_grpc.ChargePointServiceStub(channel).CreateChargePoint(
            charge_point_pb2.CreateChargePointRequest(
                charge_point=charge_point_pb2.ChargePoint(identity="GUESSED"), authorization_key=b"chosen-by-hand"
            ),
            timeout=10,
        )
    return "GUESSED"


class _Neighbour:
    """A charger that means well, on a socket of its own: nothing in this process keeps it from noting an answer."""

    def __init__(self, gateway: Gateway, credentials: Credentials) -> None:
        context = ssl.create_default_context(cafile=str(gateway.ca_file))
        plain = socket.create_connection((gateway.host, gateway.port), timeout=PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._socket.sendall(wire.upgrade_request(gateway.path, credentials.identity, credentials.key))
        data = b""
        while (answer := wire.upgrade_answer(data)) is None:
            data += self._socket.recv(65536)
        if answer[0] != 101:
            raise RuntimeError(f"the neighbour was refused with {answer[0]}")
        self._left = answer[1]
        self._number = wire.FIRST_ID
        self.unexpected: list[str] = []
        self._exchange(wire.boot)

    def talk(self, seconds: float) -> list[float]:
        """Microseconds from when a message was due until it was answered, for each; ends early if the link does."""
        waited, begin, count = [], time.perf_counter(), int(seconds / PERIOD)
        for turn in range(count):
            due = begin + turn * PERIOD
            time.sleep(max(0.0, due - time.perf_counter()))
            if not self._exchange(wire.meter_values if turn % 2 else wire.heartbeat):
                break
            waited.append((time.perf_counter() - due) * 1e6)
        return waited

    def _exchange(self, message: wire.Message) -> bool:
        """One message and its answer. False where the link has ended; why is kept."""
        self._number += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        try:
            self._socket.sendall(message(self._number, now, 0, wire.FIRST_READING + self._number % 1000))
            wanted = str(self._number).encode()
            until = time.perf_counter() + PATIENCE
            while time.perf_counter() < until:
                if self._heard(wanted):
                    return True
        except (OSError, wire.Unexpected) as error:
            self.unexpected.append(str(error) or type(error).__name__)
            return False
        self.unexpected.append(f"no answer within {PATIENCE:.0f} s")
        return False

    def _heard(self, wanted: bytes) -> bool:
        """Return true if what has come answers it; calls of the gateway's are answered meanwhile."""
        if not self._socket.pending():
            select.select([self._socket], [], [], 1.0)
        more = self._socket.recv(65536)
        if not more:
            raise wire.Unexpected("the link ended")
        found, self._left = wire.frames(self._left + more)
        heard = False
        for opcode, text in found:
            if opcode == wire.PING:
                self._socket.sendall(wire.frame(wire.PONG, text))
            elif opcode == wire.CLOSE:
                raise wire.Unexpected(f"closed with {wire.close_code(text)}")
            elif opcode == wire.TEXT:
                if text.startswith(b"[2,"):
                    self._socket.sendall(wire.Asked(wire.parse(text)).reply)
                elif text[wire.ID] == wanted:
                    heard = True
        return heard

    def close(self) -> None:
        """Leave."""
        self._socket.close()
