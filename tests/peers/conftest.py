"""The same gateways as for the tests from end to end."""

from tests.endtoend.conftest import certificates, gateway, make_gateway

__all__ = ["certificates", "gateway", "make_gateway"]
