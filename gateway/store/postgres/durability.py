"""Settings of a server on which what was acknowledged is not on disk, by their names."""

from enum import StrEnum

from gateway.store.postgres.connection import Connection


class Durability(StrEnum):
    """Places in which a commit is kept when it is acknowledged."""

    REPLICATED = "replicated"
    """On the server's disk, and on a standby's."""
    LOCAL = "local"
    """On the server's disk: its loss takes along what was acknowledged."""


OLDEST_SERVER = 130_000
"""PostgreSQL 13: transaction ids and snapshots of 64 bits, as functions."""

_KEPT = {
    Durability.REPLICATED: ("on", "remote_apply"),
    Durability.LOCAL: ("on", "remote_apply", "remote_write", "local"),
}
"""Values of ``synchronous_commit`` with which a commit that is answered is kept."""

_SETTINGS = """SELECT current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
    current_setting('server_encoding'), pg_is_in_recovery()"""


def problems(cx: Connection, durability: Durability) -> list[str]:
    """Reasons not to record anything on this server; the connection's settings are still those that it began with."""
    if cx.server_version < OLDEST_SERVER:
        return [f"the server is PostgreSQL {cx.server_version // 10_000}; the gateway needs 13 or later"]
    fsync, full_pages, commit, standbys, encoding, standby = cx.one(_SETTINGS)
    found = []
    if standby:
        found.append("the server is a standby: name the primary, or all of them with target_session_attrs=read-write")
    if encoding != "UTF8":
        found.append(f"the database's encoding is {encoding}; it must be UTF8")
    if fsync != "on":
        found.append("fsync is off: a power cut takes what was acknowledged")
    if full_pages != "on":
        found.append("full_page_writes is off: a power cut tears pages")
    if commit not in _KEPT[durability]:
        found.append(f"synchronous_commit is {commit} here: commits are answered before they are kept")
    if durability is Durability.REPLICATED and not standbys:
        found.append(
            "synchronous_standby_names is empty: no standby has what was acknowledged. Name them, or say that one disk "
            'is enough: store.durability = "local"'
        )
    return found
