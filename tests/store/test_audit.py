"""The audit's table, and the callers of records, as a database of before has them."""

from pathlib import Path

import apsw
from attrs import evolve

from gateway.domain.audit import NAMES_CALLER, DoneBy, SubjectKind
from gateway.domain.callers import Caller, Role
from gateway.domain.codec import decode
from gateway.domain.events import (
    OperationAccepted,
    TransactionAttributed,
    TransactionClosed,
    TransactionOrphaned,
    VendorDataReceived,
)
from gateway.domain.operations import OperationKind, OperationRequest
from gateway.store.api import EventFilter
from gateway.store.commits import (
    AddCaller,
    AttributeOrphan,
    ClockRecord,
    CloseTransaction,
    DeleteChargePoint,
    DeleteIdTag,
    PutIdTag,
    RecordClock,
    RemoveCaller,
    UpdateChargePoint,
)
from gateway.store.encoding import to_micros
from gateway.store.filters import AuditFilter
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.migrate import APPLICATION_ID, scripts
from tests.store.builders import (
    CONNECTOR,
    T0,
    append,
    at,
    connect,
    create,
    disconnected,
    event,
    id_tag,
    limited,
    of,
    one,
    queued,
    started,
)

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


def everything(store, caller):
    """Have a caller do each thing that an event names a caller for, a second apart, to CP1; the audit, oldest first."""
    create(store, caller=caller)
    one(store, UpdateChargePoint("CP1", at(1), description="garage", caller=caller))
    epoch = connect(store).epoch
    append(store, started(1), started(2), TransactionOrphaned(2, "unknown-number", {}))
    *_, orphan = store.find_orphans(of(), "", 10).records
    request = OperationRequest(OperationKind.START_CHARGING, id_tag="TAG")
    for seconds, body in enumerate(
        (
            evolve(queued(), caller=caller),
            evolve(queued(2), caller=caller, operation_id="op_1"),
            OperationAccepted("op_1", "r1", request, at(900), caller=caller),
            limited(store, caller=caller),
        ),
        start=2,
    ):
        append(store, body, epoch=epoch, seconds=seconds)
    closed = TransactionClosed("tx_1", CONNECTOR, "gone", caller=caller)
    one(store, CloseTransaction("CP1", event(closed, 6)))
    stop = (orphan.sequence, orphan.event_id, 2, 600, "Local", 500, at(1))
    attributed = TransactionAttributed("tx_2", CONNECTOR, *stop, "found by its register", "q", caller=caller)
    one(store, AttributeOrphan("CP1", event(attributed, 7)))
    append(store, evolve(disconnected(), caller=caller), epoch=epoch, seconds=8)
    one(store, DeleteChargePoint("CP1", at(9), caller=caller))
    return store.audit(ALL, None, 100)[::-1]


def test_each_event_that_names_its_caller_is_noted(store):
    """With its charge point, its time, and what it is about; what an operation does is noted with the operation."""
    found = everything(store, "ann")
    assert {(each.caller, each.charge_point) for each in found} == {("ann", "CP1")}
    assert [(each.at, each.action, each.kind, each.subject) for each in found] == [
        (at(0), "CreateChargePoint", None, ""),
        (at(1), "UpdateChargePoint", None, ""),
        (at(2), "Reset", SubjectKind.COMMAND, "cmd_1"),
        (at(4), "StartCharging", SubjectKind.OPERATION, "op_1"),
        (at(5), "SetWantedLimit", None, ""),
        (at(6), "CloseTransaction", SubjectKind.TRANSACTION, "tx_1"),
        (at(7), "AttributeOrphan", SubjectKind.TRANSACTION, "tx_2"),
        (at(8), "DisconnectChargePoint", None, ""),
        (at(9), "DeleteChargePoint", None, ""),
    ]
    noted = {each.type for each in store.events(0, 100, EventFilter(callers=frozenset({"ann"}))).events}
    assert noted == NAMES_CALLER - {VendorDataReceived.TYPE}


def test_what_is_done_without_a_name_is_not_noted(store):
    """As with what a gateway does by itself."""
    assert everything(store, "") == []


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
