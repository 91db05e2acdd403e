"""Streams over HTTP: lines of JSON and server-sent events, resumed, ended and cut."""

import json
from typing import Any

import h11
import pytest
import trio

from gateway.control.http import calls
from gateway.control.http.connection import HttpTimes
from gateway.control.http.streams import StreamFormat
from gateway.control.server import ControlSettings
from gateway.domain.events import ConnectorStatusChanged
from gateway.domain.values import ConnectorAddress
from tests.control.fakes import Control, control
from tests.control.http.client import EVENTS, JSON, EventReader, Sent, client, settings

WATCH = "/v1/EventService/WatchEvents"
BEGINNING = {"startAt": "WATCH_START_BEGINNING"}


def types(sent: list[Sent]) -> list[str]:
    """The types of all events in server-sent events."""
    return [event["type"] for each in sent for event in each.data.get("events", [])]


def caught_up(sent: Sent) -> bool:
    """Return true for the message that says that the watch has caught up."""
    return bool(sent.data.get("caughtUp"))


async def test_events_come_as_they_happen(tmp_path: Any) -> None:
    """As server-sent events, each with its resume token as the id."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        await http.send("GET", f"{WATCH}?start_at=WATCH_START_BEGINNING&charge_points=CP1", headers=EVENTS)
        code, headers = await http.head()
        assert (code, headers["content-type"]) == (200, "text/event-stream")
        stream = EventReader(http)
        past = await stream.until(caught_up)
        assert types(past) == ["charge_point.created", "charge_point.connected"]
        assert all(each.place == each.data["resumeToken"] for each in past)
        await gateway.charge_point("CP2")
        await gateway.append("CP1", 1, ConnectorStatusChanged(ConnectorAddress(1, 1), "Available", "NoError"))
        present = await stream.until(lambda each: types([each]))
        assert types(present) == ["connector.status_changed"]


async def test_the_end_of_the_past_is_said_at_once(tmp_path: Any) -> None:
    """Also where no event passes the filter: a page that waits for it is not held up until the sign of life."""
    watching = ControlSettings(port=0, idle=3600, http=settings().http)
    async with control(tmp_path, watching) as gateway, client(gateway) as http:
        await gateway.charge_point()
        await http.send("GET", f"{WATCH}?start_at=WATCH_START_BEGINNING&types=charge_point.booted", headers=EVENTS)
        await http.head()
        with trio.fail_after(60):
            past = await EventReader(http).until(caught_up)
        assert types(past) == []


async def test_a_browser_goes_on_where_it_was(tmp_path: Any) -> None:
    """With Last-Event-ID, which counts before the start that its address still has."""
    async with control(tmp_path, settings()) as gateway:
        await gateway.charge_point()
        async with client(gateway) as http:
            await http.send("GET", f"{WATCH}?start_at=WATCH_START_NOW", headers=EVENTS)
            await http.head()
            seen = await EventReader(http).until(caught_up)
        await gateway.charge_point("CP2")
        async with client(gateway) as http:
            again = {**EVENTS, "last-event-id": seen[-1].place}
            await http.send("GET", f"{WATCH}?start_at=WATCH_START_NOW", headers=again)
            await http.head()
            missed = await EventReader(http).until(caught_up)
        assert types(missed) == ["charge_point.created", "charge_point.connected"]
        assert {event["chargePoint"] for each in missed for event in each.data.get("events", [])} == {"CP2"}


@pytest.mark.parametrize("last", ["%%%", "AAAA"])
async def test_a_place_that_is_none_is_refused_with_a_code(tmp_path: Any, last: str) -> None:
    """Before the stream begins, so that a browser does not ask again."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        answer = await http.get(f"{WATCH}?start_at=WATCH_START_NOW", accept="text/event-stream", last_event_id=last)
        assert answer.ending == (400, "INVALID_ARGUMENT", "BAD_RESUME_TOKEN")
        again = await http.get("/v1/TransactionService/ListTransactions", last_event_id=last)
        assert again.code == 200


async def test_lines_are_for_who_asks_for_nothing_else(tmp_path: Any) -> None:
    """Each is an object with a result."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        await http.send("POST", WATCH, json.dumps(BEGINNING).encode(), JSON)
        code, headers = await http.head()
        assert (code, headers["content-type"]) == (200, "application/x-ndjson")
        lines = await http.until(b"\n")
        assert json.loads(lines.splitlines()[0])["result"]["resumeToken"]


@pytest.mark.parametrize("accept", [{}, EVENTS])
async def test_a_snapshot_ends(tmp_path: Any, accept: dict[str, str]) -> None:
    """And a browser is shown its end, or it would begin anew."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        answer = await http.get("/v1/ChargePointService/StreamLatestReadings", **accept)
        assert answer.code == 200
        assert b'"CP1"' in answer.body
        assert (b"event: end" in answer.body) == bool(accept)
        assert b"id: " not in answer.body
        empty = await http.get("/v1/ChargePointService/StreamLatestReadings?filter=identity=x", **accept)
        assert b'"CP1"' not in empty.body


@pytest.mark.parametrize("accept", [{}, EVENTS])
async def test_a_stream_that_fails_says_why(tmp_path: Any, accept: dict[str, str]) -> None:
    """In its last line or event, as the gateway stops; the connection is closed then."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await http.send("GET", f"{WATCH}?start_at=WATCH_START_NOW", headers=accept)
        await http.head()
        await http.until(b"caughtUp")
        gateway.server.drain(5)
        rest = await http.rest()
        error = json.loads(rest.splitlines()[-1 if not accept else -2].removeprefix(b"data: "))["error"]
        assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
        assert error["details"][0]["reason"] == "DRAINING"
        assert (b"event: failure" in rest) == bool(accept)
        assert await http.stream.receive_some() == b""


async def test_a_drain_waits_for_calls_and_takes_no_more(tmp_path: Any) -> None:
    """A call under way is answered; connections that wait for nothing are closed."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as busy, client(gateway) as idle:
        await gateway.charge_point()
        gateway.commands.wait = 0.3
        assert (await idle.get("/v1/ServerService/GetServerInfo")).code == 200
        body = {"chargePoint": "CP1", "requestId": "r1", "type": "RESET_TYPE_SOFT"}
        await busy.send("POST", "/v1/CommandService/Reset", json.dumps(body).encode(), JSON)
        await gateway.commands.begun.wait()
        gateway.server.drain(5)
        assert await idle.stream.receive_some() == b""
        answer = await busy.answer()
        assert (answer.code, answer.headers["connection"]) == (200, "close")


async def test_a_drain_that_is_over_ends_calls_with_a_word(tmp_path: Any) -> None:
    """Their outcome is not known."""
    async with control(tmp_path, settings()) as gateway, client(gateway) as http:
        await gateway.charge_point()
        gateway.commands.wait = 60
        body = {"chargePoint": "CP1", "requestId": "r1", "type": "RESET_TYPE_SOFT"}
        await http.send("POST", "/v1/CommandService/Reset", json.dumps(body).encode(), JSON)
        await gateway.commands.begun.wait()
        gateway.server.drain(0)
        assert (await http.answer()).ending == (500, "UNKNOWN", "OUTCOME_UNKNOWN")


async def test_there_are_only_so_many_streams(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that has ended gives its place back."""
    monkeypatch.setattr(calls, "MAX_STREAMS", 1)
    url = f"{WATCH}?start_at=WATCH_START_NOW"
    async with control(tmp_path, settings()) as gateway, client(gateway) as second:
        async with client(gateway) as first:
            await first.send("GET", url, headers=EVENTS)
            assert (await first.head())[0] == 200
            refused = await second.get(url, **EVENTS)
            assert refused.ending == (429, "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")
        with trio.fail_after(60):
            while True:
                await second.send("GET", url, headers=EVENTS)
                code, _ = await second.head()
                if code == 200:
                    break
                await second.rest()
                second.state.start_next_cycle()


async def test_a_silent_stream_shows_that_it_is_alive(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By comments, which readers of server-sent events pass over; its head does not wait for the first message."""
    monkeypatch.setattr(calls, "ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(calls, "FIRST_SECONDS", 0.05)
    watching = ControlSettings(port=0, idle=60, http=settings().http)
    async with control(tmp_path, watching) as gateway, client(gateway) as http:
        url = "/v1/EventService/WatchMeterValues?start_at=WATCH_START_NOW&latest_interval=60s"
        await http.send("GET", url, headers=EVENTS)
        assert (await http.head())[0] == 200
        await http.until(StreamFormat.EVENTS.alive * 2)


async def test_a_client_that_does_not_read_is_cut(tmp_path: Any) -> None:
    """And what is ahead of it stays in the store: nothing is held for it but what is on its way."""
    async with control(tmp_path, settings(HttpTimes(write=0.1))) as gateway, client(gateway) as http:
        epoch = await gateway.charge_point()
        await many(gateway, epoch)
        await http.send("POST", WATCH, json.dumps(BEGINNING).encode(), JSON)
        before = 0
        while not before or http.unread() > before:  # a busy machine takes its time to fill the sockets
            before = http.unread()
            await trio.sleep(1)
        with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
            await http.answer()


async def many(gateway: Control, epoch: int) -> None:
    """Events of some ten megabytes, more than sockets take."""
    large = ConnectorStatusChanged(ConnectorAddress(1, 1), "Faulted", "x" * 50_000)
    for _ in range(10):
        await gateway.append("CP1", epoch, *[large] * 20)
