"""The last local list that a charger has accepted: how it is changed by its event, and read."""

from apsw import Connection

from gateway.domain import events as e
from gateway.domain.commands import UpdateType
from gateway.domain.events import NewEvent
from gateway.domain.records import LocalList
from gateway.store.encoding import to_time


def changed(cx: Connection, key: int, event: NewEvent, at: int, body: e.LocalListChanged, sequence: int) -> None:
    cx.execute(
        "INSERT OR REPLACE INTO local_list VALUES (?, ?, ?, ?, ?)",
        (key, body.list_version, body.update_type, event.cause.removeprefix("command:"), at),
    )


def local_list(cx: Connection, key: int) -> LocalList | None:
    """A charge point's; None: it has accepted none, as far as is known."""
    sql = "SELECT list_version, update_type, command_id, changed_at FROM local_list WHERE charge_point = ?"
    row = cx.execute(sql, (key,)).fetchone()
    if row is None:
        return None
    version, update_type, command_id, at = row
    return LocalList(version, UpdateType(update_type), command_id, to_time(at))
