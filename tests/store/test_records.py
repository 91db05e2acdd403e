"""Charge points, credentials, idTags, transactions and commands as they are read."""

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from gateway.domain import codec
from gateway.domain.commands import ChargerError, CommandState, StatusAnswer
from gateway.domain.credentials import id_for_command
from gateway.domain.decision import IdTagFree
from gateway.domain.events import (
    BootInformation,
    ChargePointBooted,
    ChargePointCreated,
    ChargePointDisconnected,
    ChargePointUpdated,
    CommandAnswered,
    CommandNotSent,
    CommandOutcomeUnknown,
    OperationAccepted,
    OperationEnded,
    ReservationEnded,
    ReservationMade,
    TransactionClosed,
    TransactionLost,
    TransactionStaleChanged,
)
from gateway.domain.key_answers import KeyAnswer
from gateway.domain.operations import End, OperationKind, OperationRequest
from gateway.domain.quirks import QuirkValues
from gateway.domain.records import KeyStanding, ReservationRecord, TransactionState
from gateway.domain.state import evolve as evolve_state
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Flag, Registration
from gateway.store.api import AdmissionRecord, EventFilter
from gateway.store.commits import (
    AddCredential,
    Append,
    Appended,
    CloseTransaction,
    CreateChargePoint,
    DecideKey,
    DeleteChargePoint,
    DeleteIdTag,
    Done,
    Exists,
    GuardFailed,
    Missing,
    PutIdTag,
    RecordLastHeard,
    RemoveCredentials,
    Trim,
    UpdateChargePoint,
    UseKey,
)
from gateway.store.filters import TransactionFilter
from tests.store.builders import (
    CONNECTOR,
    T0,
    answered,
    append,
    at,
    connect,
    create,
    credential,
    disconnected,
    event,
    id_tag,
    meter,
    nth,
    of,
    one,
    queued,
    sent,
    started,
    status,
    stopped,
    types,
)

# --- charge points --------------------------------------------------------------------------------------------


def test_what_a_creation_or_a_change_was_asked_with_is_in_its_event(store):
    """Its caller and its request id, besides what has been changed."""
    create(store, registration=Registration.PENDING, caller="ann", request_id="r-1")
    one(store, UpdateChargePoint("CP1", at(1), description="x", caller="bob", request_id="r-2"))
    found = [codec.body_of(each) for each in store.events(0, 10, EventFilter()).events]
    assert found == [
        ChargePointCreated(Registration.PENDING, "ann", "r-1"),
        ChargePointUpdated(Registration.PENDING, ("description",), "bob", "r-2"),
    ]


def test_the_newest_readings_are_loaded_with_the_session(store):
    """As the session before has left them, whether or not there are later ones."""
    latest = b"[[1, 1, 1, [], null]]"
    opened = connect(store)
    append(store, evolve(disconnected(), latest=latest), epoch=opened.epoch)
    assert connect(store).state.latest.base == latest


def test_a_charge_point_is_created_once(store):
    """The second time it exists, and nothing changes."""
    assert create(store, description="garage", quirks=QuirkValues(assume_subprotocol=True)) == Appended(nth(store, 1))
    assert create(store, registration=Registration.REJECTED) == Exists()
    record = store.charge_point("CP1")
    assert (record.registration, record.description, record.quirks.assume_subprotocol, record.revision) == (
        Registration.ACCEPTED,
        "garage",
        True,
        1,
    )


def test_an_update_changes_what_is_given_and_names_it(store):
    """The revision rises with each change; a stale one is refused."""
    create(store)
    assert one(store, UpdateChargePoint("CP1", at(1), description="new", revision=1)) == Appended(nth(store, 2))
    assert one(store, UpdateChargePoint("CP1", at(2), description="other", revision=1)) == GuardFailed()
    record = store.charge_point("CP1")
    assert (record.description, record.revision, record.updated_at) == ("new", 2, at(1))
    assert record.registration is Registration.ACCEPTED
    assert one(store, UpdateChargePoint("nobody", T0)) == Missing()


def test_labels_are_replaced_as_a_whole_and_named_as_one_field(store):
    """In the event only their name: what they are now is in the record."""
    create(store, labels={"b": "2", "a": "ü"})
    assert store.charge_point("CP1").labels == {"a": "ü", "b": "2"}
    assert one(store, UpdateChargePoint("CP1", at(1), labels={"a": "ü", "b": "2"})) == Appended(())
    assert one(store, UpdateChargePoint("CP1", at(1), description="x", labels={"c": ""})) == Appended(nth(store, 2))
    assert store.charge_point("CP1").labels == {"c": ""}
    assert codec.body_of(store.event(*nth(store, 2))).changed == ("description", "labels")
    assert [each.identity for each in store.charge_points("", 10, labels={"c": ""})] == ["CP1"]
    assert store.charge_points("", 10, labels={"c": "1"}) == []


def test_an_update_that_changes_nothing_is_no_event(store):
    """Same values, same revision."""
    create(store)
    assert one(store, UpdateChargePoint("CP1", at(1), registration=Registration.ACCEPTED)) == Appended(())
    assert store.charge_point("CP1").revision == 1
    assert types(store) == ["charge_point.created"]


def test_charge_points_are_listed_in_pages_and_filtered(store):
    """By identity, each once, whatever the page length."""
    for n in range(7):
        connect(store, f"CP{n}") if n % 2 else create(store, f"CP{n}", Registration.PENDING)
    assert [c.identity for c in store.charge_points("", 1000)] == [f"CP{n}" for n in range(7)]
    assert [c.identity for c in store.charge_points("CP2", 3)] == ["CP3", "CP4", "CP5"]
    assert [c.identity for c in store.charge_points("", 10, connected=True)] == ["CP1", "CP3", "CP5"]
    pending = store.charge_points("", 10, connected=False, registration=Registration.PENDING)
    assert [c.identity for c in pending] == ["CP0", "CP2", "CP4", "CP6"]


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_page_length_out_of_bounds_is_a_bug(store, limit):
    """1 to 1,000."""
    with pytest.raises(ValueError, match="limit"):
        store.charge_points("", limit)


def test_a_refused_boot_does_not_make_a_charge_point_accepted(store):
    """Only a boot that was answered Accepted does, and it stays so."""
    connect(store)
    boot = BootInformation("Vendor", "Model")
    append(store, ChargePointBooted(boot, Registration.PENDING, 10))
    assert not store.charge_point("CP1").ever_accepted
    append(store, ChargePointBooted(boot, Registration.ACCEPTED, 10))
    append(store, ChargePointBooted(boot, Registration.REJECTED, 10), seconds=7)
    record = store.charge_point("CP1")
    assert record.ever_accepted
    assert (record.boot, record.booted_at) == (boot, at(7))


# --- credentials ----------------------------------------------------------------------------------------------


def test_credentials_are_several_and_go_with_their_charge_point(store):
    """Added, replaced, removed; none is left for one created later under the identity."""
    create(store, credentials=(credential("a"),))
    assert one(store, AddCredential("CP1", credential("b"))) == Done()
    later = evolve(credential("b"), not_before=credential("a").not_before + timedelta(microseconds=1))
    assert store.credentials("CP1") == (credential("a"), later)  # made at the same time, and yet the newer one
    assert one(store, RemoveCredentials("CP1", ("a", "unknown"))) == Done()
    assert store.credentials("CP1") == (later,)
    one(store, UpdateChargePoint("CP1", T0, credentials=(credential("c"),)))
    assert store.credentials("CP1") == (credential("c"),)
    one(store, DeleteChargePoint("CP1", T0))
    assert one(store, AddCredential("CP1", credential())) == Missing()
    create(store)
    assert store.credentials("CP1") == ()


def test_admission_gets_what_it_needs_of_those_that_are_there(store):
    """The same as the records say, at once; nothing of an identity that is unknown or deleted."""
    assert store.admission("CP1") is None
    create(store)
    assert store.admission("CP1") == AdmissionRecord(())
    one(store, UpdateChargePoint("CP1", T0, quirks={"assume_subprotocol": True}))
    for each in ("b", "a"):
        one(store, AddCredential("CP1", credential(each)))
    assert store.admission("CP1") == AdmissionRecord(store.credentials("CP1"), QuirkValues(assume_subprotocol=True))
    one(store, DeleteChargePoint("CP1", T0))
    assert store.admission("CP1") is None


# --- idTags ---------------------------------------------------------------------------------------------------


def test_id_tags_compare_without_regard_to_case(store):
    """And are shown as entered."""
    tag = id_tag("TaG1", expiry_date=at(60), parent_id_tag="P", allow_concurrent=True, description="Ann")
    assert one(store, PutIdTag(tag, create=True)) == Done()
    assert one(store, PutIdTag(id_tag("tag1"), create=True)) == Exists()
    assert store.id_tag("TAG1") == tag
    assert one(store, DeleteIdTag("tAg1")) == Done()
    assert one(store, DeleteIdTag("tAg1")) == Missing()
    assert store.id_tag("TAG1") is None


def test_id_tags_are_replaced_at_the_expected_revision(store):
    """The creation time stays, the revision rises."""
    assert one(store, PutIdTag(id_tag(), create=False)) == Missing()
    one(store, PutIdTag(id_tag(), create=True))
    blocked = evolve(id_tag(status="Blocked"), created_at=at(9), updated_at=at(9))
    assert one(store, PutIdTag(blocked, create=False, expected_revision=1)) == Done()
    assert one(store, PutIdTag(id_tag(), create=False, expected_revision=1)) == GuardFailed()
    assert store.id_tag("tag1") == evolve(blocked, created_at=T0, revision=2)


def test_id_tags_are_listed_in_pages(store):
    """Ordered without regard to case."""
    for tag in ("b", "A", "C", "d"):
        one(store, PutIdTag(id_tag(tag), create=True))
    first = store.find_id_tags(of(), "", 3)
    assert [t.id_tag for t in first.records] == ["A", "b", "C"]
    rest = store.find_id_tags(of(), first.after, 3)
    assert ([t.id_tag for t in rest.records], rest.after) == (["d"], "")


# --- transactions ---------------------------------------------------------------------------------------------


def test_a_transaction_is_found_by_id_number_and_start(store):
    """The three lookups agree; another charge point's start key finds nothing."""
    connect(store)
    connect(store, "CP2")
    append(store, started(7, start_key="k"))
    record = store.transaction("tx_7")
    assert (record.number, record.charge_point, record.state, record.meter_start) == (7, "CP1", "OPEN", 100)
    assert store.transaction_by_number(7) == record
    assert store.transaction_by_start_key("CP1", "k") == record
    assert store.transaction_by_start_key("CP2", "k") is None


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30])
def test_any_number_may_be_asked_for(store, number):
    """A charger may name a number that no database holds."""
    assert store.transaction_by_number(number) is None


def test_of_several_transactions_with_one_start_key_the_newest_is_found(store):
    """A suspect clock gives two starts the same key."""
    connect(store)
    append(store, started(1, start_key="k"), stopped(1), started(2, start_key="k"))
    assert store.transaction_by_start_key("CP1", "k").transaction_id == "tx_2"


def test_a_stop_ends_a_transaction_once(store):
    """The first stop is the one that counts; flags of start and stop come together."""
    connect(store)
    start = event(started(1), flags=(Flag.LATE,), reported_at=at(-60), reported_raw="raw start")
    stop = event(stopped(1, 600), 10, flags=(Flag.LATE, Flag.METER_IMPLAUSIBLE), reported_at=at(5), reported_raw="raw")
    one(store, Append("CP1", 1, (start, stop, event(stopped(1, 900), 20))))
    record = store.transaction("tx_1")
    assert (record.state, record.meter_stop, record.energy) == (TransactionState.STOPPED, 600, 500)
    assert (record.started_at, record.start_raw) == (at(-60), "raw start")
    assert (record.stopped_at, record.stop_received_at, record.stop_raw) == (at(5), at(10), "raw")
    assert (record.stop_reason, record.stop_id_tag) == ("Local", "TAG")
    assert record.flags == (Flag.LATE, Flag.METER_IMPLAUSIBLE)


def test_a_stop_of_another_charge_point_ends_nothing(store):
    """A transaction is its charge point's own (B5.7)."""
    connect(store)
    connect(store, "CP2")
    append(store, started(1))
    append(store, stopped(1), identity="CP2")
    assert store.transaction("tx_1").state is TransactionState.OPEN


def test_a_lost_transaction_can_still_be_stopped(store):
    """Late is better than never (B4.9)."""
    connect(store)
    append(store, started(1), TransactionLost("tx_1", CONNECTOR))
    assert store.transaction("tx_1").state is TransactionState.LOST
    append(store, stopped(1))
    assert store.transaction("tx_1").state is TransactionState.STOPPED


def test_a_transactions_readings_are_its_own_in_order(store):
    """Start, meter values and stop, also those that come late, in pages; nothing of others."""
    connect(store)
    other = ConnectorAddress(2, 1)
    append(store, started(1), meter(1, "1"), started(2, "B", other), meter(2, "x"), meter(1, "2"), meter(None, "y"))
    assert tuple(e.sequence for e in store.readings("tx_1", 0, 10)) == nth(store, 3, 4, 7)
    append(store, stopped(1), meter(2, "z"), meter(1, "late"))
    readings = store.readings("tx_1", 0, 10)
    assert tuple(e.sequence for e in readings) == nth(store, 3, 4, 7, 9, 11)
    assert all(e.transaction_id == "tx_1" for e in readings)
    assert tuple(e.sequence for e in store.readings("tx_1", *nth(store, 4), 2)) == nth(store, 7, 9)
    assert store.readings("unknown", 0, 10) == []


def test_the_edges_of_a_transactions_readings_are_its_first_and_last_meter_values(store):
    """Neither start nor stop, each once where they overlap; nothing of others."""
    connect(store)
    other = ConnectorAddress(2, 1)
    append(store, started(1), started(2, "B", other), *(meter(1, str(n)) for n in range(5)), meter(2, "x"))
    assert tuple(e.sequence for e in store.edge_readings("tx_1", 2)) == nth(store, 5, 6, 8, 9)
    assert tuple(e.sequence for e in store.edge_readings("tx_1", 3)) == nth(store, 5, 6, 7, 8, 9)
    append(store, stopped(1), meter(1, "late"))
    assert tuple(e.sequence for e in store.edge_readings("tx_1", 1)) == nth(store, 5, 12)
    assert store.edge_readings("unknown", 3) == []


def test_open_transactions_of_a_tag_are_found_anywhere(store):
    """Without regard to case, over all charge points, until they end."""
    connect(store)
    connect(store, "CP2")
    append(store, started(1, "TAG"), started(2, "other"))
    append(store, started(3, "tag"), identity="CP2")
    assert [t.number for t in store.occupying_transactions_of_tag("Tag", 10)] == [1, 3]
    assert [t.number for t in store.occupying_transactions_of_tag("Tag", 1)] == [1]
    append(store, stopped(1))
    assert [t.number for t in store.occupying_transactions_of_tag("Tag", 10)] == [3]


def _history(store):
    connect(store)
    connect(store, "CP2")
    for n in range(6):
        append(store, started(n, f"tag{n % 2}"), identity=f"CP{1 + n % 3 // 2}", seconds=n // 2)
    append(store, stopped(0))


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (TransactionFilter(), [5, 4, 3, 2, 1, 0]),
        (TransactionFilter(charge_point="CP2"), [5, 2]),
        (TransactionFilter(charge_point="cp2"), []),
        (TransactionFilter(state=TransactionState.OPEN), [5, 4, 3, 2, 1]),
        (TransactionFilter(state=TransactionState.STOPPED), [0]),
        (TransactionFilter(started_from=at(1), started_before=at(2)), [3, 2]),
        (TransactionFilter(id_tag="TAG1"), [5, 3, 1]),
        (TransactionFilter("CP1", TransactionState.OPEN, at(0), at(2), "tag1"), [3, 1]),
    ],
)
def test_transactions_are_filtered_newest_start_first(store, where, numbers):
    """Any filters together, and in pages of any length the same."""
    _history(store)
    assert [t.number for t in store.transactions(where, None, 100)] == numbers
    paged, after = [], None
    while page := store.transactions(where, after, 2):
        paged += [t.number for t in page]
        after = page[-1].transaction_id
    assert paged == numbers


def test_times_of_any_year_can_be_kept(store):
    """A charger without a clock lives in 1970, one with a broken clock in the year 1 or 9999."""
    connect(store)
    for n, year in enumerate((1, 1970, 9999)):
        new = event(started(n), reported_at=datetime(year, 1, 1, tzinfo=UTC))
        one(store, Append("CP1", 1, (new,)))
    assert [t.started_at.year for t in store.transactions(TransactionFilter(), None, 10)] == [9999, 1970, 1]


def stale(number: int = 1, now: bool = True, why: str = "available") -> TransactionStaleChanged:
    return TransactionStaleChanged(f"tx_{number}", CONNECTOR, now, why)


def closing(number: int = 1, identity: str = "CP1", seconds: float = 50) -> CloseTransaction:
    return CloseTransaction(identity, event(TransactionClosed(f"tx_{number}", CONNECTOR, "gone"), seconds))


def test_what_occupies_a_tag_is_open_accepted_and_not_stale(store):
    """Also to the guard of a commit: the decision and the books agree."""
    connect(store)
    elsewhere = ConnectorAddress(9, 1)

    def occupied():
        found = [t.number for t in store.occupying_transactions_of_tag("tag", 10)]
        guarded = append(store, guards=[IdTagFree("TAG", elsewhere)])
        assert isinstance(guarded, GuardFailed) == bool(found)
        return found

    refused = evolve(started(2, connector=ConnectorAddress(2, 1)), status="ConcurrentTx")
    append(store, started(1), refused)
    assert occupied() == [1]
    append(store, stale(1))
    assert occupied() == []
    append(store, stale(1, now=False, why="charging"))
    assert occupied() == [1]
    assert isinstance(one(store, closing(1)), Appended)
    assert occupied() == []


def test_a_stale_transaction_is_open_and_shows_since_when_and_why(store):
    """The loaded state is what the events made of it; its end clears that."""
    state = connect(store).state
    events = [event(started(1)), event(stale(1), 20), event(started(2, connector=ConnectorAddress(2, 1)), 21)]
    result = one(store, Append("CP1", 1, tuple(events)))
    for new, sequence in zip(events, result.sequences, strict=True):
        evolve_state(state, new, sequence)
    record = store.transaction("tx_1")
    assert (record.state, record.stale_at, record.stale_why) == (TransactionState.OPEN, at(20), "available")
    assert connect(store).state.open_transactions == state.open_transactions
    for end, state_after in ((stopped(1), TransactionState.STOPPED), (TransactionLost("tx_2", CONNECTOR), "LOST")):
        append(store, stale(2))
        append(store, end)
        record = store.transaction(end.transaction_id)
        assert (record.state, record.stale_at, record.stale_why) == (state_after, None, "")
    append(store, stale(1))
    assert store.transaction("tx_1").stale_at is None


def test_an_operator_closes_what_is_open_and_a_stop_that_comes_later_counts(store):
    """The event, the record, and what stays of it."""
    connect(store)
    append(store, started(1), stale(1))
    assert isinstance(one(store, closing(1)), Appended)
    record = store.transaction("tx_1")
    assert (record.state, record.closed_at, record.close_reason) == (TransactionState.CLOSED, at(50), "gone")
    assert record.stale_at is None
    assert types(store)[-1] == "transaction.closed"
    assert connect(store).state.open_transactions == {}
    append(store, meter(1), seconds=60)
    append(store, stopped(1), seconds=70)
    record = store.transaction("tx_1")
    assert (record.state, record.energy, record.close_reason) == (TransactionState.STOPPED, 500, "gone")
    assert [each.type for each in store.readings("tx_1", 0, 10)] == [
        "transaction.started",
        "meter_values.reported",
        "transaction.stopped",
    ]


def test_only_an_open_transaction_of_the_charge_point_is_closed(store):
    """Anything else is refused and leaves no trace."""
    connect(store)
    connect(store, "CP2")
    append(store, started(1), stopped(1), started(2), TransactionLost("tx_2", CONNECTOR), started(3))
    before = store.bounds().head
    assert [one(store, closing(n)) for n in (1, 2)] == [GuardFailed(), GuardFailed()]
    assert one(store, closing(3, "CP2")) == one(store, closing(4)) == one(store, closing(3, "CP9")) == Missing()
    assert store.bounds().head == before
    one(store, closing(3))
    assert one(store, closing(3)) == GuardFailed()


def test_closed_transactions_are_a_filter_and_hold_back_no_retention(store):
    """As those that are lost."""
    connect(store)
    append(store, started(1), started(2, connector=ConnectorAddress(2, 1)))
    one(store, closing(1))
    found = store.transactions(TransactionFilter(state=TransactionState.CLOSED), None, 10)
    assert [t.number for t in found] == [1]
    for _ in range(3):
        one(store, Trim(None, 1000))
    assert store.readings("tx_1", 0, 10) == []
    assert [each.type for each in store.readings("tx_2", 0, 10)] == ["transaction.started"]


# --- reservations ---------------------------------------------------------------------------------------------


def made(reservation_id: int = 7, seconds: float = 60, connector: ConnectorAddress = CONNECTOR, **fields):
    return ReservationMade(reservation_id, connector, "TAG", at(seconds), **fields)


def held(store, identity: str = "CP1"):
    return [each.reservation_id for each in store.charge_point(identity).reservations]


def test_a_reservation_holds_until_it_ends(store):
    """It is shown with its charge point, as it was made; its own id ends it, on its own charge point."""
    connect(store)
    connect(store, "CP2")
    append(store, made(7, parent_id_tag="GROUP"), made(-1, connector=WHOLE_CHARGE_POINT), seconds=3)
    append(store, made(7), identity="CP2")
    assert store.charge_point("CP1").reservations == (
        ReservationRecord(-1, WHOLE_CHARGE_POINT, "TAG", at(60), at(3)),
        ReservationRecord(7, CONNECTOR, "TAG", at(60), at(3), "GROUP"),
    )
    append(store, ReservationEnded(7, CONNECTOR, "cancelled"), ReservationEnded(9, CONNECTOR, "cancelled"))
    assert held(store) == [-1]
    assert held(store, "CP2") == [7]


def test_a_reservation_is_replaced_in_one_commit(store):
    """The end of the one and the making of the other, under one id."""
    connect(store)
    append(store, made(7))
    append(store, ReservationEnded(7, CONNECTOR, "replaced"), made(7, 120))
    (record,) = store.charge_point("CP1").reservations
    assert record.expires_at == at(120)


def test_a_session_begins_with_the_reservations_that_hold(store):
    """Also after a restart."""
    connect(store)
    append(store, made(7), made(8), ReservationEnded(8, CONNECTOR, "expired"))
    reservations = connect(store, seconds=5).state.reservations
    assert reservations == {7: ReservationRecord(7, CONNECTOR, "TAG", at(60), T0)}


def test_the_end_of_a_used_reservation_is_an_event_of_its_transaction_and_no_reading(store):
    """It comes after the start, which makes the transaction known."""
    connect(store)
    append(store, made(7))
    append(store, started(1), ReservationEnded(7, CONNECTOR, "used", "tx_1"), meter(1))
    assert [e.type for e in store.readings("tx_1", 0, 10)] == ["transaction.started", "meter_values.reported"]
    (end,) = store.events(0, 10, EventFilter(types=frozenset({"reservation.ended"}))).events
    assert end.transaction_id == "tx_1"


@pytest.mark.parametrize(
    ("said", "flags", "reported", "shown"),
    [
        (status("Reserved"), (), None, {7, 9}),
        (status("Charging"), (), None, {7}),
        (status("Preparing"), (), None, set()),
        (status("Reserved", ConnectorAddress(2, 1)), (), None, {8, 9}),
        (status("Reserved"), (Flag.LATE,), -3600, set()),
        (status("Reserved"), (Flag.LATE,), 1, {7, 9}),
    ],
)
def test_what_a_status_shows_of_reservations_is_loaded_as_it_was_evolved(store, said, flags, reported, shown):
    """The store and the session make the same of it, also of one that is made after it."""
    state = connect(store).state
    bodies = [made(7), made(8, connector=ConnectorAddress(2, 1)), made(9, connector=WHOLE_CHARGE_POINT)]
    at_ = None if reported is None else at(reported)
    events = [event(body) for body in bodies] + [event(said, reported_at=at_, flags=flags), event(made(7, 90))]
    result = one(store, Append("CP1", 1, tuple(events)))
    for new, sequence in zip(events, result.sequences, strict=True):
        evolve_state(state, new, sequence)
    loaded = connect(store).state.reservations
    assert loaded == state.reservations
    again = {7} if said == status("Reserved") else set()
    assert {number for number, each in loaded.items() if each.shown} == (shown - {7}) | again


def test_overdue_reservations_are_those_of_the_disconnected(store):
    """First to expire first, and under the epoch of their last connection; sessions end theirs by themselves."""
    for identity in ("CP1", "CP2", "CP3"):
        connect(store, identity)
    append(store, made(1, 30), made(2, 20), made(3, 99), disconnected())
    append(store, made(4, 25), disconnected(), identity="CP2")
    append(store, made(5, 10), identity="CP3")
    found = store.overdue_reservations(at(30), 10)
    assert [(each.charge_point, each.reservation.reservation_id) for each in found] == [
        ("CP1", 2),
        ("CP2", 4),
        ("CP1", 1),
    ]
    assert [each.epoch for each in found] == [1, 1, 1]
    assert [each.reservation.reservation_id for each in store.overdue_reservations(at(30), 1)] == [2]
    connect(store, "CP1", 31)
    assert [each.charge_point for each in store.overdue_reservations(at(40), 10)] == ["CP2"]


def test_a_deleted_charge_points_reservations_end(store):
    """Each with its event; none is left for a charge point created later under the identity."""
    connect(store)
    append(store, made(7), disconnected())
    one(store, DeleteChargePoint("CP1", at(9)))
    assert types(store)[-2:] == ["reservation.ended", "charge_point.deleted"]
    assert store.overdue_reservations(at(99), 10) == []
    assert connect(store, seconds=10).state.reservations == {}


# --- commands -------------------------------------------------------------------------------------------------


def test_a_commands_life_is_its_events(store):
    """Queued, sent, answered, with the time of each."""
    connect(store)
    append(store, queued(1), seconds=1)
    append(store, sent(1), seconds=2)
    assert store.command("cmd_1").state is CommandState.SENT
    append(store, answered(1), seconds=3)
    command = store.command("cmd_1")
    assert (command.created_at, command.sent_at, command.finished_at) == (at(1), at(2), at(3))
    assert (command.state, command.answer, command.error) == (CommandState.ANSWERED, StatusAnswer("Accepted"), None)
    assert (command.arguments, command.fingerprint) == ({"reset_type": "Soft"}, "print")
    assert store.command_by_request("CP1", "req1") == command
    assert store.command_by_request("CP2", "req1") is None


def test_a_late_answer_mends_an_unknown_outcome(store):
    """Once: what comes after an answer changes nothing."""
    connect(store)
    append(store, queued(1), sent(1), CommandOutcomeUnknown("cmd_1", "Reset", "deadline"))
    error = ChargerError("InternalError", "no", "{}")
    append(store, CommandAnswered("cmd_1", "Reset", error=error, late=True), answered(1))
    command = store.command("cmd_1")
    assert (command.state, command.error, command.answer, command.late) == (CommandState.ANSWERED, error, None, True)
    assert command.reason == ""


def test_a_command_that_was_not_sent_stays_so(store):
    """No later event makes it anything else."""
    connect(store)
    append(store, queued(1), CommandNotSent("cmd_1", "Reset", "deadline"), sent(1), answered(1))
    command = store.command("cmd_1")
    assert (command.state, command.reason, command.answer) == (CommandState.NOT_SENT, "deadline", None)


def test_a_command_that_was_not_sent_takes_its_key_away_and_no_other(store):
    """One that was sent may have brought it: then it stays, whatever is said of the command later."""
    ids = [id_for_command(f"cmd_{number}") for number in range(1, 5)]
    create(store, credentials=(credential("old"), *map(credential, ids)))
    connect(store)
    append(store, *map(queued, range(1, 5)), sent(2), sent(3), answered(3))
    for number in (1, 3):
        append(store, CommandNotSent(f"cmd_{number}", "ChangeConfiguration", "disconnected"))
    append(store, CommandOutcomeUnknown("cmd_2", "ChangeConfiguration", "disconnected"))
    assert {each.credential_id for each in store.credentials("CP1")} == {"old", *ids[1:]}


def test_commands_without_a_request_id_are_many(store):
    """The gateway's own need none, and none of them is found by it."""
    connect(store)
    append(store, queued(1, ""), queued(2, ""))
    assert store.command_by_request("CP1", "") is None


def test_commands_are_listed_newest_first_in_pages(store):
    """Of one charge point or of all."""
    connect(store)
    connect(store, "CP2")
    for n in range(6):
        append(store, queued(n), identity=f"CP{1 + n % 2}")
    assert [c.command_id for c in store.commands(None, None, 4)] == ["cmd_5", "cmd_4", "cmd_3", "cmd_2"]
    assert [c.command_id for c in store.commands(None, "cmd_2", 4)] == ["cmd_1", "cmd_0"]
    assert [c.command_id for c in store.commands("CP1", "cmd_4", 4)] == ["cmd_2", "cmd_0"]
    assert store.commands(None, "unknown", 4) == []


def test_a_key_that_a_clock_behind_has_dated_is_the_newest_all_the_same(store):
    """The order of the keys decides with which one a charger goes on."""
    create(store, credentials=(credential("old"),))
    assert one(store, AddCredential("CP1", evolve(credential("new"), not_before=at(-100)))) == Done()
    found = {each.credential_id: each.not_before for each in store.credentials("CP1")}
    assert found["new"] > found["old"] == at(0)


def test_a_clocks_offset_is_loaded_as_it_was_evolved(store):
    """By statuses, starts, stops and boots: the session, the store and the record have the same."""
    state = connect(store).state
    events = (
        event(status("Charging"), 10, reported_at=at(8)),
        event(started(), 20, reported_at=at(19)),
        event(meter(), 25, reported_at=at(-500), flags=(Flag.LATE,)),
        event(stopped(), 30, reported_at=at(27)),
    )
    result = one(store, Append("CP1", 1, events))
    for new, sequence in zip(events, result.sequences, strict=True):
        evolve_state(state, new, sequence)
    assert (state.clock.offset, state.clock.measured_at) == (timedelta(seconds=-1), at(30))
    record = store.charge_point("CP1")
    assert record is not None
    assert record.clock == state.clock == connect(store).state.clock


def test_a_connections_time_is_counted_until_its_charger_was_last_heard(store):
    """Also where no session was there to say; what its transactions were quiet for follows."""
    connect(store)
    append(store, started(), stopped(), seconds=0)
    one(store, Append("CP1", 1, (event(ChargePointDisconnected("closed", "peer", last_heard=at(100)), 500),)))
    known = store.transaction("tx_1").settlement
    assert (known.quiet, known.connected_since) == (timedelta(seconds=100), None)
    connect(store, seconds=1000)
    one(store, RecordLastHeard((("CP1", at(1200)),)))
    store.settle(at(9000))
    assert store.transaction("tx_1").settlement.quiet == timedelta(seconds=300)
    connect(store, seconds=10_000)
    known = store.transaction("tx_1").settlement
    assert (known.quiet, known.connected_since) == (timedelta(seconds=300), at(10_000))
    connect(store, seconds=10_050)  # a takeover: the connection before was heard of as it began
    assert store.transaction("tx_1").settlement.quiet == timedelta(seconds=300)


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (KeyAnswer.TAKEN, {"new": KeyStanding.SETTLED}),
        (KeyAnswer.AFTER_BOOT, {"old": KeyStanding.SETTLED, "new": KeyStanding.AFTER_BOOT}),
        (KeyAnswer.REFUSED, {"old": KeyStanding.SETTLED}),
        (KeyAnswer.UNKNOWN, {"old": KeyStanding.SETTLED, "new": KeyStanding.OFFERED}),
    ],
)
def test_a_chargers_answer_decides_which_keys_stay(store, answer, left):
    """Those of others are not touched, and what is not there is nothing to decide."""
    create(store, credentials=(credential("old"),))
    one(store, AddCredential("CP1", evolve(credential("new"), standing=KeyStanding.OFFERED)))
    assert one(store, DecideKey("CP1", "new", answer)) == Done()
    assert standings(store) == left
    assert one(store, DecideKey("CP1", "gone", KeyAnswer.TAKEN)) == Done()
    assert one(store, DecideKey("NOBODY", "new", KeyAnswer.TAKEN)) == Done()
    assert standings(store) == left


def test_the_key_that_a_charger_has_used_settles_the_others(store):
    """Older ones go, and newer ones that it was offered before; not one that it has answered to since, nor anything
    where the key itself has gone meanwhile."""
    create(store, credentials=(credential("a"),))
    for name in ("b", "c", "d"):
        one(store, AddCredential("CP1", evolve(credential(name), standing=KeyStanding.OFFERED)))
    one(store, DecideKey("CP1", "d", KeyAnswer.AFTER_BOOT))
    assert one(store, UseKey("CP1", "b", ("c", "d"))) == Done()
    assert standings(store) == {"b": KeyStanding.SETTLED, "d": KeyStanding.AFTER_BOOT}
    one(store, AddCredential("CP1", evolve(credential("e"), standing=KeyStanding.OFFERED)))
    left = {"b": KeyStanding.SETTLED, "d": KeyStanding.AFTER_BOOT, "e": KeyStanding.OFFERED}
    assert one(store, UseKey("CP1", "a", ("d", "e"))) == Done()
    assert one(store, UseKey("NOBODY", "a", ("e",))) == Done()
    assert standings(store) == left
    one(store, UseKey("CP1", "d", ("e",)))
    assert standings(store) == {"d": KeyStanding.SETTLED}


def standings(store):
    return {each.credential_id: each.standing for each in store.credentials("CP1")}


@pytest.mark.parametrize(
    ("kind", "end", "least"),
    [
        (OperationKind.UPGRADE_SECURITY_PROFILE, End.DONE, 3),
        (OperationKind.UPGRADE_SECURITY_PROFILE, End.ROLLED_BACK, 2),
        (OperationKind.ROTATE_AUTHORIZATION_KEY, End.DONE, 2),
    ],
)
def test_a_confirmed_upgrade_raises_the_least_profile(store, kind, end, least):
    """In the transaction of its end, and by nothing else."""
    one(store, CreateChargePoint("CP1", Registration.ACCEPTED, (), T0, minimum_security_profile=2))
    epoch = connect(store).epoch
    request = OperationRequest(kind, arguments={"security_profile": 3})
    accepted = event(OperationAccepted("op", "r", request, T0 + timedelta(hours=1)))
    one(store, Append("CP1", epoch, (accepted,)))
    one(store, Append("CP1", epoch, (event(OperationEnded("op", end)),)))
    assert store.charge_point("CP1").minimum_security_profile == least
    assert store.admission("CP1").minimum_security_profile == least
