"""``GatewayClient`` gives a request id to each request that needs one, whatever its name begins with."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.api.methods import Method, Repeatable
from gateway.api.v1.services import Services
from gateway.client import GatewayClient


class Noting:
    """A transport that notes the methods that are called, and answers nothing."""

    def __init__(self) -> None:
        self.methods: list[Method[Any, Any]] = []

    def unary(self, method: Method[Any, Any], request: Any, timeout: float | None) -> Any:
        self.methods.append(method)

    stream = both = unary


def naming() -> Iterator[Method[Any, Any]]:
    """The methods whose requests have a request id."""
    noting = Noting()
    services = Services(noting)
    for service in vars(services).values():
        for name in [each for each in dir(service) if not each.startswith("_")]:
            getattr(service, name)(None)
    assert len(noting.methods) > 100
    return (method for method in noting.methods if "request_id" in method.request.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("method", list(naming()), ids=lambda method: method.path.rpartition("/")[2])
def test_a_request_is_given_an_id_unless_it_reads(method: Method[Any, Any]) -> None:
    """GetConfiguration and the other commands that are named Get, too; GetCommand's names a command that there is."""
    request = method.request()
    with GatewayClient("127.0.0.1:1") as client:
        client.call(lambda sent, timeout: None, request)
        assert len(request.request_id) == (32 if method.repeatable is Repeatable.BY_REQUEST_ID else 0)
        request.request_id = "mine"
        client.call(lambda sent, timeout: None, request)
    assert request.request_id == "mine"
