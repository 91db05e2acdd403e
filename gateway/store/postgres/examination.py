"""A look at a database before it is served: what keeps a gateway from serving it."""

from gateway.errors import GatewayError
from gateway.store.postgres.connection import Broken, Connection, ServerError, place_of, with_password
from gateway.store.postgres.durability import Durability, problems
from gateway.store.postgres.lane import SLOT
from gateway.store.postgres.migrate import held_up


def faults(url: str, password: str, durability: Durability, node: int = 0) -> list[str]:
    """Reasons why the database can't be served in this slot (0: alone), or would keep no promise. Changes nothing."""
    place = place_of(url)
    try:
        cx = Connection(with_password(url, password))
        try:
            found = held_up(cx, place, node or SLOT)
            return [*found, *problems(cx, durability)]
        finally:
            cx.close()
    except Broken as error:
        return [f"the database {place} can't be reached: {error}"]
    except ServerError as error:
        return [f"the database {place} can't be looked at: {error}"]
    except GatewayError as error:
        return [str(error)]
