"""Cost of a durable event by the journal's linger, on SQLite and on PostgreSQL: ``python -m bench.linger``.

Events come one by one at an even rate, as a fleet's do, and are committed by the journal. PostgreSQL is started in a
folder of its own, on this machine, with fsync on; the CPU of its processes is counted beside this process's.
"""

import argparse
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import trio

from bench.append import one_append, prepared, stores
from gateway.journal import Journal
from gateway.store.api import Store
from gateway.store.commits import Write, WriteResult

RATES = (300, 2_000)
"""Events a second: a fleet of 18,000, and what one core serves."""

LINGERS = (0.0, 0.002, 0.005, 0.010)

SECONDS = 4.0
"""For each rate and linger on each store."""

TICK = 0.0005
"""Seconds between two looks at which events are due."""


def server_seconds() -> float:
    """CPU that living PostgreSQL processes have taken so far."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition(") ")
        except OSError:
            continue
        if name.endswith("(postgres"):
            ticks += sum(int(each) for each in rest.split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


async def measured(store: Store, rate: int, linger: float, seconds: float) -> str:
    """CPU in microseconds an event of this process and of the servers', commits a second, and the middle wait."""
    journal, waits = Journal(store, linger=linger), list[float]()

    def answered(began: float) -> None:
        waits.append(time.monotonic() - began)

    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        cpu, servers = time.process_time(), server_seconds()
        began, count = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            while count < passed * rate:
                count += 1

                def on_answer(_: Write, __: WriteResult | Exception, at: float = time.monotonic()) -> None:
                    answered(at)

                journal.submit(one_append(count), on_answer)
            await trio.sleep(TICK)
        await journal.aclose()
        own = (time.process_time() - cpu) / count * 1e6
        theirs = (server_seconds() - servers) / count * 1e6
    commits = sum(journal.commit_seconds.counts) / seconds
    return f"{own:>6.0f} +{theirs:>5.0f} us {commits:>5.0f}/s {1000 * middle(waits):>5.1f} ms"


def middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each rate and linger on each store")
    seconds = parser.parse_args().seconds
    print(f"{'events/s, linger':<24}" + "".join(f"{1000 * linger:>27.0f} ms" for linger in LINGERS))
    with ExitStack() as stack:
        for name, opening in stores(stack).items():
            store = opening()
            try:
                prepared(store)
                for rate in RATES:
                    figures = [trio.run(measured, store, rate, linger, seconds) for linger in LINGERS]
                    print(f"{name:<12}{rate:>9}/s  " + " ".join(f"{each:>29}" for each in figures))
            finally:
                store.close()
    print("(CPU of this process + of the server an event, transactions a second, middle wait)")


if __name__ == "__main__":
    main()
