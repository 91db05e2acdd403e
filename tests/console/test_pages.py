"""Every page against a live gateway with chargers that charge, and what each of them answers."""

import re
from typing import Any

import pytest

from gateway.api.v1 import transaction_pb2
from gateway.api.v1.charge_point_pb2 import (
    ChargePoint,
    CreateChargePointRequest,
    QuirkProfile,
    UpdateChargePointRequest,
)
from gateway.api.v1.command_pb2 import ClearCacheRequest
from gateway.api.v1.energy_pb2 import PriceSchedule
from gateway.api.v1.event_pb2 import Event, WatchEventsRequest, WatchStart
from gateway.cli.demo.environment import free_ports
from gateway.console import fleet_pages
from gateway.console.application import PAGES
from gateway.console.settings import ConsoleSettings
from tests.cli.fakes import FakeGateway, serving
from tests.console.conftest import NAMES, Stage
from tests.console.visitor import Visitor, console


@pytest.fixture(scope="module")
def charging(stage: Stage, visitors: object) -> str:
    """The session of HOME-2, which a page has started."""
    made: Visitor = visitors()  # type: ignore[operator]
    made.open("/")
    stage.plug_in("HOME-2")
    answer = made.submit("/charge-points/HOME-2/actions/start", id_tag="FAMILY", connector="1")
    assert answer.status == 303, (answer.status, answer.words)
    place = answer.headers["location"]
    with made.stream(f"{place}/live") as stream:
        shown, _ = stream.next("fragments", lambda each: "done" in each["stages"])
        assert "transaction started" in shown["stages"]
        stream.next("end")
    request = transaction_pb2.ListTransactionsRequest(charge_point="HOME-2", page_size=1)
    return stage.gateway.transactions.ListTransactions(request, timeout=60).transactions[0].transaction_id


def test_the_fleet_is_shown_in_numbers_and_as_a_list(visitor: Visitor) -> None:
    page = visitor.get("/")
    assert page.status == 200
    for part in (
        "Charge points",
        "Hearth Wallbox 22",
        "Nothing: no faults",
        "By the minute, since 20",
    ):
        assert part in page.words
    assert re.search(r"\d charge points\.", page.words)  # other tests make more
    assert all(f'href="/charge-points/{name}"' in page.text for name in ("HOME-1", "HOME-2", "HOME-3"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("HOME-2", ["HOME-2"]),
        ("HOM", ["HOME-1", "HOME-2", "HOME-3", "HOME-4", "HOME-5"]),
        ("site=north", ["HOME-1"]),
        ("FAMILY", ["HOME-2"]),
        ("Hearth", ["HOME-1", "HOME-2", "HOME-3", "HOME-4", "HOME-5"]),
        ('"\\ or', []),
        ("site =", []),
        ("=x", []),
    ],
)
def test_the_list_is_searched(visitor: Visitor, charging: str, query: str, found: list[str]) -> None:
    """By the beginning of an identity, a label, a tag that was used there, a make; any text is a text."""
    del charging
    page = visitor.get(f"/charge-points?q={query.replace(' ', '+').replace('=', '%3D')}", x_fragment="search")
    assert page.status == 200, page.words
    listed = [name for name in NAMES if f"/{name}" in page.text]
    # Other tests use the tag elsewhere.
    assert (listed == found) if query != "FAMILY" else ("HOME-2" in listed and "HOME-5" not in listed)


def test_the_list_is_narrowed_by_the_connection(visitor: Visitor) -> None:
    assert "HOME-1" in visitor.get("/charge-points?connection=connected", x_fragment="search").text
    assert "HOME-1" not in visitor.get("/charge-points?connection=offline", x_fragment="search").text


def test_the_numbers_of_the_fleet_come_again(visitor: Visitor) -> None:
    with visitor.stream("/live") as stream:
        shown, _ = stream.next("fragments")
        assert "Power now" in shown["numbers"]
        points, _ = stream.next("points")
        assert len(points[0]) == len(points[1])


def test_a_charge_point_is_told_in_a_sentence_with_its_cost(visitor: Visitor, charging: str) -> None:
    """All that support needs is on one page."""
    page = visitor.get("/charge-points/HOME-2")
    assert page.status == 200
    for part in (
        "Connector 1 is charging with",
        "for FAMILY",
        "GBP so far",
        "Last messages",
        "MeterValueSampleInterval",
    ):
        assert part in page.words, part
    assert "from the charger" in page.words
    assert f"/sessions/{charging}" in page.text
    assert '"currency": "GBP"' in page.text
    assert "start charging" in page.words


def test_support_sees_what_counts_for_a_charge_point(stage: Stage, visitor: Visitor) -> None:
    """Its quirk profile with where each value comes from, certificates, messages both ways, refusals and deviations."""
    quirks = QuirkProfile(max_stack_level=3)
    quirks.settle_delay.FromSeconds(7)
    change = UpdateChargePointRequest(charge_point=ChargePoint(identity="HOME-5", quirks=quirks))
    change.update_mask.paths.append("quirks")
    stage.gateway.charge_points.UpdateChargePoint(change, timeout=60)
    page = visitor.get("/charge-points/HOME-5")
    for part in (
        "from the charger",
        "to the charger",
        "Refused connections None since the gateway has run.",
        "Deviations from OCPP",
        "Its own none, as far as is known",
        "Pause after a boot 7 s this charge point alone",
        "Stack level of a charging profile, at most 3 this charge point alone",
        "Answers pings yes the settings for all",
    ):
        assert part in page.words, (part, page.words)


def test_a_refused_connection_is_on_the_page_of_its_charge_point(stage: Stage, visitor: Visitor) -> None:
    """With its reason and the address that it came from."""
    stage.knock("HOME-5", "wrong-password")
    words = visitor.get("/charge-points/HOME-5").words
    assert "wrong_password from 127.0.0.1, 1 times" in words


def test_a_free_charge_point_says_so(visitor: Visitor) -> None:
    assert "Connector 1 is free: no vehicle is plugged in" in visitor.get("/charge-points/HOME-5").words


def test_a_lost_stream_goes_on_from_where_it_was(visitor: Visitor, charging: str) -> None:
    """By the id of the last message; what came meanwhile is shown at once."""
    del charging
    with visitor.stream("/charge-points/HOME-2/live") as stream:
        stream.next("points", lambda each: len(each[0]) > 0)
        shown, place = stream.next("fragments")
        assert "Connector 1 is charging" in shown["now"]
    with visitor.stream("/charge-points/HOME-2/live", last_event_id=place) as stream:
        shown, _ = stream.next("fragments")
        assert {"now", "connectors", "history", "frames"} == shown.keys()


@pytest.mark.parametrize("place", ["nonsense", "QUJD", "\xff"])
def test_a_place_that_no_stream_had_begins_anew(visitor: Visitor, place: str) -> None:
    """A browser sends what it likes."""
    with visitor.stream("/charge-points/HOME-2/live", last_event_id=place) as stream:
        stream.next("points")


def test_sessions_are_listed_and_shown_by_the_half_hour(visitor: Visitor, charging: str) -> None:
    listed = visitor.get("/sessions?state=OPEN&charge_point=HOME-2&tag=FAMILY")
    assert f"/sessions/{charging}" in listed.text
    assert "No session fits" in visitor.get("/sessions?tag=ANOTHER&state=NONSENSE").words
    page = visitor.get(f"/sessions/{charging}")
    for part in ("Session of FAMILY at HOME-2", "By half-hour (Europe/London)", "GBP", "Bill"):
        assert part in page.words, part
    assert f"/sessions/{charging}/close" in page.text
    assert "Why to look twice" not in page.words


def test_operations_show_the_gateway_itself(visitor: Visitor, charging: str) -> None:
    del charging
    page = visitor.get("/operations")
    for part in (
        "Rollouts of keys, certificates and firmware",
        "sqlite",
        "are not asked who they are",
        "Takes commits yes",
        "free of",
        "answers here",
        "chargers certificate (ECDSA)",
        "start charging at HOME-2",
    ):
        assert part in page.words, (part, page.words)


def test_operations_are_live(stage: Stage, visitor: Visitor) -> None:
    """The gateway comes with its watchers, and again with each summary; a new operation at once."""
    request = WatchEventsRequest(charge_points=["HOME-5"], start_at=WatchStart.WATCH_START_NOW)
    watch: Any = stage.gateway.events.WatchEvents(request, timeout=60)
    next(watch)
    with visitor.stream("/operations/live") as stream:
        shown, _ = stream.next("fragments", lambda each: "condition" in each)
        assert "jobs" in shown
        assert re.search(r"<td>events</td>.*<td class=\"num\">\d", shown["condition"])
        visitor.follow(visitor.submit("/charge-points/HOME-1/actions/pause", connector="1"))
        stream.next("fragments", lambda each: "pause charging" in each.get("newest", ""))
    visitor.follow(visitor.submit("/charge-points/HOME-1/actions/resume", connector="1"))
    watch.cancel()


@pytest.mark.parametrize(
    "place",
    [
        "/charge-points/NOBODY",
        "/charge-points/NOBODY/actions/reset",
        "/charge-points/HOME-1/actions/nonsense",
        "/sessions/tx_none",
        "/sessions/tx_none/close",
        "/operations/op_none",
        "/jobs/fleet_none",
        "/charge-points/HOME-1/commands/none",
        "/nowhere",
    ],
)
def test_what_there_is_not_is_said(visitor: Visitor, place: str) -> None:
    page = visitor.get(place)
    assert page.status == 404
    assert "There is no such" in page.words


def test_nothing_has_a_price_without_a_price_schedule(stage: Stage, charging: str) -> None:
    """Costs are those of the console's settings, or none."""
    with console(ConsoleSettings(stage.target)) as made:
        visitor = made()
        for place in ("/charge-points/HOME-2", f"/sessions/{charging}"):
            page = visitor.get(place)
            assert page.status == 200
            for part in ("GBP", "Bill", "so far,"):
                assert part not in page.words, part
            assert '"price": [[], []]' in page.text


def test_a_list_that_goes_on_says_where(stage: Stage, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows have their place in the whole list, also for those who hear it; what was skipped is a number or nothing."""
    monkeypatch.setattr(fleet_pages, "PAGE_SIZE", 2)
    first = visitor.get("/charge-points?q=HOME", x_fragment="search")
    assert "5 charge points." in first.words
    assert 'aria-rowcount="6"' in first.text
    assert 'aria-rowindex="2"' in first.text
    more = re.search(r'data-more href="([^"]+)"', first.text)
    assert more is not None
    place = more[1].replace("&amp;", "&")
    second = visitor.get(f"/charge-points{place[1:]}", x_fragment="search")
    assert "From number 3 on." in second.words
    assert 'aria-rowcount="-1"' in second.text
    assert re.findall(r'aria-rowindex="(\d+)"><th scope', second.text) == ["4", "5", "6"]
    odd = visitor.get(f"/charge-points{place[1:].replace('skipped=2', 'skipped=many')}", x_fragment="search")
    assert "From number 1 on." in odd.words


def test_a_console_without_a_gateway_says_that(visitor: Visitor) -> None:
    """And shows no trace of a fault of its own."""
    del visitor
    with console(ConsoleSettings(f"127.0.0.1:{free_ports(1)[0]}")) as made:
        page = made().get("/")
        assert page.status == 503
        assert "be reached" in page.words


PAST = PriceSchedule(currency="GBP")
PAST.periods.add(start_time={"seconds": 1}, end_time={"seconds": 2}, price_per_kwh="0.1")


@pytest.mark.parametrize(
    ("prices", "why"),
    [
        (PAST, "periods[0].end_time: ends at"),
        (PriceSchedule(currency="GBP", time_zone="Nowhere/Nothing"), "time_zone: "),
        (PriceSchedule(), "currency"),
    ],
    ids=["of another time", "of no zone", "empty"],
)
def test_prices_that_say_nothing_of_a_session_take_away_its_cost_alone(
    stage: Stage, charging: str, prices: PriceSchedule, why: str
) -> None:
    """The gateway's word on it is shown, and all else that support needs."""
    with console(ConsoleSettings(stage.target, prices=prices)) as made:
        visitor = made()
        for place, part in (("/charge-points/HOME-2", "Last messages"), (f"/sessions/{charging}", "By half-hour")):
            page = visitor.get(place)
            assert page.status == 200, page.words
            assert part in page.words
            assert f"No cost: price_schedule.{why}" in page.words, page.words
            assert "GBP so far" not in page.words
            assert "Bill" not in page.words


def test_stops_that_a_page_has_no_room_for_are_spoken_of() -> None:
    """Those that are shown are not taken for all."""
    orphan = Event(event_id="e1", charge_point="CP1", type="transaction.orphaned")
    orphan.transaction_orphaned.why = "no-such-transaction"
    with serving(FakeGateway()) as fake, console(ConsoleSettings(fake.target)) as made:
        for token in ("", "more"):
            found = transaction_pb2.ListOrphansResponse(orphans=[orphan], next_page_token=token)
            fake.answers["ListOrphans"] = found
            assert ("and more:" in made().get("/sessions").words) is bool(token)


@pytest.mark.parametrize("request_id", ["billing/2026/17", "a%2Fb", "ends in/live", "a b?c#d", "100%"])
def test_a_command_is_found_by_any_request_id(stage: Stage, visitor: Visitor, request_id: str) -> None:
    """It is its caller's to choose; the link on the page of its charge point leads to it."""
    stage.wait_connected("HOME-3")
    request = ClearCacheRequest(charge_point="HOME-3", request_id=request_id)
    stage.gateway.commands.ClearCache(request, timeout=60)
    listed = visitor.get("/charge-points/HOME-3").text
    link = re.search(r'href="(/charge-points/HOME-3/commands/[^"]+)">ClearCache<', listed)
    assert link is not None
    page = visitor.get(link[1])
    assert page.status == 200, page.words
    assert "The charger answered: Accepted" in page.words
    with visitor.stream(f"{link[1]}/live") as stream:
        assert "Accepted" in stream.next("fragments")[0]["state"]


def test_a_charge_point_of_any_identity_has_its_page(stage: Stage, visitor: Visitor) -> None:
    """Its characters are text, in addresses and on pages."""
    odd = "\u00dc&<b>'\"#?%41 x"
    new = CreateChargePointRequest(charge_point=ChargePoint(identity=odd))
    stage.gateway.charge_points.CreateChargePoint(new, timeout=60)
    listed = visitor.get("/charge-points?connection=offline", x_fragment="search").text
    link = re.search(r'href="(/charge-points/%C3%9C[^"]+)"', listed)
    assert link is not None
    for place in (link[1], f"{link[1]}/actions/start"):
        page = visitor.get(place)
        assert page.status == 200, page.words
        assert "&lt;b&gt;" in page.text
        assert "<b>'" not in page.text
    assert visitor.submit(f"{link[1]}/actions/limit", value="9", unit="A", connector="1").status == 303


PARTS = ("/charge-points?q=HOME", "/operations/certificates")
"""Addresses that pages' scripts ask for a part of a page."""


@pytest.mark.parametrize("place", PARTS)
def test_a_part_of_a_page_is_a_whole_page_without_scripts(visitor: Visitor, place: str) -> None:
    """With the same in it; a script gets the part alone."""
    page, part = visitor.get(place), visitor.get(place, x_fragment="filling")
    assert (page.status, part.status) == (200, 200)
    assert "<html" not in part.text
    assert part.words
    assert part.words in page.words


def test_every_page_is_a_whole_one(stage: Stage, visitor: Visitor) -> None:
    """Of all addresses that a person can open; also where there is no such thing, which is said on a page."""
    stage.wait_connected("HOME-1")
    given = {"identity": "HOME-1", "action": "reset"}
    for method, path, _ in PAGES:
        if method == "GET" and not path.endswith("/live"):
            page = visitor.get(re.sub(r"{(\w+)}", lambda name: given.get(name[1], "none"), path))
            assert page.text.startswith("<!doctype html>"), path
            assert page.text.rstrip().endswith("</html>"), path
            assert "Pages" in re.findall(r'aria-label="(\w+)"', page.text), path
