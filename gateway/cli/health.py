"""`gateway health`: whether the gateway serves, for health checks of containers and for people."""

from typing import Annotated

import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.cli.connection import DEFAULT_TARGET, TargetOption, connect
from gateway.cli.exit_codes import ExitCode
from gateway.cli.output import CommandFailed, JsonOption, print_json, say

HEALTH_SECONDS = 3.0
"""For an answer, unless another time is asked for: what checks of containers give."""

SERVING = health_pb2.HealthCheckResponse.SERVING


def health(
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, max=60, help="Seconds to wait for an answer.")
    ] = HEALTH_SECONDS,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask the gateway whether it serves: 0 if it does, 7 if it starts, stops, has no store, or does not answer."""
    with connect(target) as gateway:
        stub = health_pb2_grpc.HealthStub(gateway.channel)
        found = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout).status
    word = health_pb2.HealthCheckResponse.ServingStatus.Name(found)
    if found != SERVING:
        raise CommandFailed(
            f"{target} answers {word}: it starts or stops, or its store takes nothing", ExitCode.UNREACHABLE
        )
    if json:
        print_json({"status": word})
    else:
        say(word, "green")
