"""The fleet as its users see it, against a real gateway in a process of its own: what it counts is what there was."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from attrs import frozen

from bench import scenarios
from bench.fleet import Fleet, fleet
from bench.fleet_jobs import Job, Load
from bench.processes import Credentials, Gateway, Usage, free_ports, gateway
from gateway.api.v1 import event_pb2, event_pb2_grpc

SESSIONS = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="module")
def credentials(server: Gateway) -> list[Credentials]:
    return server.provision(SESSIONS)


@pytest.fixture
def chargers(server: Gateway, credentials: list[Credentials]) -> Iterator[Fleet]:
    with fleet(server, credentials, processes=2) as running:
        yield running


def answered(server: Gateway, action: str) -> float:
    return server.metrics().get(f'gateway_answer_seconds_count{{action="{action}"}}', 0.0)


def senders(server: Gateway, identities: list[str]) -> list[str]:
    """Identities of the chargers that sent the MeterValues of these, in the order of events."""
    request = event_pb2.WatchEventsRequest(
        start_at=event_pb2.WATCH_START_BEGINNING, types=["meter_values.reported"], charge_points=identities
    )
    found: list[str] = []
    with grpc.insecure_channel(server.control_address) as channel:
        for batch in event_pb2_grpc.EventServiceStub(channel).WatchEvents(request, timeout=60):
            found += [each.charge_point for each in batch.events]
            if batch.caught_up:
                break
    return found


def test_chargers_boot_and_begin_transactions_and_leave(server: Gateway, chargers: Fleet) -> None:
    """All of them, each with its latency; afterwards none is connected, and nothing was lost."""
    connected = chargers.connect(transaction=True)
    assert (connected.connected, connected.failures) == (SESSIONS, {})
    assert connected.latency.get_total_count() == SESSIONS
    assert connected.driver_cpu_seconds > 0
    assert server.metrics()['gateway_sessions{state="accepted"}'] == SESSIONS
    chargers.disconnect()
    checked = chargers.check()
    assert (checked.alive, checked.errors) == (0, {})


def test_each_metric_that_a_measurement_reads_is_there(server: Gateway, chargers: Fleet) -> None:
    """By the names in their code; those with labels are added up."""
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(scenarios.__file__).parent.glob("*.py"))
    names = set(re.findall(r'"(gateway_\w+[a-z])"', sources))
    assert {"gateway_sessions", "gateway_store_healthy"} <= names
    chargers.connect()
    found = {name: server.total(name) for name in names}
    assert found["gateway_sessions"] == SESSIONS
    with pytest.raises(KeyError, match="the gateway has no metric gateway_session'"):
        server.total("gateway_session")


def test_a_closed_loop_counts_what_the_gateway_has_taken(server: Gateway, chargers: Fleet) -> None:
    """Every confirmation is one message of the gateway's, but for those of the warm-up."""
    chargers.connect(transaction=True)
    before = answered(server, "MeterValues")
    load = chargers.closed_loop(0.4, warm_up=0.1)
    taken = answered(server, "MeterValues") - before
    assert load.errors == {}
    assert load.latency.get_total_count() == load.messages
    assert SESSIONS < load.messages <= taken
    assert load.messages - SESSIONS <= load.in_time <= load.messages
    assert load.server_cpu_seconds > 0


def test_a_closed_loop_of_a_few_at_once_gives_each_charger_its_turn(server: Gateway) -> None:
    """As many are under way as asked, and still all of them send: none again before the others have had their turn."""
    credentials = server.provision(SESSIONS, prefix="TURN")
    with fleet(server, credentials, processes=1) as chargers:
        chargers.connect(transaction=True)
        before = answered(server, "MeterValues")
        load = chargers.closed_loop(0.4, warm_up=0.0, at_once=1)
        taken = answered(server, "MeterValues") - before
    assert load.errors == {}
    assert SESSIONS < load.messages <= taken
    sent = senders(server, [each.identity for each in credentials])
    assert len(sent) == taken
    turns = [set(sent[begin : begin + SESSIONS]) for begin in range(0, len(sent) - SESSIONS + 1, SESSIONS)]
    assert {len(turn) for turn in turns} == {SESSIONS}


def test_an_open_loop_sends_what_is_due_and_no_more(chargers: Fleet) -> None:
    """The rate is the schedule's."""
    chargers.connect()
    chargers.start_open_loop(meter_values_every=0.1, heartbeat_every=0.3)
    time.sleep(0.9)
    load = chargers.stop_open_loop()
    assert load.errors == {}
    assert load.messages == pytest.approx(load.seconds * SESSIONS * (1 / 0.1 + 1 / 0.3), abs=2 * SESSIONS + 2)


def test_each_charger_takes_over_from_itself(chargers: Fleet) -> None:
    """The gateway ends every older connection, by 1008, and the newer ones stay."""
    chargers.connect()
    taken = chargers.take_over()
    assert (taken.connected, taken.failures) == (SESSIONS, {})
    assert taken.ends == {"closed 1008": SESSIONS}
    assert taken.overlap.get_total_count() == SESSIONS
    assert chargers.check().alive == SESSIONS


def test_a_share_of_them_vanishes_and_the_others_stay(server: Gateway, chargers: Fleet) -> None:
    """By a reset, without a word; what is our own doing is not counted as lost."""
    chargers.connect()
    chargers.disconnect(abrupt=True, share=0.5)  # of each process: one of two, and none of one
    checked = chargers.check()
    assert (checked.alive, checked.errors) == (SESSIONS - 1, {})
    beating = chargers.send("Heartbeat")
    assert (beating.connected, beating.failures) == (SESSIONS - 1, {})


def test_a_wrong_key_is_a_failure_with_its_reason(server: Gateway, credentials: list[Credentials]) -> None:
    """The others connect all the same."""
    wrong = [Credentials(credentials[0].identity, b"wrong"), *credentials[1:]]
    with fleet(server, wrong) as chargers:
        connected = chargers.connect()
    assert connected.connected == SESSIONS - 1
    assert connected.failures == {"upgrade: HTTP 401": 1}
    assert connected.latency.get_total_count() == SESSIONS - 1


def test_sessions_that_the_server_ends_are_counted_as_lost(server: Gateway, chargers: Fleet) -> None:
    """By how they ended; and the same chargers come back to the next one."""
    chargers.connect()
    server.stop()
    checked = chargers.check()
    assert (checked.alive, checked.errors) == (0, {"lost: closed 1001": SESSIONS})
    server.start()
    assert chargers.connect(rate=100).connected == SESSIONS


@frozen
class Nobody:
    """A server that isn't there."""

    port: int
    ca_file: Path
    pid: int = 0
    host: str = "127.0.0.1"
    path: str = "/ocpp"

    def usage(self) -> Usage:
        return Usage(0.0, 0, 0)


def test_no_listener_is_a_failure_of_each(server: Gateway, credentials: list[Credentials]) -> None:
    """Reported at once, by the system's name for it."""
    (port,) = free_ports(1)
    with fleet(Nobody(port, server.ca_file), credentials) as chargers:
        connected = chargers.connect()
    assert (connected.connected, connected.failures) == (0, {"connect: ECONNREFUSED": SESSIONS})


def test_no_answer_is_a_failure_once_the_time_is_over(server: Gateway, credentials: list[Credentials]) -> None:
    """And says how far it came."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        fleet(Nobody(silent.getsockname()[1], server.ca_file), credentials) as chargers,
    ):
        connected = chargers.connect(seconds_each=0.2)
    assert connected.failures == {"no answer in 0.2 s: TLS": SESSIONS}


def test_more_sessions_than_a_process_may_have_are_refused(server: Gateway) -> None:
    """Instead of running out of descriptors half-way."""
    with pytest.raises(ValueError, match="19000 sessions at most"):
        fleet(server, [Credentials("CP", b"")] * 19_001)


def test_order_is_the_most_that_one_charger_was_overtaken_by() -> None:
    """Places between the order of beginning and that of ending."""
    job = Job([7, 8, 9, 6], None, lambda index, due: None, 1.0)
    job.start_due(time.monotonic())
    for index in (8, 9, 7, 6):
        job.succeeded(index)
    assert job.over
    assert job.overtaken() == 2


def test_a_job_without_a_rate_has_so_many_under_way_as_it_says() -> None:
    """The next one begins once one of them is done."""
    began: list[int] = []
    job = Job([7, 8, 9, 6], None, lambda index, due: began.append(index), 1.0, at_once=2)
    job.start_due(time.monotonic())
    assert began == [7, 8]
    before = job.last_begun
    job.succeeded(7)
    job.start_due(time.monotonic())
    assert began == [7, 8, 9]
    assert before <= job.last_begun <= time.monotonic()


def test_waits_that_overlap_are_one_pause() -> None:
    """And those of a few milliseconds are none."""
    load = Load(None, {})
    for due, now in ((1.0, 1.1), (1.05, 1.3), (1.2, 1.25), (2.0, 2.001), (3.0, 3.05)):
        load.answered(load.since + due, load.since + now)
    assert load.pauses() == [pytest.approx((1.0, 0.3)), pytest.approx((3.0, 0.05))]
    assert len(load.latencies) == 5
