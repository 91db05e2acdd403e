"""The gateway on PostgreSQL: what was acknowledged survives the kills of both, and promises are asked of the server."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import trio

from gateway.store.postgres.connection import Connection
from tests.endtoend.asking import in_thread
from tests.endtoend.gateway_process import MakeGateway
from tests.endtoend.test_crash import LoadedCharger, check_accounts, check_watch
from tests.endtoend.test_secrets import READABLE, files_with_the_mark, holds_a_secret, secrets_on_every_path
from tests.endtoend.watching import Watcher
from tests.support import postgres

pytestmark = pytest.mark.postgres

CHARGERS = 6

AWAY_SECONDS = 6.0
"""Longer than ``store.commit_deadline_seconds``, of which nothing is to be seen."""


@pytest.fixture(scope="module")
def durable() -> Iterator[postgres.Server]:
    """A server that keeps what it is given."""
    postgres.require()
    with postgres.server(durable=True) as running:
        yield running


async def test_what_was_acknowledged_survives_kills_of_the_gateway_and_of_its_server(
    make_gateway: MakeGateway, durable: postgres.Server
) -> None:
    """Every confirmed start, sample and stop is there once; a watcher that resumes has all events in order."""
    store = {"url": durable.url(durable.database()), "durability": "local"}
    gateway = make_gateway(authorization={"unknown_tags": "Accepted"}, store=store)
    gateway.start()
    identities = [f"CP{n:02}" for n in range(CHARGERS)]
    chargers = [LoadedCharger(gateway, identity, gateway.add_with_new_key(identity)) for identity in identities]
    with Watcher(gateway, resumes=True) as watcher:
        enough = trio.Event()
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                for charger in chargers:
                    nursery.start_soon(charger.run, enough)
                await trio.sleep(1)
                await in_thread(gateway.kill)
                await in_thread(gateway.start)
                await trio.sleep(1)
                await in_thread(durable.stop)
                await in_thread(durable.start)
                await trio.sleep(2)
                await in_thread(gateway.kill)
                await in_thread(gateway.start)
                await trio.sleep(0.5)
                enough.set()
        history = gateway.history()
        watcher.wait_for("the last event", lambda seen: {e.event_id for e in seen[-100:]} >= {history[-1].event_id})
        seen = list(watcher.events)
    assert sum(len(each.accounts) for each in chargers) >= CHARGERS
    for charger in chargers:
        check_accounts(gateway, charger)
    check_watch(seen, history)


async def test_a_marked_secret_is_in_no_table(make_gateway: MakeGateway, durable: postgres.Server) -> None:
    """Of the secrets that tests/endtoend/test_secrets.py sends on every path; nor in a log or a file."""
    database = durable.database()
    gateway = make_gateway(store={"url": durable.url(database), "durability": "local"})
    gateway.start()
    gateway.add_charge_point("CP1")
    await secrets_on_every_path(gateway, gateway.folder / "tapped.jsonl")
    found = await in_thread(tables, durable.url(database))
    assert {"event", "command", "operation"} <= found.keys()
    assert [name for name, data in found.items() if holds_a_secret(data)] == []
    assert READABLE.encode() in b"".join(found.values())
    assert files_with_the_mark(gateway) == []


def tables(url: str) -> dict[str, bytes]:
    """All that is in each table as text, with what is in bytes as it is."""
    cx = Connection(url)
    try:
        names = [str(name) for (name,) in cx.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        texts = {name: cx.rows(f"SELECT t::text FROM {name} t") for name in names}
    finally:
        cx.close()
    return {name: "\n".join(str(text) for (text,) in rows).encode() for name, rows in texts.items()} | {
        f"{name}, bytes": b" ".join(bytes.fromhex(each) for (text,) in rows for each in BYTES.findall(str(text)))
        for name, rows in texts.items()
    }


BYTES = re.compile(r"\\x((?:[0-9a-f]{2})+)")
"""A value in bytes, in a row's text."""


def test_a_server_that_keeps_no_promise_is_refused_by_name(make_gateway: MakeGateway, durable: postgres.Server) -> None:
    """Before anything is served, and by check-config: without a standby, unless one disk is said to be enough."""
    gateway = make_gateway(store={"url": durable.url(durable.database())})
    gateway.log.touch()  # it never serves
    for command in ("check-config", "serve"):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", command, "--config", str(gateway.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "synchronous_standby_names is empty" in done.stdout + done.stderr


def test_a_second_gateway_on_the_database_is_refused(make_gateway: MakeGateway, durable: postgres.Server) -> None:
    """By the slot that the first one holds; nothing of the first one is disturbed."""
    store = {"url": durable.url(durable.database()), "durability": "local"}
    first, second = make_gateway(store=store), make_gateway(store=store)
    second.log.touch()
    first.start()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", str(second.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "is served by another process" in done.stdout + done.stderr
    first.add_with_new_key("CP1")


async def test_no_session_ends_and_nothing_is_sent_twice_while_the_server_restarts(
    make_gateway: MakeGateway, durable: postgres.Server
) -> None:
    """It is away for some seconds under load: chargers wait for their answers, each on its one connection; callers and
    watchers wait, too."""
    store = {"url": durable.url(durable.database()), "durability": "local"}
    gateway = make_gateway(authorization={"unknown_tags": "Accepted"}, store=store)
    gateway.start()
    identities = [f"CP{n:02}" for n in range(CHARGERS)]
    chargers = [LoadedCharger(gateway, identity, gateway.add_with_new_key(identity)) for identity in identities]
    with Watcher(gateway) as watcher:
        enough = trio.Event()
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                for charger in chargers:
                    nursery.start_soon(charger.run, enough)
                await trio.sleep(1)
                await in_thread(durable.stop)
                nursery.start_soon(in_thread, gateway.add_charge_point, "MADE-MEANWHILE")
                await trio.sleep(AWAY_SECONDS)
                await in_thread(durable.start)
                await trio.sleep(1)
                enough.set()
        history = gateway.history()
        watcher.wait_for("the last event", lambda seen: {e.event_id for e in seen[-100:]} >= {history[-1].event_id})
        seen = list(watcher.events)
        assert watcher.ends == []
    for charger in chargers:
        assert charger.connections == 1
        assert {m.sent for a in charger.accounts for m in (a.start, a.stop, *a.samples) if m is not None} == {1}
        check_accounts(gateway, charger)
    assert gateway.charge_point("MADE-MEANWHILE").identity == "MADE-MEANWHILE"
    check_watch(seen, history)
