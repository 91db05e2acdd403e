"""Actions whose outcome is not known: a page never says of them that nothing was done."""

import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from gateway.console.settings import ConsoleSettings
from tests.cli.fakes import Failure, FakeGateway, serving
from tests.console.visitor import Answer, Visitor, console

CODE = grpc.StatusCode

IN_DOUBT = {
    "the gateway says so": Failure(CODE.UNKNOWN, "the disk had not answered", "OUTCOME_UNKNOWN", {"request_id": "r"}),
    "the connection broke": Failure(CODE.UNAVAILABLE, "Socket closed"),
    "no answer in time": Failure(CODE.DEADLINE_EXCEEDED, "Deadline Exceeded"),
}

FORMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "an operation": ("/charge-points/CP1/actions/start", "StartCharging", {"id_tag": "TAG", "connector": "1"}),
    "a command": ("/charge-points/CP1/actions/reset", "Reset", {"type": "soft"}),
    "a change": ("/charge-points/CP1/actions/clear-plan", "ClearPlan", {"connector": "1"}),
    "a record": ("/sessions/tx_1/close", "CloseTransaction", {"reason": "x"}),
}
"""Pages of forms, the methods that they ask for, and their fields."""

DOUBT, NOTHING = "It is not known whether it was done", "nothing was done"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGateway]:
    with serving(FakeGateway()) as made:
        yield made


@pytest.fixture(scope="module")
def visitor(fake: FakeGateway) -> Iterator[Visitor]:
    with console(ConsoleSettings(fake.target)) as made:
        found = made()
        found.open("/charge-points/CP1/actions/reset")
        yield found


def request_id(page: Answer) -> str:
    found = re.search(r'name="request_id" value="([^"]+)"', page.text)
    return "" if found is None else found[1]


@pytest.mark.parametrize("failure", IN_DOUBT.values(), ids=IN_DOUBT)
@pytest.mark.parametrize(("place", "method", "form"), FORMS.values(), ids=FORMS)
def test_a_form_says_that_its_outcome_is_not_known(
    fake: FakeGateway, visitor: Visitor, place: str, method: str, form: dict[str, str], failure: Any
) -> None:
    """And is sent again as the same request, which does nothing twice."""
    fake.answers[method] = failure
    page = visitor.submit(place, **form)
    assert DOUBT in page.words
    assert NOTHING not in page.words
    asked = fake.asked(method)[-1]
    assert request_id(page) == getattr(asked, "request_id", "")


@pytest.mark.parametrize(("place", "method", "form"), FORMS.values(), ids=FORMS)
def test_a_refusal_says_that_nothing_was_done(
    fake: FakeGateway, visitor: Visitor, place: str, method: str, form: dict[str, str]
) -> None:
    fake.answers[method] = Failure(CODE.FAILED_PRECONDITION, "not now", "CHARGE_POINT_OFFLINE")
    page = visitor.submit(place, **form)
    assert NOTHING in page.words
    assert DOUBT not in page.words


@pytest.mark.parametrize("failure", IN_DOUBT.values(), ids=IN_DOUBT)
def test_a_stop_that_may_be_tied_is_not_said_to_be_refused(fake: FakeGateway, visitor: Visitor, failure: Any) -> None:
    """It has no form of its own to come back to."""
    fake.answers["AttributeOrphan"] = failure
    token = visitor.get("/charge-points/CP1/actions/reset").form_token
    form = {"form_token": token, "orphan": "o", "transaction_id": "t", "reason": "x"}
    page = visitor.post("/orphans", form)
    assert DOUBT in page.words
    assert "send the form again" in page.words


def test_a_request_id_that_is_used_up_is_replaced(fake: FakeGateway, visitor: Visitor) -> None:
    """Else the form could never be sent with other values: a browser keeps it on the way back."""
    fake.answers["StartCharging"] = Failure(CODE.INVALID_ARGUMENT, "it was used for another", "REQUEST_ID_REUSED")
    page = visitor.submit("/charge-points/CP1/actions/start", id_tag="TAG", connector="1")
    assert request_id(page) not in ("", fake.asked("StartCharging")[-1].request_id)
