"""State of a database server that watchers and operators depend on; a file has none."""

from typing import Protocol, cast

from attrs import frozen

from gateway.store.api import Store


@frozen
class ServerState:
    """``oldest``: the oldest transaction that is running, below which watchers read; ``next``: the next one's id.
    ``id_age``: transactions since the oldest one that has not been frozen, of any of the server's databases; it stops
    at two billion."""

    oldest: int
    next: int
    id_age: int


class _OnServer(Protocol):
    def server_state(self) -> ServerState: ...


def server_state(store: Store) -> ServerState | None:
    """The state of the store's server; None: there is none. Raises ``StoreUnavailable``."""
    if store.kind == "sqlite":
        return None
    return cast(_OnServer, store).server_state()
