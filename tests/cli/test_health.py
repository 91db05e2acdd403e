"""`gateway health`: for health checks, so by its exit code."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from typer.testing import CliRunner, Result

from gateway.cli.main import app

Status = health_pb2.HealthCheckResponse


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A health service that says so; its target."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    servicer = health.HealthServicer()
    servicer.set("", status)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["health", *arguments])


def test_a_gateway_that_serves_is_healthy() -> None:
    """0, and a word."""
    with answering(Status.SERVING) as target:
        result = run("--target", target)
        assert (result.exit_code, result.stdout.strip()) == (0, "SERVING")
        assert run("--target", target, "--json").stdout.split() == ["{", '"status":', '"SERVING"', "}"]


def test_one_that_starts_or_stops_is_not() -> None:
    """7: try again later."""
    with answering(Status.NOT_SERVING) as target:
        result = run("--target", target)
        assert result.exit_code == 7
        assert "answers NOT_SERVING" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--timeout", "0.5")])
def test_where_none_answers_there_is_none(arguments: tuple[str, ...], unused: Callable[[], int]) -> None:
    """7 as well."""
    result = run("--target", f"127.0.0.1:{unused()}", *arguments)
    assert result.exit_code == 7


@pytest.fixture
def unused() -> Callable[[], int]:
    from tests.endtoend.gateway_process import free_port

    return free_port
