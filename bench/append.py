"""Client CPU of one durable event on SQLite and on PostgreSQL, in one run: ``python -m bench.append``.

PostgreSQL is started in a folder of its own, on this machine, with fsync on. What its server takes is not counted here.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from gateway.domain.events import ChargePointConnected, MeterValuesReported, NewEvent
from gateway.domain.values import ConnectorAddress, Registration
from gateway.store.api import Store
from gateway.store.commits import Append, CreateChargePoint, CreateChargePoints, OpenSession
from gateway.store.sqlite import SqliteStore
from gateway.store.wall_clock import utc_now

SIZES = (1, 16, 64, 256)
"""Writes that wait together."""

CHARGE_POINTS = 512

SECONDS = 2.0
"""For each size on each store."""


def prepared(store: Store) -> None:
    """Charge points with a session each."""
    now = utc_now()
    names = [f"CP{n:04}" for n in range(CHARGE_POINTS)]
    store.commit([CreateChargePoints(tuple(CreateChargePoint(name, Registration.ACCEPTED, (), now) for name in names))])
    connected = ChargePointConnected("192.0.2.7", "ocpp1.6", 2, "TLSv1.3")
    store.commit([OpenSession(name, connected, now) for name in names])


def one_append(turn: int) -> Append:
    """The write of the turn's MeterValues, each turn's of another charge point."""
    sampled = [{"value": str(turn)}, {"value": "7360.0"}]
    values = ({"timestamp": "2026-03-01T12:00:00Z", "sampledValue": sampled},)
    body = MeterValuesReported(ConnectorAddress(1, 1), values)
    key = b"\x01" + turn.to_bytes(15, "big")
    event = NewEvent(body, utc_now(), cause=f"message:{turn}", repeat_key=key)
    return Append(f"CP{turn % CHARGE_POINTS:04}", 1, (event,))


def measured(store: Store, size: int, seconds: float) -> tuple[float, float]:
    """Microseconds of this process's CPU an event, and events a second."""
    count, turn = 0, 0
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() < began + seconds:
        store.commit([one_append(turn + n) for n in range(1, size + 1)])
        turn += size
        count += size
    spent, took = time.process_time() - cpu, time.monotonic() - began
    return spent / count * 1e6, count / took


def stores(stack: ExitStack) -> dict[str, Callable[[], Store]]:
    """Ways to open each store."""
    from gateway.store.postgres import Durability, PostgresStore
    from tests.support import postgres

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
    found: dict[str, Callable[[], Store]] = {"SQLite": lambda: SqliteStore(folder / "gateway.db")}
    if postgres.missing():
        print(f"left out: {postgres.missing()}")
        return found
    server = stack.enter_context(postgres.server(durable=True))
    url = server.url(server.database())
    found["PostgreSQL"] = lambda: PostgresStore(url, durability=Durability.LOCAL)
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each size on each store")
    seconds = parser.parse_args().seconds
    print(f"{'writes waiting':<16}" + "".join(f"{size:>20}" for size in SIZES))
    with ExitStack() as stack:
        for name, opening in stores(stack).items():
            store = opening()
            try:
                prepared(store)
                figures = [measured(store, size, seconds) for size in SIZES]
            finally:
                store.close()
            print(f"{name:<16}" + "".join(f"{cpu:>9.1f} us {rate:>6.0f}/s" for cpu, rate in figures))


if __name__ == "__main__":
    main()
