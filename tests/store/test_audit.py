"""The audit's table, and the callers of records, as a database of before has them."""

from pathlib import Path

import apsw

from gateway.domain.audit import DoneBy
from gateway.domain.callers import Caller, Role
from gateway.domain.codec import decode
from gateway.store.commits import AddCaller, ClockRecord, DeleteIdTag, PutIdTag, RecordClock, RemoveCaller
from gateway.store.encoding import to_micros
from gateway.store.filters import AuditFilter
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.migrate import APPLICATION_ID, scripts
from tests.store.builders import T0, id_tag, one

NAME = "0022_audit.sql"
ALL = AuditFilter()


def of_before(path: Path) -> None:
    """A database as it was before records had callers, with one record of each kind."""
    folder = Path(__file__).parents[2] / "gateway/store/sqlite/migrations"
    older = sorted(each.name for each in folder.glob("*.sql")).index(NAME)
    cx = apsw.Connection(str(path))
    cx.pragma("application_id", APPLICATION_ID)
    for script in scripts()[:older]:
        cx.execute(script)
    at = to_micros(T0)
    cx.execute("INSERT INTO meta (name, value) VALUES ('store_id', 'store_1'), ('created_at', ?)", (at,))
    cx.execute(
        """INSERT INTO charge_point (key, identity, registration, created_at, updated_at)
        VALUES (1, 'CP1', 'Accepted', ?1, ?1)""",
        (at,),
    )
    cx.execute(
        """INSERT INTO command (command_id, charge_point, request_id, operation, arguments, fingerprint, state,
        created_at, last_sequence) VALUES ('cmd', 1, 'r', 'Reset', x'7B7D', '', 'SENT', ?, 1)""",
        (at,),
    )
    cx.execute(
        """INSERT INTO operation (operation_id, charge_point, request_id, kind, id_tag, named, insist, created_at,
        expires_at, stages, last_sequence) VALUES ('op', 1, 's', 'STOP_CHARGING', '', '', 0, ?1, ?1, '[]', 1)""",
        (at,),
    )
    cx.execute(
        """INSERT INTO txn (transaction_id, number, charge_point, evse, connector, id_tag, folded_tag, status, state,
        meter_start, started_at, start_received_at, start_sequence, start_key, last_sequence)
        VALUES ('tx', 1, 1, 1, 1, 'T', 't', 'Accepted', 'CLOSED', 0, ?1, ?1, 1, 'k', 1)""",
        (at,),
    )
    cx.execute("INSERT INTO id_tag VALUES ('t', 'T', 'Accepted', ?1, ?1, NULL, NULL, 0, '', 1)", (at,))
    cx.pragma("user_version", older)
    cx.close()


def test_records_of_before_have_no_caller(tmp_path):
    """They are read as they were, and so are events; the audit begins empty."""
    of_before(tmp_path / "gateway.db")
    store = SqliteStore(tmp_path / "gateway.db", clock=lambda: T0)
    try:
        assert store.command("cmd").caller == ""
        assert store.operation("op").caller == ""
        assert store.transaction("tx").closed_by == ""
        assert (store.id_tag("T").created_by, store.id_tag("T").updated_by) == ("", "")
        assert store.audit(ALL, None, 10) == []
    finally:
        store.close()
    old = b'{"command_id":"c","operation":"Reset","request_id":"r","arguments":{}}'
    body = decode("command.queued", 1, old)
    assert (body.caller, body.operation_id) == ("", "")


def test_changes_without_an_event_are_noted_with_their_caller(store):
    """With the change, in its commit; without a name nothing is, and what changed nothing has no entry."""
    one(store, PutIdTag(id_tag("T"), create=True, caller="a"))
    one(store, PutIdTag(id_tag("T"), create=True, caller="b"))
    one(store, PutIdTag(id_tag("T"), create=False, caller="c"))
    one(store, PutIdTag(id_tag("T"), create=False))
    assert (store.id_tag("T").created_by, store.id_tag("T").updated_by) == ("a", "")
    one(store, DeleteIdTag("T", DoneBy("d", T0)))
    one(store, DeleteIdTag("T", DoneBy("e", T0)))
    one(store, AddCaller(Caller("x", (Role.READ,), T0, b"1"), "f"))
    one(store, AddCaller(Caller("x", (Role.READ,), T0, b"2"), "g"))
    one(store, RemoveCaller("x", DoneBy("h", T0)))
    one(store, RemoveCaller("x", DoneBy("i", T0)))
    one(store, RecordClock(ClockRecord(T0, False, "", 0.0, 0), confirmed_by="j"))
    one(store, RecordClock(ClockRecord(T0, False, "", 0.0, 0)))
    assert [(each.caller, each.action, each.subject) for each in store.audit(ALL, None, 100)[::-1]] == [
        ("a", "CreateIdTag", "T"),
        ("c", "UpdateIdTag", "T"),
        ("d", "DeleteIdTag", "T"),
        ("f", "CreateCaller", "x"),
        ("h", "RevokeCaller", "x"),
        ("j", "ConfirmClock", ""),
    ]
