"""Subjects of the bus: each begins with the store's id, so that two stores may share a bus."""


def node(store_id: str, number: int, incarnation: int) -> str:
    """The subject under which the node of a slot is called; another incarnation has another."""
    return f"gw.{store_id}.node.{number}.{incarnation}"


def notices(store_id: str, number: int) -> str:
    """The bell of a slot: there are notices for it."""
    return f"gw.{store_id}.notices.{number}"


def committed(store_id: str) -> str:
    """The bell for nodes with watchers: something was recorded."""
    return f"gw.{store_id}.committed"


def watching(store_id: str) -> str:
    """The bell of nodes with watchers, for all: those who hear it ring when they record something."""
    return f"gw.{store_id}.watching"


def fleet(store_id: str) -> str:
    """The bell of the node that keeps the chores: there is a job, or one was cancelled."""
    return f"gw.{store_id}.fleet"
