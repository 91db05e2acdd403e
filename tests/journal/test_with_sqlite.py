"""The journal on the real store and real threads: few and short, in real time."""

import trio

from gateway.journal import Journal
from gateway.store.api import EventFilter
from gateway.store.commits import Append, Appended, Fenced, OpenSession
from gateway.store.sqlite import SqliteStore
from tests.journal.conftest import running
from tests.store.builders import CONNECTED, T0, create, event, meter, status


async def test_many_sessions_share_commits(tmp_path):
    """Everybody's events are on disk in their own order; the numbers have no gap; reads run beside."""
    store = SqliteStore(tmp_path / "gateway.db")
    heads = []
    names = [f"CP{n}" for n in range(40)]
    for name in names:
        create(store, name)

    async def session(journal, name):
        opened = await journal.commit(OpenSession(name, CONNECTED, T0))
        for n in range(25):
            result = await journal.commit(Append(name, opened.epoch, (event(meter(None, str(n))),)))
            assert isinstance(result, Appended)
        assert isinstance(await journal.commit(Append(name, opened.epoch - 1, ())), Fenced)
        assert (await journal.read(store.charge_point, name)).connection.epoch == 1

    async with running(Journal(store)) as journal:
        journal.on_commit.append(lambda head, _: heads.append(head))
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(session, journal, name)
        assert heads == sorted(heads)
        assert heads[-1] == store.bounds().head == 40 * 27
        assert len(heads) < 40 * 26 / 4
    page = store.events(40 * 2, 1_000, EventFilter(frozenset({"CP7"})))
    assert [e.body_json.count(f'"{n}"'.encode()) for n, e in enumerate(page.events[-25:])] == [1] * 25
    store.close()


async def test_a_full_disk_is_got_over(tmp_path):
    """Unhealthy while it lasts, healthy after it, on the same open store."""
    store = SqliteStore(tmp_path / "gateway.db")
    create(store)
    cx = store._writer.cx
    limit = cx.pragma("max_page_count")
    big = Append("CP1", None, tuple(event(meter(None, "9" * 10_000)) for _ in range(20)))
    async with running(Journal(store)) as journal:
        cx.pragma("max_page_count", cx.pragma("page_count"))
        results = []
        try:
            await journal.commit(big)
        except Exception as error:
            results.append(str(error))
        assert "full" in results[0]
        assert not journal.healthy
        cx.pragma("max_page_count", limit)
        with trio.fail_after(60):
            await journal.wait_healthy()
        assert await journal.commit(Append("CP1", None, (event(status()),))) == Appended((2,))
    store.close()
