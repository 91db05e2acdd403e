"""Streams of live parts: their end, a watch that fails, and a watch that has nothing to say."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.console import charge_point_pages, live
from gateway.console.calls import Person
from tests.console.visitor import Visitor

HOUR = 3600.0


async def given(*messages: str, fails: BaseException | None = None, waits: bool = False) -> AsyncIterator[Any]:
    for each in messages:
        yield each
    if fails is not None:
        raise fails
    if waits:
        await asyncio.Event().wait()


class Plain:
    """Messages that nothing has to be closed of."""

    def __init__(self, *messages: str) -> None:
        self.left = list(messages)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


def failure(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "gone", None)


def read(messages: AsyncIterator[str], left: float = HOUR, most: int = 20) -> list[str]:
    """The chunks of a stream until it ends, so many at most."""

    async def all_of_it() -> list[str]:
        found: list[str] = []
        stream: Any = live.response(messages, left).body_iterator
        async for each in stream:
            found.append(each)
            if len(found) == most:
                break
        await stream.aclose()
        return found

    return asyncio.run(asyncio.wait_for(all_of_it(), 60))


@pytest.mark.parametrize("messages", [given("a", "b"), Plain("a", "b")], ids=["a generator", "an iterator"])
def test_a_stream_ends_with_its_messages(messages: AsyncIterator[str]) -> None:
    """After the time in which a browser comes again."""
    assert read(messages) == ["retry: 1000\n\n", "a", "b"]


def test_a_stream_ends_with_the_session_of_its_person() -> None:
    """Nothing is read for one that is over."""
    assert read(given("a"), left=-1.0) == ["retry: 1000\n\n"]


def test_a_watch_that_fails_is_said_to_be_lost() -> None:
    """With the code alone: the browser comes again, and the page says what is wrong."""
    *_, said = read(given("a", fails=failure(grpc.StatusCode.UNAVAILABLE)))
    event, data = said.strip().splitlines()
    assert event == "event: lost"
    assert json.loads(data.removeprefix("data: ")) == {"code": "UNAVAILABLE"}


def test_a_stream_without_messages_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """By comments; what is waited for is given up when the browser leaves."""
    monkeypatch.setattr(live, "KEEPALIVE_SECONDS", 0.001)
    assert read(given("a", waits=True), most=4) == ["retry: 1000\n\n", "a", ": still here\n\n", ": still here\n\n"]


def test_watches_are_merged_until_one_of_them_ends() -> None:
    """The other one is ended with it."""

    async def act() -> list[tuple[str, Any]]:
        watches = {"quiet": given("q", waits=True), "short": given("1", "2")}
        return [each async for each in live.merged(watches)]

    found = asyncio.run(asyncio.wait_for(act(), 60))
    assert sorted(found) == [("quiet", "q"), ("short", "1"), ("short", "2")]


def test_the_failure_of_a_merged_watch_is_not_hidden() -> None:
    """After what had come by then."""
    found: list[tuple[str, Any]] = []

    async def act() -> None:
        watches = {"quiet": given(waits=True), "failing": given("1", fails=failure(grpc.StatusCode.OUT_OF_RANGE))}
        async for each in live.merged(watches):
            found.append(each)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        asyncio.run(asyncio.wait_for(act(), 60))
    assert raised.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert found == [("failing", "1")]


def test_a_place_is_given_up_only_where_the_gateway_does_not_know_it(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other failure is said: the browser comes again with its place, and misses nothing."""
    places: list[bytes] = []
    fails = {b"old": grpc.StatusCode.OUT_OF_RANGE, b"good": grpc.StatusCode.UNAVAILABLE}

    def happening(visit: Any, token: bytes) -> AsyncIterator[str]:
        places.append(token)
        error = fails.get(token)
        return given() if error is None else given(fails=failure(error))

    monkeypatch.setattr(charge_point_pages, "_happening", happening)
    for place, expected in ((b"good", [b"good"]), (b"old", [b"old", b""])):
        places.clear()
        with visitor.stream("/charge-points/HOME-1/live", last_event_id=b64encode(place).decode()) as stream:
            if place == b"good":
                assert stream.next("lost")[0] == {"code": "UNAVAILABLE"}
            else:
                stream.ended()
        assert places == expected


async def refused(code: grpc.StatusCode) -> Any:
    raise failure(code)


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED])
def test_a_part_that_a_person_may_not_see_is_left_out(code: grpc.StatusCode) -> None:
    person: Any = Person(None, "")  # type: ignore[arg-type]  # it is not asked for anything here
    assert asyncio.run(person.maybe(lambda request, **how: refused(code), None)) is None


def test_a_failure_is_not_taken_for_a_part_that_is_left_out() -> None:
    """A page without it would say that there is none."""
    person: Any = Person(None, "")  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError):
        asyncio.run(person.maybe(lambda request, **how: refused(grpc.StatusCode.UNAVAILABLE), None))
