"""Charge points with plans are put in order: when their plans are new (``first``), and after a restart (``restart``).

first: each has a plan of a day by the half-hour before it connects for the first time; it boots, is asked for its
abilities and configured, and is sent the plan's profile.

restart: the gateway is stopped with all of them connected, and started again; they reconnect at a stated rate without a
boot. Each is asked for its composite schedule, says that it has none to show, and is sent its profile again, which is
the dearer of the two ways. The gateway paces that (``session.steering_pace``). Time counts from when the gateway
accepts until the last one has been sent its profile; what is asked is a minute for 10,000.

Set-up is not counted, and stated in the notes: charge points are made known, and their plans set, before the first
one connects; the gateway is stopped and started between the two cases. On two cores of its own all of it takes
two minutes for 10,000; where the machine is shared it takes as many times longer, and gives up after ten. Connects at
400 a second are more than a core carries with the plans beside them: some are turned away, as in any overload, and the
drivers, unlike chargers, don't come again.

A result is invalid if a charge point was sent no profile or more than one, or is not recorded as having it.
"""

import argparse
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from attrs import evolve
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from bench import processes
from bench.fleet import SETTLE_SECONDS, Fleet, fleet
from bench.results import Figure, Result
from bench.scenarios.hold import amiss, connect
from gateway.api.v1 import common_pb2, steering_pb2
from gateway.api.v1.steering_pb2_grpc import SteeringServiceStub

NAME = "reconcile"
HELP = "10,000 charge points with plans are put in order after a restart; four minutes"

SHORT: Mapping[str, Any] = {"sessions": 1000}

SEND = "SetChargingProfile"

PENDING = 64
"""Plans that are being set at once: their commits share a sync."""

STEPS = 48
"""Of a plan: a day by the half-hour."""

AMPERES = (0.0, 6.0, 16.0)
"""In turns."""

PATIENCE_SECONDS = 60.0
"""For all to be put in order, from the last one's connect on: as long as is asked of all together."""

LIMIT_SECONDS = 600.0
"""For set-up and both cases: past it the second one is left out."""

RECORDED_SECONDS = 15.0
"""For the last acceptance to be recorded, once it was answered."""

LOOK_SECONDS = 0.2
"""Between two looks at how far it has got."""

PAGE = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sessions", type=int, default=10_000, help="charge points, each with a plan (%(default)s)")
    parser.add_argument("--rate", type=float, default=250.0, help="connects a second (%(default)s)")


def run(options: argparse.Namespace, console: Console) -> list[Result]:
    """Both cases, by one gateway."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-reconcile-") as folder,
        processes.gateway(Path(folder)) as gateway,
    ):
        began = time.monotonic()
        credentials = gateway.provision(options.sessions)
        made = time.monotonic()
        plan(gateway.control_address, [each.identity for each in credentials])
        planned = time.monotonic()
        setup = f"{options.sessions} charge points made known in {made - began:.0f} s, plans in {planned - made:.0f} s"
        console.print(f"set-up: {setup}")
        with fleet(gateway, credentials) as chargers:
            first = _measured("first", gateway, chargers, options, console, setup)
            if time.monotonic() > began + LIMIT_SECONDS / 2:
                return [evolve(first, invalid_because=[*first.invalid_because, "the machine is too slow for both"])]
            time.sleep(SETTLE_SECONDS)
            console.print("the gateway restarts")
            stopped = time.monotonic()
            gateway.stop()
            chargers.check()
            gateway.start()
            setup = f"the restart itself, {time.monotonic() - stopped:.0f} s"
            return [first, _measured("restart", gateway, chargers, options, console, setup)]


def _measured(
    case: str, gateway: processes.Gateway, chargers: Fleet, options: argparse.Namespace, console: Console, setup: str
) -> Result:
    """Connect them all, and wait until each has been sent its profile. ``setup``: what went before, and its time."""
    watch = processes.Stopwatch.of(gateway.pid)
    began = time.monotonic()
    connected = connect(chargers, options.rate, console, boot=case == "first")
    back = time.monotonic()
    sent, errors = 0, dict[str, int]()
    while True:
        checked = chargers.check()
        sent += checked.asked.get(SEND, 0)
        errors |= checked.errors
        ended = time.monotonic()
        if sent >= len(chargers) or ended - back > PATIENCE_SECONDS:
            break
        time.sleep(LOOK_SECONDS)
    watch.stop()
    recorded = _recorded(gateway.control_address, len(chargers))
    again = chargers.check().asked.get(SEND, 0)
    wrong = [*amiss(connected), *(f"{count} times: {reason}" for reason, count in errors.items())]
    if sent + again != len(chargers):
        wrong.append(f"{sent + again} profiles were sent to {len(chargers)} charge points")
    if recorded != len(chargers):
        wrong.append(f"{recorded} of {len(chargers)} are recorded as having accepted it")
    return Result(
        scenario=NAME,
        case=case,
        plan={"sessions": len(chargers), "rate": options.rate},
        figures=[
            Figure("until the last was sent its profile", ended - began, "s"),
            Figure("after the last was back", ended - back, "s"),
            Figure("CPU until then", watch.cpu_seconds, "s"),
            Figure("CPU per charge point, connect and all", 1000 * watch.cpu_seconds / len(chargers), "ms"),
            Figure("sent", sent / (ended - began), "1/s"),
        ],
        driver_cores=connected.driver_cores,
        server_cores=watch.cores,
        invalid_because=wrong,
        notes=[f"not counted: {setup}"],
    )


def plan(address: str, identities: Sequence[str]) -> None:
    """Set a plan for the first connector of each, that began half an hour ago."""
    begin = datetime.now(UTC) - timedelta(minutes=30)
    half_hours = [_time(begin + timedelta(minutes=30 * n)) for n in range(STEPS + 1)]
    steps = [
        steering_pb2.PlanStep(
            start_time=at,
            limit=steering_pb2.RateLimit(value=AMPERES[n % len(AMPERES)], unit=common_pb2.CHARGING_RATE_UNIT_AMPERES),
        )
        for n, at in enumerate(half_hours[:-1])
    ]
    wanted = steering_pb2.Plan(steps=steps, end_time=half_hours[-1])
    with grpc.insecure_channel(address) as channel:
        set_plan = SteeringServiceStub(channel).SetPlan
        pending: deque[Any] = deque()
        for identity in identities:
            if len(pending) == PENDING:
                pending.popleft().result()
            request = steering_pb2.SetPlanRequest(
                charge_point=identity,
                request_id=str(uuid.uuid4()),
                connector=common_pb2.ConnectorAddress(evse=1, connector=1),
                plan=wanted,
            )
            pending.append(set_plan.future(request, timeout=60))
        for future in pending:
            future.result()


def _time(at: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(at)
    return made


def _recorded(address: str, count: int) -> int:
    """The number of charge points that are recorded as having accepted a profile, once there are so many of them."""
    until = time.monotonic() + RECORDED_SECONDS
    while True:
        found = _applied(address)
        if found >= count or time.monotonic() > until:
            return found
        time.sleep(1)


def _applied(address: str) -> int:
    found, token = 0, ""
    with grpc.insecure_channel(address) as channel:
        stub = SteeringServiceStub(channel)
        while True:
            request = steering_pb2.ListSteeringRequest(
                page_size=PAGE, page_token=token, state=steering_pb2.STEERING_STATE_APPLIED
            )
            page = stub.ListSteering(request, timeout=60)
            found += len(page.steering)
            token = page.next_page_token
            if not token:
                return found
