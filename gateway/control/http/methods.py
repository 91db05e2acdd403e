"""The methods that can be called over HTTP: their paths, and whether GET may ask for them.

One rule and no annotations: ``POST /v1/{service}/{method}``, the service by its short name.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from attrs import frozen
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from gateway.control.access import Open, need_of
from gateway.control.errors import Failure, Status
from gateway.domain.callers import Role

PACKAGE: Final = "gateway.api.v1"
PREFIX: Final = "/v1/"

READING: Final = frozenset(
    {
        "/gateway.api.v1.AuditService/ListAudit",
        "/gateway.api.v1.CallerService/ListCallers",
    }
)
"""Methods that change nothing, and need more than the role read."""

RESUMED: Final = frozenset(
    {
        "/gateway.api.v1.EventService/WatchEvents",
        "/gateway.api.v1.EventService/WatchMeterValues",
    }
)
"""Streams that go on after a resume token, which each of their messages has."""


def reads(method: str) -> bool:
    """Return true if a method changes nothing, asks no charger, and may be called by GET."""
    return method in READING or need_of(method) in (Role.READ, Open.TO_CALLERS)


@frozen
class HttpMethod:
    """One method. ``name`` as gRPC has it, ``/service/method``.

    ``call`` is given a request and a context: guarded by the authentication, it returns a response, or an iterator of
    responses.
    """

    name: str
    descriptor: MethodDescriptor
    call: Callable[[Any, Any], Any]

    @property
    def streams(self) -> bool:
        """Return true if the method answers with a stream."""
        return bool(self.descriptor.server_streaming)

    @property
    def resumes(self) -> bool:
        """Return true if Last-Event-ID says where to go on."""
        return self.name in RESUMED


Intercept: TypeAlias = Callable[[Callable[[Any], Awaitable[Any]], Any], Awaitable[Any]]
"""``intercept_service`` of gRPC's interceptors."""

Recognise: TypeAlias = Callable[[str, Any], Awaitable[None]]
"""Of a method's name and a context."""


@frozen
class _Asked:
    """A method that is asked for, as an interceptor is shown it."""

    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ()


class MethodTable:
    """The methods of all services. It takes them as a gRPC server does."""

    def __init__(self, intercept: Intercept | None, recognise: Recognise | None = None) -> None:
        """``intercept``: what stands before each method; None: nothing does. ``recognise`` raises ``Failure`` for a
        call of no known caller; None: callers are not asked for."""
        self._intercept = intercept
        self._recognise = recognise
        self._handlers: dict[str, Any] = {}
        self._found: dict[str, HttpMethod] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: the same methods come by name as well."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Take the methods of a service."""
        self._handlers.update({f"/{service}/{name}": handler for name, handler in handlers.items()})

    async def recognise(self, method: HttpMethod, context: Any) -> None:
        """Raise ``Failure`` if callers are asked for and none that is known calls."""
        if self._recognise is not None:
            await self._recognise(method.name, context)

    async def find(self, path: str) -> HttpMethod:
        """The method of a path. Raises ``Failure`` for one that there is not, and for one whose client streams."""
        known = self._found.get(path)
        if known is None:
            known = self._found[path] = await self._look(path)  # as many as there are methods: others are refused
        return known

    async def _look(self, path: str) -> HttpMethod:
        service, _, name = path.removeprefix(PREFIX).partition("/")
        method = f"/{PACKAGE}.{service}/{name}"
        handler = self._handlers.get(method)
        if not path.startswith(PREFIX) or handler is None:
            raise unknown(path)
        if self._intercept is not None:
            handler = await self._intercept(self._handler, _Asked(method))
        found = descriptor_pool.Default().FindServiceByName(f"{PACKAGE}.{service}").methods_by_name[name]
        if found.client_streaming:
            text = f"{service}.{name} takes a stream of requests: it is there over gRPC alone"
            raise Failure(Status.UNIMPLEMENTED, "UNKNOWN_METHOD", text)
        return HttpMethod(method, found, handler.unary_stream if found.server_streaming else handler.unary_unary)

    async def _handler(self, asked: Any) -> Any:
        return self._handlers[asked.method]


def unknown(path: str) -> Failure:
    """The answer to a path of no method."""
    text = f"there is no method {path[:100]}: the path is {PREFIX}{{service}}/{{method}}"
    return Failure(Status.UNIMPLEMENTED, "UNKNOWN_METHOD", text)
