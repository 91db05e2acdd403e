"""`gateway watch`: lines, JSON, resume tokens, interruptions; and what the live view knows."""

import json
import os
import signal
import string
import threading

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gateway.api.v1 import charge_point_pb2, common_pb2
from gateway.api.v1 import event_pb2 as api
from gateway.api.v1.transaction_pb2 import Transaction
from gateway.cli.dashboard import MAX_KNOWN, Dashboard
from gateway.cli.event_text import event_line, meter_values
from gateway.cli.output import printable
from gateway.cli.resume import LEAST_PAUSE, MOST_FAILURES, Streams, follow
from gateway.cli.watch import decode_token, encode_token
from tests.cli.fakes import Failure, at

ONE = common_pb2.ConnectorAddress(evse=1, connector=1)
GONE = Failure(grpc.StatusCode.UNAVAILABLE, "the gateway is stopping; nothing was done", "DRAINING")
TOO_OLD = Failure(grpc.StatusCode.OUT_OF_RANGE, "below retention", "BELOW_RETENTION")


def event(type_: str, identity: str = "HOME-1", **body: object) -> api.Event:
    """An event of a type, with its body."""
    return api.Event(event_id="e", charge_point=identity, type=type_, receive_time=at("2024-05-01T10:00:00Z"), **body)


STATUS = event(
    "connector.status_changed",
    connector_status_changed=api.ConnectorStatusChanged(
        connector=ONE, status="Charging", error_code="NoError", previous_status="Preparing"
    ),
)
STARTED = event(
    "transaction.started",
    transaction_started=api.TransactionStarted(
        transaction_id="tx_1",
        connector=ONE,
        id_tag="TAG",
        id_tag_status="Accepted",
        meter_start=common_pb2.Energy(milliwatt_hours=1_000_000),
    ),
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Interruptions are followed up at once."""
    monkeypatch.setattr(follow, "__kwdefaults__", {**follow.__kwdefaults__, "pause": lambda seconds: None})


def test_events_are_lines_where_there_is_no_terminal(fake, run):
    """One event a line; a token to go on with at the end."""
    fake.answers["WatchEvents"] = [
        [api.WatchEventsResponse(events=[STATUS, STARTED], resume_token=b"\x01\xff"), TOO_OLD]
    ]
    result = run("watch", "HOME-1", "--type", "transaction.started")
    assert result.exit_code == 1
    first, second = result.stdout.splitlines()
    assert first == "2024-05-01 10:00:00  HOME-1       connector.status_changed connector 1 Charging (was Preparing)"
    assert "transaction id tx_1, connector 1, id tag TAG, id tag status Accepted, meter start 1.000 kWh" in second
    assert f"--after {encode_token(bytes([1, 255]))}" in result.stderr
    (request,) = fake.asked("WatchEvents")
    assert (list(request.charge_points), list(request.types)) == (["HOME-1"], ["transaction.started"])
    assert request.start_at == api.WatchStart.WATCH_START_NOW


def test_json_is_an_object_a_line_with_the_token_after_each_batch(fake, run):
    """A program that reads it knows where to go on at any time."""
    fake.answers["WatchEvents"] = [[api.WatchEventsResponse(events=[STARTED], resume_token=b"t"), TOO_OLD]]
    result = run("watch", "--json", "--from-beginning")
    shown, token = map(json.loads, result.stdout.splitlines())
    assert shown["transaction_started"]["id_tag"] == "TAG"
    assert decode_token(token["resume_token"]) == b"t"
    assert fake.asked("WatchEvents")[0].start_at == api.WatchStart.WATCH_START_BEGINNING


def test_a_watch_goes_on_after_a_token(fake, run):
    """The gateway gets the token that --after was given."""
    fake.answers["WatchEvents"] = [[TOO_OLD]]
    result = run("watch", "--after", encode_token(b"\x00\xfe\xff"))
    assert fake.asked("WatchEvents")[0].resume_token == b"\x00\xfe\xff"
    assert result.exit_code == 1
    assert "BELOW_RETENTION" in result.stderr


def test_a_watch_outlives_the_gateway(fake, run):
    """It goes on after the last batch that was printed when the gateway is back: nothing twice, nothing missed."""
    fake.answers["WatchEvents"] = [
        [api.WatchEventsResponse(events=[STATUS], resume_token=b"a"), GONE],
        [GONE],
        [api.WatchEventsResponse(events=[STARTED], resume_token=b"b")],
        [TOO_OLD],
    ]
    result = run("watch")
    assert [line.split()[3] for line in result.stdout.splitlines()] == [
        "connector.status_changed",
        "transaction.started",
    ]
    assert [each.resume_token for each in fake.asked("WatchEvents")] == [b"", b"a", b"a", b"b"]
    assert result.stderr.splitlines()[:2] == ["the gateway is stopping; trying again", "resumed"]


def test_a_reservation_is_reported_with_its_expiry():
    """In local time, as all times."""
    made = api.ReservationMade(reservation_id=7, connector=ONE, id_tag="TAG", expire_time=at("2024-05-01T11:00:00Z"))
    line = event_line(event("reservation.made", reservation_made=made))
    assert line.endswith("reservation id 7, connector 1, id tag TAG, expire time 2024-05-01 11:00:00")


def test_a_charger_that_there_never_was_is_reported(fake, run):
    """A mistyped name is not waited for."""
    wrong = {"charge_points[0]": "there is no charge point NOPE"}
    fake.answers["WatchEvents"] = [[Failure(grpc.StatusCode.INVALID_ARGUMENT, "", "INVALID_REQUEST", violations=wrong)]]
    result = run("watch", "NOPE")
    assert "there is no charge point NOPE" in result.stderr
    assert result.exit_code == 2
    assert len(fake.asked("WatchEvents")) == 1


def test_a_watch_that_is_terminated_says_how_to_go_on(fake, run):
    """As one that is interrupted; the exit code is the signal's."""
    over = threading.Event()

    def one_and_then_silence(request, context):
        context.add_callback(over.set)
        yield api.WatchEventsResponse(resume_token=b"a")
        over.wait(0.3)  # the watch waits for more by now
        os.kill(os.getpid(), signal.SIGTERM)
        over.wait(10)

    fake.answers["WatchEvents"] = one_and_then_silence
    result = run("watch")
    assert result.exit_code == 143
    assert f"to go on: --after {encode_token(b'a')}" in result.stderr


def test_a_gateway_that_never_answered_is_not_waited_for(fake, run):
    """A wrong address is reported at once."""
    fake.answers["WatchEvents"] = [[GONE]]
    assert run("watch").exit_code == 7
    assert len(fake.asked("WatchEvents")) == 1


def test_pauses_between_attempts_grow_and_end_with_an_answer():
    """A gateway that is down for long is not asked every half second."""
    pauses: list[float] = []
    failures = iter(range(8))

    def call(request):
        if next(failures, None) is None:
            raise StopAsyncIteration
        return iter(())

    with pytest.raises(StopAsyncIteration):
        for _ in follow(call, api.WatchEventsRequest(), pause=pauses.append):
            pass
    assert pauses[0] == LEAST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == 10.0


class Ended(grpc.RpcError):
    """A watch that ended with a status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


@pytest.mark.parametrize("progress", [True, False])
def test_a_watch_that_the_gateway_fails_on_is_resumed_a_few_times(progress):
    """With the last token each time. One that gets on is resumed for ever; one that fails at its place is given up."""
    tokens: list[bytes] = []

    def call(request):
        tokens.append(request.resume_token)
        if len(tokens) > 20:
            raise StopAsyncIteration
        yield api.WatchEventsResponse(resume_token=request.resume_token or b"0")
        if progress or len(tokens) == 1:
            yield api.WatchEventsResponse(resume_token=b"%d" % len(tokens))
        raise Ended(grpc.StatusCode.INTERNAL)

    with pytest.raises(StopAsyncIteration if progress else Ended):
        for _ in follow(call, api.WatchEventsRequest(), pause=lambda _: None):
            pass
    if progress:
        assert tokens == [b"", *(b"%d" % number for number in range(1, 21))]
    else:
        assert tokens == [b""] + [b"1"] * MOST_FAILURES


@pytest.mark.parametrize("arguments", [["--after", "!!"], ["--after", "AA", "--from-beginning"]])
def test_a_token_that_is_none_is_wrong_usage(fake, run, arguments):
    """Nothing is asked."""
    assert run("watch", *arguments).exit_code == 2
    assert not fake.requests


@given(st.binary(max_size=100))
def test_a_token_survives_the_command_line(token):
    """Any bytes, as an argument without quotes."""
    text = encode_token(token)
    assert decode_token(text) == token
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")


# --- words ----------------------------------------------------------------------------------------------------


def test_every_type_of_event_has_a_line():
    """Also those that are added later: a body's fields are printed with their names."""
    for descriptor in api.Event.DESCRIPTOR.oneofs_by_name["body"].fields:
        made = event(descriptor.name.replace("_", "."))
        getattr(made, descriptor.name).SetInParent()
        assert event_line(made).startswith("2024-05-01 10:00:00  HOME-1")


def test_meter_values_are_shown_as_sent():
    """Measurand, phase, value and unit."""
    report = [
        {
            "timestamp": "t",
            "sampledValue": [
                {"value": "1000"},
                {"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW", "phase": "L1"},
                {"value": "ab", "format": "SignedData"},
            ],
        }
    ]
    assert meter_values(json.dumps(report)) == "Energy.Active.Import.Register 1000, Power.Active.Import L1 7.4 kW"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["sampledValue", "value", "unit", "phase", "measurand"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON.map(json.dumps) | st.text(max_size=40))
def test_any_report_has_a_short_line(text):
    """Chargers send anything; a line stays a line."""
    line = printable(meter_values(text))
    assert len(line) < 6 * 8 * 81
    assert line.isprintable()


# --- the live view --------------------------------------------------------------------------------------------


def drawn(dashboard: Dashboard) -> str:
    console = Console(width=200, file=None, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(dashboard.render())
    return capture.get()


def power(watts: float, **fields: object) -> common_pb2.MeterSample:
    return common_pb2.MeterSample(
        charge_point="HOME-1", connector=ONE, measurand="Power.Active.Import", power_watts=watts, **fields
    )


def test_the_live_view_follows_a_transaction():
    """Status, power, and the energy since its start; at its end what was recorded."""
    dashboard = Dashboard()
    dashboard.know(
        charge_point_pb2.ChargePoint(
            identity="HOME-1",
            connection=charge_point_pb2.Connection(connected=True),
            connectors=[charge_point_pb2.Connector(connector=ONE, status="Preparing")],
        )
    )
    assert "Preparing" in drawn(dashboard)
    for each in (STARTED, STATUS):
        dashboard.see(each)
    dashboard.measure(power(7360))
    dashboard.measure(power(2400, phase="L1"))
    dashboard.measure(
        common_pb2.MeterSample(
            charge_point="HOME-1",
            connector=ONE,
            transaction_id="tx_1",
            measurand="Energy.Active.Import.Register",
            energy=common_pb2.Energy(milliwatt_hours=3_500_000),
        )
    )
    row = next(line for line in drawn(dashboard).splitlines() if line.startswith("HOME-1"))
    assert row.split()[:9] == ["HOME-1", "●", "1", "Charging", "7.36", "kW", "2.500", "kWh", "TAG"]
    dashboard.see(
        event(
            "transaction.stopped",
            transaction_stopped=api.TransactionStopped(
                transaction_id="tx_1", connector=ONE, energy=common_pb2.Energy(milliwatt_hours=4_000_000)
            ),
        )
    )
    dashboard.see(event("charge_point.disconnected", charge_point_disconnected=api.ChargePointDisconnected()))
    row = next(line for line in drawn(dashboard).splitlines() if line.startswith("HOME-1"))
    assert row.split()[:8] == ["HOME-1", "○", "1", "Charging", "0.00", "kW", "4.000", "kWh"]


def test_a_deleted_charger_leaves_the_live_view():
    """It is gone from the table, not from the events below."""
    dashboard = Dashboard()
    dashboard.see(STATUS)
    dashboard.see(event("charge_point.deleted", charge_point_deleted=api.ChargePointDeleted()))
    assert dashboard.outlets == {}


def test_the_live_view_is_bounded():
    """However many chargers there are, its memory and its screen have an end."""
    dashboard = Dashboard()
    for number in range(MAX_KNOWN + 10):
        dashboard.outlet(f"C{number}", "1")
    assert len(dashboard.outlets) == MAX_KNOWN
    assert "more connectors" in drawn(dashboard)
    assert len(drawn(dashboard).splitlines()) < 60


def test_a_chargers_words_cannot_move_the_cursor_of_the_live_view():
    """As everywhere."""
    dashboard = Dashboard()
    dashboard.see(
        event(
            "connector.status_changed",
            "E\x1b[2J",
            connector_status_changed=api.ConnectorStatusChanged(connector=ONE, status="\x1b[31m", info="\r\n"),
        )
    )
    assert "\x1b" not in drawn(dashboard)


def test_running_transactions_are_known_from_the_first_frame():
    """Those that started before the watch count their energy from their own start."""
    dashboard = Dashboard()
    dashboard.know_transaction(
        Transaction(
            transaction_id="tx_1",
            charge_point="HOME-1",
            connector=ONE,
            id_tag="TAG",
            meter_start=common_pb2.Energy(milliwatt_hours=1_000_000),
        )
    )
    dashboard.measure(
        common_pb2.MeterSample(
            charge_point="HOME-1",
            connector=ONE,
            transaction_id="tx_1",
            measurand="Energy.Active.Import.Register",
            energy=common_pb2.Energy(milliwatt_hours=3_000_000),
        )
    )
    assert "2.000 kWh  TAG" in drawn(dashboard)


def test_streams_hand_over_what_they_tell_and_what_they_raise():
    """Several streams are read as one, and an error in one reaches the reader."""
    streams = Streams()

    def stream():
        yield 1
        raise RuntimeError("broken")

    streams.add(stream())
    assert streams.get(5) == 1
    with pytest.raises(RuntimeError, match="broken"):
        streams.get(5)
    assert streams.get(0) is None
    streams.close()


def test_the_live_view_draws_what_is_reported(fake, run, monkeypatch):
    """From the lists and both streams, until it is cancelled."""
    fake.answers["ListChargePoints"] = charge_point_pb2.ListChargePointsResponse(
        charge_points=[charge_point_pb2.ChargePoint(identity="HOME-1")]
    )
    fake.answers["WatchEvents"] = [[api.WatchEventsResponse(events=[STATUS], resume_token=b"a")], [TOO_OLD]]
    fake.answers["WatchMeterValues"] = [
        [api.WatchMeterValuesResponse(samples=[power(7360)], resume_token=b"a"), GONE],
        [TOO_OLD],
    ]
    result = run("watch", "--live")
    assert result.exit_code == 1
    assert "BELOW_RETENTION" in result.stderr
    assert list(fake.asked("WatchMeterValues")[0].measurands) == [
        "Power.Active.Import",
        "Energy.Active.Import.Register",
    ]


def test_a_watch_is_held_to_labels(fake, run):
    """Of chargers that have all of them."""
    fake.answers["WatchEvents"] = [Failure(grpc.StatusCode.INVALID_ARGUMENT, "enough", "INVALID_REQUEST")]
    assert run("watch", "--label", "site=north", "--label", "floor=1").exit_code == 2
    assert dict(fake.asked("WatchEvents")[0].labels) == {"site": "north", "floor": "1"}


def test_a_live_view_holds_to_its_labels(fake, run):
    """All that it asks for: events, meter values, and what there is at the beginning."""
    asked, over = threading.Event(), threading.Event()

    def meters(request, context):
        context.add_callback(over.set)
        asked.set()
        over.wait(60)
        yield from ()

    def events(request, context):
        asked.wait(60)
        yield TOO_OLD

    fake.answers.update({"WatchEvents": events, "WatchMeterValues": meters})
    assert run("watch", "--live", "--label", "site=north").exit_code == 1
    for method in ("WatchEvents", "WatchMeterValues", "ListChargePoints", "ListTransactions"):
        assert [dict(each.labels) for each in fake.asked(method)] == [{"site": "north"}], method
