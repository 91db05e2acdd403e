"""A database that was restored or copied is made safe to serve: another store, clear of all that was given out."""

import uuid

from attrs import frozen

from gateway.errors import StoreError
from gateway.store.limits import CLEAR, MAX_NUMBER
from gateway.store.postgres.connection import Broken, Connection, ServerError, mapped, place_of, with_password
from gateway.store.postgres.lane import SLOT, Lane
from gateway.store.postgres.migrate import check, migrations


@frozen
class Renewed:
    """The store ids of before and after, and the next transaction number."""

    old_id: str
    store_id: str
    next_number: int


def recover(url: str, password: str = "") -> Renewed:
    """Give the database another store's id, so that every resume token of before is refused and event ids differ, and
    have transaction numbers and epochs go on CLEAR further. Raises ``StoreInUse`` while it is served, ``StoreCorrupt``,
    ``StoreUnavailable``, and ``StoreError`` where there is nothing to recover. It can be run again."""
    place = place_of(url)
    try:
        cx = Connection(with_password(url, password))
        try:
            if not check(cx, place, len(migrations())):
                raise StoreError(f"the database {place} is empty; put the backup there first")
            Lane(SLOT).hold(cx, place)
            cx.send("BEGIN")
            (old_id,) = cx.one("SELECT store_id FROM meta")
            store_id = f"store_{uuid.uuid4().hex}"
            (number,) = cx.one(
                """UPDATE meta SET store_id = $1, next_number = $2
                + greatest(next_number, (SELECT coalesce(max(number), 0) + 1 FROM txn)) RETURNING next_number""",
                store_id,
                CLEAR,
            )
            if number > MAX_NUMBER:
                raise StoreError(f"the database {place}: no transaction numbers are left above {number - CLEAR}")
            cx.send("UPDATE charge_point SET epoch = epoch + $1", CLEAR)
            cx.send("DELETE FROM generation")
            cx.send("COMMIT")
            cx.sync()
        finally:
            cx.close()
    except Broken as error:
        raise StoreError(f"the database {place} can't be reached: {error}") from error
    except ServerError as error:
        raise mapped(error, place) from error
    return Renewed(old_id, store_id, number)
