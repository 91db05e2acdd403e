"""Commands that take the store a while to record: their pages say so, and go on until it is known what came of them."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from attrs import define, field

from gateway.api.v1 import command_pb2
from gateway.api.v1.event_pb2 import WatchEventsResponse
from gateway.console import action_pages
from gateway.console.settings import ConsoleSettings
from tests.cli.fakes import Failure, FakeGateway, at, serving
from tests.console.test_in_doubt import DOUBT, IN_DOUBT, NOTHING
from tests.console.visitor import SECONDS, Visitor, console

CODE = grpc.StatusCode

UNKNOWN = Failure(CODE.NOT_FOUND, "there is no such command", "UNKNOWN_COMMAND")

AGAIN = "send the form again as it is"


@define
class SlowStore:
    """A gateway whose store records a command when the test lets it."""

    fake: FakeGateway
    released: threading.Event = field(factory=threading.Event)
    outcome: Any = None
    happened: "queue.Queue[Any]" = field(factory=queue.Queue)

    def reset(self, request: Any, context: Any) -> Any:
        assert self.released.wait(SECONDS)
        return self.outcome

    def watch(self, request: Any, context: Any) -> Iterator[Any]:
        """The first response at once, and one for each thing that happens."""
        context.add_callback(lambda: self.happened.put(None))
        self.happened.put(WatchEventsResponse())
        while (each := self.happened.get(timeout=SECONDS)) is not None:
            yield each

    def end(self, outcome: Any) -> None:
        """Answer the request."""
        self.outcome = outcome
        self.released.set()

    def record(self, **fields: Any) -> None:
        """Have the command, and let its event come."""
        found = command_pb2.Command(charge_point="CP1", operation="Reset", create_time=at("2026-03-01T12:00:00"))
        found.MergeFrom(command_pb2.Command(**fields))
        self.fake.answers["GetCommand"] = command_pb2.GetCommandResponse(command=found)
        self.happened.put(WatchEventsResponse())


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowStore]:
    monkeypatch.setattr(action_pages, "AT_ONCE_SECONDS", 0.01)
    with serving(FakeGateway()) as fake:
        made = SlowStore(fake)
        fake.answers |= {"Reset": made.reset, "WatchEvents": made.watch, "GetCommand": UNKNOWN}
        try:
            yield made
        finally:
            made.end(command_pb2.ResetResponse())


@pytest.fixture
def visitor(slow: SlowStore) -> Iterator[Visitor]:
    with console(ConsoleSettings(slow.fake.target)) as made:
        found = made()
        found.open("/charge-points/CP1/actions/reset")
        yield found


def sent(visitor: Visitor) -> str:
    """Send the form; the address of the command's page."""
    answer = visitor.submit("/charge-points/CP1/actions/reset", type="soft")
    assert answer.status == 303, answer.words
    return answer.headers["location"]


def test_a_command_that_is_not_recorded_yet_has_a_page_that_goes_on(slow: SlowStore, visitor: Visitor) -> None:
    """It says that it is not known yet, and shows the command as soon as it is there, up to its outcome."""
    place = sent(visitor)
    page = visitor.get(place)
    assert page.status == 202
    assert "it is not known yet whether it is sent" in page.words
    assert AGAIN not in page.words
    assert f'data-live="{place}/live"' in page.text
    with visitor.stream(f"{place}/live") as stream:
        slow.record(state=command_pb2.COMMAND_STATE_QUEUED)
        stream.next("fragments", lambda each: "goes on" in each["state"])
        slow.record(state=command_pb2.COMMAND_STATE_ANSWERED, finish_time=at("2026-03-01T12:00:09"))
        stream.next("fragments", lambda each: "goes on" not in each["state"])
        stream.next("end")
    assert visitor.get(place).status == 200


def test_a_refusal_that_comes_late_is_said_on_the_page(slow: SlowStore, visitor: Visitor) -> None:
    """With its reason, and that nothing was done."""
    place = sent(visitor)
    with visitor.stream(f"{place}/live") as stream:
        assert stream.chunks.get(timeout=SECONDS).startswith("retry:")
        slow.end(Failure(CODE.FAILED_PRECONDITION, "CP1 is offline", "CHARGE_POINT_OFFLINE"))
        shown, _ = stream.next("fragments")
        assert NOTHING in shown["state"]
        assert "CP1 is offline" in shown["state"]
        assert AGAIN not in shown["state"]
        stream.next("end")


@pytest.mark.parametrize("failure", IN_DOUBT.values(), ids=IN_DOUBT)
def test_an_outcome_that_is_not_known_is_said_on_the_page(slow: SlowStore, visitor: Visitor, failure: Any) -> None:
    """The form can be sent again; a command that is recorded all the same is shown."""
    place = sent(visitor)
    with visitor.stream(f"{place}/live") as stream:
        assert stream.chunks.get(timeout=SECONDS).startswith("retry:")
        slow.end(failure)
        shown, _ = stream.next("fragments")
        assert DOUBT in shown["state"]
        assert AGAIN in shown["state"]
        assert NOTHING not in shown["state"]
        slow.record(state=command_pb2.COMMAND_STATE_QUEUED)
        stream.next("fragments", lambda each: "goes on" in each["state"])


def test_a_request_that_the_gateway_does_not_know_is_not_said_to_be_on_its_way(
    slow: SlowStore, visitor: Visitor
) -> None:
    """Nothing was sent from here; another console may have, so that its page waits, too."""
    place = "/charge-points/CP1/commands/none"
    page = visitor.get(place)
    assert page.status == 404
    assert "There is no such command at the gateway" in page.words
    assert AGAIN in page.words
    with visitor.stream(f"{place}/live") as stream:
        slow.record(state=command_pb2.COMMAND_STATE_QUEUED)
        stream.next("fragments", lambda each: "goes on" in each["state"])


def test_a_command_of_a_charge_point_that_there_is_not_is_no_such_thing(slow: SlowStore, visitor: Visitor) -> None:
    slow.fake.answers["GetCommand"] = Failure(CODE.NOT_FOUND, "there is none", "UNKNOWN_CHARGE_POINT")
    page = visitor.get("/charge-points/CP1/commands/none")
    assert page.status == 404
    assert "There is no such thing" in page.words
