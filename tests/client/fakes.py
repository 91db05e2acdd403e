"""A gateway that a test scripts, over real gRPC, and the three clients behind one face.

The files of this folder run twice: here on ``gateway.client``, and by `make test-client` on the distribution, with the
names replaced. So they import nothing but the client, gRPC, protobuf, pytest and the two loops.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import trio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from gateway.api.v1 import messages
from gateway.client import Gateway, aio, trio_gateway
from gateway.client.tokens import TokenStore

Behaviour = Callable[[Any, Any], Any]
"""Takes a request (or an iterator of them) and gRPC's context, and gives a response (or an iterator of them)."""


class FakeGateway(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers as the test says, by the method's name; what the test leaves open is answered with an empty message."""

    def __init__(self) -> None:
        self.behaviour: dict[str, Behaviour] = {}
        self.calls: list[tuple[str, Any, dict[str, str]]] = []
        """Path, request and metadata of each call, in order."""
        self.target = ""

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call."""
        path: str = handler_call_details.method
        metadata = dict(handler_call_details.invocation_metadata)
        method = described(path)
        asked, answered = _class(method.input_type), _class(method.output_type)

        def handle(request: Any, context: Any) -> Any:
            self.calls.append((path, request, metadata))
            behaviour = self.behaviour.get(method.name)
            if behaviour is not None:
                return behaviour(request, context)
            return iter([answered()]) if method.server_streaming else answered()

        kinds = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }
        kind = kinds[method.client_streaming, method.server_streaming]
        return kind(handle, asked.FromString, answered.SerializeToString)

    def requests(self, name: str) -> list[Any]:
        """The requests of one method, in order."""
        return [request for path, request, _ in self.calls if path.endswith(f"/{name}")]


@contextmanager
def serving() -> Iterator[FakeGateway]:
    """A fake gateway at a port of its own."""
    fake = FakeGateway()
    with ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool, [fake])
        port = server.add_insecure_port("127.0.0.1:0")
        fake.target = f"127.0.0.1:{port}"
        server.start()
        try:
            yield fake
        finally:
            server.stop(None).wait()


def described(path: str) -> Any:
    """The descriptor of a method, as protobuf's descriptor.proto has it."""
    from google.protobuf import descriptor_pb2

    _, service, name = path.split("/")
    for module in MODULES:
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for each in file.service:
            if f"{file.package}.{each.name}" == service:
                return next(method for method in each.method if method.name == name)
    raise KeyError(path)


def all_paths() -> list[str]:
    """The paths of all methods of the interface."""
    from google.protobuf import descriptor_pb2

    found = []
    for module in MODULES:
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        found += [f"/{file.package}.{each.name}/{m.name}" for each in file.service for m in each.method]
    return found


def _modules() -> list[Any]:
    import sys

    package = messages.__name__.rpartition(".")[0]
    return [module for name, module in sorted(sys.modules.items()) if name.startswith(package) and "_pb2" in name]


MODULES = [module for module in _modules() if not module.__name__.endswith("_grpc")]


def _class(name: str) -> Any:
    return getattr(messages, name.rpartition(".")[2])


def failing(
    code: grpc.StatusCode,
    reason: str = "",
    violations: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """A behaviour that ends a call as the gateway does: a status, with the reason and metadata in its details."""

    def fail(_: Any, context: Any) -> Any:
        if reason:
            info = AnyMessage()
            info.Pack(ErrorInfo(reason=reason, domain="gateway.api.v1", metadata=dict(metadata or {})))
            status = Status(code=code.value[0], message="it failed", details=[info])
            if violations:
                request, packed = BadRequest(), AnyMessage()
                for name, what in violations.items():
                    request.field_violations.add(field=name, description=what)
                packed.Pack(request)
                status.details.append(packed)
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "it failed")

    return fail


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The behaviours one after the other, the last one from then on."""
    left = list(behaviours)

    def act(request: Any, context: Any) -> Any:
        return (left.pop(0) if len(left) > 1 else left[0])(request, context)

    return act


# --- the three clients ----------------------------------------------------------------------------------------


class Blocking:
    """``Gateway``."""

    def call(self, target: str, name: str, request: Any, timeout: float | None = None, **options: Any) -> Any:
        """The response of a unary method, by ``service.method``."""
        with Gateway(target, **options) as gateway:
            return _method(gateway, name)(request, timeout)

    def stream(self, target: str, name: str, request: Any) -> list[Any]:
        """All responses of a stream."""
        with Gateway(target) as gateway, _method(gateway, name)(request) as stream:
            return list(stream)

    def both(self, target: str, name: str, requests: list[Any]) -> list[Any]:
        """All responses of a stream in both directions."""
        with Gateway(target) as gateway, _method(gateway, name)(requests) as stream:
            return list(stream)

    def pages(self, target: str, name: str, request: Any) -> list[Any]:
        """All pages of a list."""
        with Gateway(target) as gateway:
            return list(gateway.pages(_method(gateway, name), request))

    def watch(
        self, target: str, kind: str, request: Any, count: int, tokens: TokenStore | None = None, on_break: Any = None
    ) -> list[Any]:
        """The first batches of a watch, of which the last is not acknowledged."""
        with Gateway(target) as gateway, getattr(gateway, kind)(request, tokens, on_break) as watch:
            return [batch for _, batch in zip(range(count), watch, strict=False)] if count else []


class Asyncio:
    """``AsyncGateway``."""

    def call(self, target: str, name: str, request: Any, timeout: float | None = None, **options: Any) -> Any:
        """As of ``Blocking``."""

        async def run() -> Any:
            async with aio.AsyncGateway(target, **options) as gateway:
                return await _method(gateway, name)(request, timeout)

        return asyncio.run(run())

    def stream(self, target: str, name: str, request: Any) -> list[Any]:
        """As of ``Blocking``."""

        async def run() -> list[Any]:
            async with aio.AsyncGateway(target) as gateway, _method(gateway, name)(request) as stream:
                return [each async for each in stream]

        return asyncio.run(run())

    def both(self, target: str, name: str, requests: list[Any]) -> list[Any]:
        """As of ``Blocking``."""

        async def given() -> AsyncIterator[Any]:
            for each in requests:
                yield each

        async def run() -> list[Any]:
            async with aio.AsyncGateway(target) as gateway, _method(gateway, name)(given()) as stream:
                return [each async for each in stream]

        return asyncio.run(run())

    def pages(self, target: str, name: str, request: Any) -> list[Any]:
        """As of ``Blocking``."""

        async def run() -> list[Any]:
            async with aio.AsyncGateway(target) as gateway:
                return [each async for each in gateway.pages(_method(gateway, name), request)]

        return asyncio.run(run())

    def watch(
        self, target: str, kind: str, request: Any, count: int, tokens: TokenStore | None = None, on_break: Any = None
    ) -> list[Any]:
        """As of ``Blocking``."""

        async def run() -> list[Any]:
            async with (
                aio.AsyncGateway(target) as gateway,
                getattr(gateway, kind)(request, tokens, on_break) as watch,
            ):
                return [await anext(watch) for _ in range(count)]

        return asyncio.run(run())


class Trio:
    """``TrioGateway``."""

    def call(self, target: str, name: str, request: Any, timeout: float | None = None, **options: Any) -> Any:
        """As of ``Blocking``."""

        async def run() -> Any:
            async with trio_gateway.TrioGateway(target, **options) as gateway:
                return await _method(gateway, name)(request, timeout)

        return trio.run(run)

    def stream(self, target: str, name: str, request: Any) -> list[Any]:
        """As of ``Blocking``."""

        async def run() -> list[Any]:
            async with trio_gateway.TrioGateway(target) as gateway, _method(gateway, name)(request) as stream:
                return [each async for each in stream]

        return trio.run(run)

    def both(self, target: str, name: str, requests: list[Any]) -> list[Any]:
        """As of ``Blocking``."""
        return self.stream(target, name, requests)

    def pages(self, target: str, name: str, request: Any) -> list[Any]:
        """As of ``Blocking``."""

        async def run() -> list[Any]:
            async with trio_gateway.TrioGateway(target) as gateway:
                return [each async for each in gateway.pages(_method(gateway, name), request)]

        return trio.run(run)

    def watch(
        self, target: str, kind: str, request: Any, count: int, tokens: TokenStore | None = None, on_break: Any = None
    ) -> list[Any]:
        """As of ``Blocking``."""

        async def run() -> list[Any]:
            async with (
                trio_gateway.TrioGateway(target) as gateway,
                getattr(gateway, kind)(request, tokens, on_break) as watch,
            ):
                return [await anext(watch) for _ in range(count)]

        return trio.run(run)


Client = Blocking | Asyncio | Trio


def _method(gateway: Any, name: str) -> Any:
    service, _, method = name.partition(".")
    return getattr(getattr(gateway, service), method)
