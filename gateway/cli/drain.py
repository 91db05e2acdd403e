"""`gateway drain`: end a gateway in order, and see how it goes."""

from typing import Annotated, Any

import grpc
import typer

from gateway.api.v1.server_pb2 import DrainProgress, DrainRequest, DrainStage, WatchDrainRequest
from gateway.cli.connection import DEFAULT_TARGET, READ_SECONDS, TargetOption, as_dict, connect, must_administer
from gateway.cli.output import JsonOption, agreed, fail, print_json_line, say

OVER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""Ends of a watch by a gateway that stops."""


def drain(
    rate: Annotated[float | None, typer.Option(min=1, max=100_000, help="Sessions closed a second.")] = None,
    jitter: Annotated[
        float | None, typer.Option(min=0, max=1, help="Part of the time between two by which each comes later at most.")
    ] = None,
    deadline: Annotated[int | None, typer.Option(min=0, max=3600, help="Seconds for all of it.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show how it goes, until the gateway has stopped.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Drain the gateway and end its process, as SIGTERM does: commands finish, idle chargers are closed first.

    What is not given is as `drain` in the settings says.
    """
    request = DrainRequest()
    if rate is not None:
        request.closes_per_second = rate
    if jitter is not None:
        request.jitter = jitter
    if deadline is not None:
        request.deadline.FromSeconds(deadline)
    with connect(target) as gateway:
        courses: Any = None
        if not (yes or json):
            must_administer(gateway)
        if watch or not (yes or json):  # a gateway that is out of reach, or hears no such caller, refuses it here
            courses = gateway.server.WatchDrain(WatchDrainRequest())
            next(courses, None)  # the watch is there before the drain: behind it none may begin any more
        if not agreed(f"Drain and stop the gateway at {target}?", yes, json):
            fail("nothing was done")
        _show(gateway.server.Drain(request, timeout=READ_SECONDS).progress, json)
        if not watch:
            return
        try:
            for each in courses:
                if each.progress.stage != DrainStage.DRAIN_STAGE_SERVING:  # of while the question waited
                    _show(each.progress, json)
        except grpc.RpcError as error:
            ended: Any = error
            if ended.code() not in OVER:
                raise
    if not json:
        say("the gateway has stopped")


def _show(of: DrainProgress, json: bool) -> None:
    if json:
        print_json_line(as_dict(of))
        return
    stage = DrainStage.Name(of.stage).removeprefix("DRAIN_STAGE_").lower()
    left = of.left_duration.ToTimedelta().total_seconds()
    say(
        f"{stage:<9} {of.idle_count} idle and {of.charging_count} charging of {of.session_count} sessions are left, "
        f"{left:.0f} s"
    )
