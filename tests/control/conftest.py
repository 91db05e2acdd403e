import pytest

from gateway.client import problem_of
from tests.control.fakes import control


@pytest.fixture
async def gateway(tmp_path):
    """A running control interface."""
    async with control(tmp_path) as running:
        yield running


@pytest.fixture
def failing(gateway):
    """Call a method that must fail; answers the problem."""
    import grpc

    async def call(rpc, request, timeout=60):
        with pytest.raises(grpc.RpcError) as caught:
            await gateway.call(rpc, request, timeout)
        return problem_of(caught.value)

    return call
