"""The reach of one event: its own charge point's row of its own kind, in the state that it may be changed from."""

from itertools import product

import apsw
import pytest

from gateway.domain.commands import CommandState, ConfigurationKey
from gateway.domain.events import (
    BootConfigurationApplied,
    BootInformation,
    ChargePointBooted,
    CommandNotSent,
    CommandOutcomeUnknown,
    ConfigurationReported,
    ReservationEnded,
    ReservationMade,
    TransactionLost,
)
from gateway.domain.records import TransactionState
from gateway.domain.values import ConnectorAddress, Registration
from gateway.errors import CommitUnknown, StoreUnavailable
from gateway.store.sqlite import SqliteStore
from tests.store.builders import (
    answered,
    append,
    at,
    connect,
    id_tag,
    meter,
    one,
    queued,
    sent,
    started,
    status,
    stopped,
)

SECOND = ConnectorAddress(2, 1)

# --- commands -------------------------------------------------------------------------------------------------

STEPS = {
    "sent": sent,
    "answered": answered,
    "not sent": lambda number: CommandNotSent(f"cmd_{number}", "Reset", "deadline"),
    "unknown": lambda number: CommandOutcomeUnknown(f"cmd_{number}", "Reset", "timeout"),
}

Q, S, A, N, U = (
    CommandState.QUEUED,
    CommandState.SENT,
    CommandState.ANSWERED,
    CommandState.NOT_SENT,
    CommandState.OUTCOME_UNKNOWN,
)

BECOMES = {
    Q: {"sent": S, "answered": A, "not sent": N, "unknown": U},
    S: {"sent": S, "answered": A, "not sent": N, "unknown": U},
    A: {"sent": A, "answered": A, "not sent": A, "unknown": A},
    N: {"sent": N, "answered": N, "not sent": N, "unknown": N},
    U: {"sent": U, "answered": A, "not sent": U, "unknown": U},
}
"""State → event → state: what is final stays, but for an answer that comes late."""

WAYS = {Q: (), S: ("sent",), A: ("sent", "answered"), N: ("not sent",), U: ("sent", "unknown")}


@pytest.mark.parametrize(("state", "step"), list(product(BECOMES, STEPS)))
def test_a_commands_events_move_it_along_and_no_other(store, state, step):
    """Neither another of this charge point, nor one of another that happens to be named."""
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    for number, identity in ((1, "CP1"), (2, "CP1"), (3, "CP2")):
        append(store, queued(number), identity=identity)
        for each in WAYS[state]:
            append(store, STEPS[each](number), identity=identity, seconds=1)
    before = [store.command(f"cmd_{number}") for number in (1, 2, 3)]
    assert [each.state for each in before] == [state] * 3
    append(store, STEPS[step](3), identity="CP1", seconds=2)
    assert [store.command(f"cmd_{number}") for number in (1, 2, 3)] == before, "it is another charge point's"
    append(store, STEPS[step](1), identity="CP1", seconds=3)
    first, *others = (store.command(f"cmd_{number}") for number in (1, 2, 3))
    assert first.state is BECOMES[state][step]
    assert others == before[1:]
    if first.state is state:
        assert first == before[0], "nothing of it changes, its times neither"
    elif first.state.final:
        assert first.finished_at == at(3)


# --- transactions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [stopped(1), TransactionLost("tx_1", ConnectorAddress(1, 1))], ids=["stopped", "lost"])
def test_the_end_of_a_transaction_ends_no_other(store, end):
    """Of this charge point's or of another's; and a stop that another charge point names ends none at all."""
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    append(store, started(1), started(2, "TAG2", SECOND), identity="CP1")
    append(store, started(3, "TAG3"), identity="CP2")
    before = [store.transaction(f"tx_{number}") for number in (1, 2, 3)]
    append(store, end, identity="CP2", seconds=1)
    assert [store.transaction(f"tx_{number}").state for number in (1, 2, 3)] == [TransactionState.OPEN] * 3
    append(store, end, identity="CP1", seconds=2)
    first, *others = (store.transaction(f"tx_{number}") for number in (1, 2, 3))
    assert first.state is not TransactionState.OPEN
    assert others == before[1:]
    append(store, TransactionLost("tx_1", ConnectorAddress(1, 1)), identity="CP1", seconds=3)
    assert store.transaction("tx_1").state is first.state, "what is stopped is not lost"


def test_open_transactions_of_a_tag_are_those_of_the_tag(store):
    """Open, and its own."""
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    append(store, started(1), started(2, "OTHER", SECOND), identity="CP1")
    append(store, started(3, "tag"), identity="CP2")
    append(store, stopped(1), identity="CP1")
    assert [each.transaction_id for each in store.occupying_transactions_of_tag("TAG", 10)] == ["tx_3"]


def test_readings_are_those_of_the_transaction(store):
    """Between others of the same charge point and of others."""
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    append(store, started(1), started(2, "TAG2", SECOND), meter(1), meter(2), meter(None), status(), identity="CP1")
    append(store, started(3, "TAG3"), meter(3), identity="CP2")
    append(store, stopped(1), meter(2), identity="CP1")
    kinds = [each.type for each in store.readings("tx_1", 0, 10)]
    assert kinds == ["transaction.started", "meter_values.reported", "transaction.stopped"]
    assert {each.transaction_id for each in store.readings("tx_2", 0, 10)} == {"tx_2"}
    assert len(store.readings("tx_2", 0, 10)) == 3
    assert len(store.readings("tx_3", 0, 10)) == 2


def test_boots_for_an_energy_are_those_between_a_transactions_first_event_and_its_last(store):
    """One that is open has no last event yet; another charge point's count for nothing."""
    boot = ChargePointBooted(BootInformation("Acme", "One"), Registration.ACCEPTED, 300)
    for identity in ("CP1", "CP2"):
        connect(store, identity)
    append(store, boot, started(1), boot, meter(1), identity="CP1")
    append(store, boot, identity="CP2")
    append(store, boot, identity="CP1")
    assert [each.type.split(".")[1] for each in store.energy_events("tx_1", 0, 10)] == [
        "started", "booted", "reported", "booted"
    ]  # fmt: skip
    append(store, stopped(1), boot, identity="CP1")
    assert [each.type.split(".")[1] for each in store.energy_events("tx_1", 0, 10)] == [
        "started", "booted", "reported", "booted", "stopped"
    ]  # fmt: skip


# --- what a charge point has ------------------------------------------------------------------------------------


def snapshot(store, identity):
    record = store.charge_point(identity)
    return record, connect(store, identity).state


def test_what_one_charge_point_says_changes_nothing_of_another(store):
    """Connectors, reservations, configuration, what was applied of it: the same names, and two owners."""
    bodies = (
        status("Available"),
        status("Available", SECOND),
        ReservationMade(7, ConnectorAddress(1, 1), "TAG", at(1000)),
        ReservationMade(8, SECOND, "TAG", at(1000)),
        ConfigurationReported((ConfigurationKey("A", False, "1"), ConfigurationKey("B", False, "1")), ()),
        BootConfigurationApplied("A", "1", "Accepted", "1.0"),
    )
    for identity in ("CP1", "CP2"):
        connect(store, identity)
        append(store, *bodies, identity=identity)
    before = store.charge_point("CP2")
    changes = (
        status("Faulted"),
        ReservationEnded(7, ConnectorAddress(1, 1), "expired"),
        ConfigurationReported((ConfigurationKey("A", False, "2"),), ()),
        BootConfigurationApplied("A", "2", "Rejected", "2.0"),
    )
    append(store, *changes, identity="CP1", seconds=5)
    assert store.charge_point("CP2") == before
    other, own = connect(store, "CP2").state, connect(store, "CP1").state
    assert [each.status for each in other.connectors.values()] == ["Available", "Available"]
    assert (list(other.reservations), list(own.reservations)) == ([7, 8], [8])
    assert (other.configuration, own.configuration) == ({"A": "1", "B": "1"}, {"A": "2", "B": "1"})
    assert (other.boot_configuration["A"].value, own.boot_configuration["A"].value) == ("1", "2")
    assert {each.connector: each.status for each in own.connectors.values()} == {
        ConnectorAddress(1, 1): "Faulted",
        SECOND: "Available",
    }


def test_a_tag_that_is_changed_or_deleted_is_that_tag(store):
    """By its folded name."""
    from gateway.store.commits import DeleteIdTag, Done, PutIdTag

    for name in ("A", "B"):
        assert one(store, PutIdTag(id_tag(name), create=True)) == Done()
    before = store.id_tag("B")
    one(store, PutIdTag(id_tag("a", status="Blocked"), create=False))
    assert (store.id_tag("A").status, store.id_tag("B")) == ("Blocked", before)
    one(store, DeleteIdTag("a"))
    assert (store.id_tag("A"), store.id_tag("B")) == (None, before)


# --- when nothing can have been written -------------------------------------------------------------------------


def test_what_fails_before_the_commit_is_known_not_to_be_kept(tmp_path, monkeypatch):
    """Events are gathered and written at the end of a batch: a disk that fails there has kept nothing for certain."""
    store = SqliteStore(tmp_path / "gateway.db")
    connect(store)
    books = store._writer

    def fails():
        raise apsw.IOError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(books, "flush", fails)
        with pytest.raises(StoreUnavailable) as caught:
            append(store, status())
    assert not isinstance(caught.value, CommitUnknown)
    assert append(store, status()).sequences == (3,)
    store.close()
