"""Lists with filters and orders, and counts: what passes, in which order, page by page, and nothing besides."""

from datetime import timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.conditions import AllOf, AnyOf, Comparison, Not, Operator, Order
from gateway.domain.events import (
    BootInformation,
    CertificateInstalled,
    ChargePointBooted,
    NewEvent,
    OperationAccepted,
    OperationEnded,
    TransactionAttributed,
    TransactionLost,
    TransactionOrphaned,
)
from gateway.domain.operations import End, OperationKind, OperationRequest
from gateway.domain.records import IdTagRecord, TransactionState
from gateway.domain.values import WHOLE_CHARGE_POINT, Registration
from gateway.store import lists
from gateway.store.commits import AttributeOrphan, DeleteChargePoint, PutIdTag, UpdateChargePoint
from gateway.store.lists import ChargePointCount, ConnectorCount, Query
from tests.store.builders import (
    CONNECTOR,
    T0,
    answered,
    append,
    at,
    connect,
    create,
    one,
    queued,
    started,
    status,
    stopped,
)

EQUAL, LESS, FROM = Operator.EQUAL, Operator.LESS, Operator.GREATER_OR_EQUAL


def all_pages(find, query=lists.ALL, size=2):
    """Every page of a list, as the records of each."""
    pages, after = [], ""
    while True:
        found = find(query, after, size)
        assert len(found.places) == len(found.records)
        pages.append(found.records)
        after = found.after
        if not after:
            return pages


def identities(store, query=lists.ALL, size=2):
    return [each.identity for page in all_pages(store.find_charge_points, query, size) for each in page]


def booted(firmware):
    boot = BootInformation(vendor="acme", model="M", firmware_version=firmware)
    return ChargePointBooted(boot, Registration.ACCEPTED, 300)


@pytest.fixture
def fleet(store):
    """CP0 to CP5, the even ones at the north site, each created later than the one before; CP5 is gone."""
    for number in range(6):
        site = {"site": "north" if number % 2 == 0 else "south"}
        create(store, f"CP{number}", labels={**site, f"only{number}": ""}, description=f"No. {number}")
        one(store, UpdateChargePoint(f"CP{number}", at(100 - number), description="changed"))
    one(store, UpdateChargePoint("CP1", at(200), registration=Registration.PENDING))
    connect(store, "CP2")
    one(store, DeleteChargePoint("CP5", at(300)))
    return store


def where(*parts):
    return Query(AllOf(parts) if len(parts) > 1 else parts[0])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (lists.ALL, "CP0 CP1 CP2 CP3 CP4"),
        (where(Comparison("identity", FROM, "CP3")), "CP3 CP4"),
        (where(Comparison("registration", EQUAL, "Pending")), "CP1"),
        (where(Not(Comparison("registration", EQUAL, "Pending"))), "CP0 CP2 CP3 CP4"),
        (where(Comparison("connected", EQUAL, True)), "CP2"),
        (where(Comparison("connected", EQUAL, False)), "CP0 CP1 CP3 CP4"),
        (where(Comparison("description", EQUAL, "changed")), "CP0 CP1 CP2 CP3 CP4"),
        (where(Comparison("update_time", LESS, at(98))), "CP3 CP4"),
        (where(Comparison("labels", EQUAL, "north", "site")), "CP0 CP2 CP4"),
        (where(Comparison("labels", Operator.HAS, "", "only3")), "CP3"),
        (where(Not(Comparison("labels", Operator.HAS, "", "only3"))), "CP0 CP1 CP2 CP4"),
        (where(Comparison("labels", EQUAL, "", "only3")), "CP3"),
        (where(AnyOf((Comparison("identity", EQUAL, "CP0"), Comparison("connected", EQUAL, True)))), "CP0 CP2"),
        (
            where(Comparison("labels", EQUAL, "north", "site"), Not(Comparison("connected", EQUAL, True))),
            "CP0 CP4",
        ),
        (Query(labels=(("site", "north"),)), "CP0 CP2 CP4"),
        (Query(labels=(("only4", ""), ("site", "north"))), "CP4"),
        (Query(labels=(("site", "north"), ("site", "south"))), ""),
        (Query(order=Order("identity", descending=True)), "CP4 CP3 CP2 CP1 CP0"),
        (Query(order=Order("create_time")), "CP0 CP1 CP2 CP3 CP4"),
        (Query(order=Order("update_time")), "CP4 CP3 CP2 CP0 CP1"),
        (Query(order=Order("update_time", descending=True)), "CP1 CP0 CP2 CP3 CP4"),
    ],
)
def test_a_list_holds_what_passes_in_order(fleet, query, found):
    """Page by page, whatever their size; a deleted charge point is in none."""
    for size in (1, 2, 1000):
        assert identities(fleet, query, size) == found.split()


def test_labels_are_found_as_they_are_now(fleet):
    """Changed, taken away with the charge point, and there again with a new one of its name."""
    north = Query(labels=(("site", "north"),))
    one(fleet, UpdateChargePoint("CP1", at(), labels={"site": "north"}))
    one(fleet, UpdateChargePoint("CP0", at(), labels={}))
    one(fleet, UpdateChargePoint("CP3", at(), description="labels as before"))
    assert identities(fleet, north) == ["CP1", "CP2", "CP4"]
    one(fleet, DeleteChargePoint("CP2", at()))
    assert identities(fleet, north) == ["CP1", "CP4"]
    create(fleet, "CP2")
    assert identities(fleet, north) == ["CP1", "CP4"]
    create(fleet, "CP9", labels={"site": "north"})
    assert identities(fleet, north) == ["CP1", "CP4", "CP9"]
    assert fleet.labelled({"site": "north"}, None, 10) == ["CP1", "CP4", "CP9"]


def test_labels_of_an_older_version_are_found(place):
    """They are taken over when the database is opened by this one."""
    store = place.open()
    create(store, labels={"site": "north"})
    store = place.open()
    assert identities(store, Query(labels=(("site", "north"),))) == ["CP1"]


def test_a_basic_charge_point_has_its_own_fields_alone(store):
    """And those are as in the whole one."""
    connect(store)
    append(store, booted("1.2"), status())
    (whole,) = store.find_charge_points(lists.ALL, "", 10).records
    (basic,) = store.find_charge_points(lists.ALL, "", 10, False).records
    assert whole == store.charge_point("CP1")
    assert basic.connectors == ()
    assert whole.connectors != ()
    for name in ("identity", "registration", "boot", "connection", "created_at", "revision", "labels"):
        assert getattr(basic, name) == getattr(whole, name)


def test_connectors_are_found_with_their_charge_points(fleet):
    """Of many at once, each with its own; nothing else of other tables is read."""
    for identity in ("CP0", "CP2"):
        append(fleet, status("Charging"), status("Available", WHOLE_CHARGE_POINT), identity=identity)
    found = fleet.find_connectors(Query(labels=(("site", "north"),)), "", 2)
    assert [each.identity for each in found.records] == ["CP0", "CP2"]
    rest = fleet.find_connectors(Query(labels=(("site", "north"),)), found.after, 2)
    assert ([each.identity for each in rest.records], rest.after) == (["CP4"], "")
    for each in (*found.records, *rest.records):
        whole = fleet.charge_point(each.identity)
        assert (each.connectors, each.charging_states) == (whole.connectors, whole.charging_states)
    assert [len(each.connectors) for each in found.records] == [2, 2]


def test_identities_that_there_ever_were_are_known(fleet):
    """Those of deleted charge points, too; case matters."""
    assert fleet.ever_known(["CP0", "CP5", "cp0", "CP6"]) == {"CP0", "CP5"}
    assert fleet.ever_known([]) == set()


def test_what_a_charger_said_of_itself_is_looked_for(store):
    """Before its first boot it has no firmware, which is equal to none and less than none."""
    for identity, firmware in (("CP1", "1.2"), ("CP2", "1.10")):
        connect(store, identity)
        append(store, booted(firmware), identity=identity)
    create(store, "CP3")
    assert identities(store, where(Comparison("firmware_version", EQUAL, "1.2"))) == ["CP1"]
    assert identities(store, where(Not(Comparison("firmware_version", EQUAL, "1.2")))) == ["CP2", "CP3"]
    assert identities(store, where(Comparison("vendor", EQUAL, "acme"))) == ["CP1", "CP2"]
    assert identities(store, where(Comparison("firmware_version", LESS, "9"))) == ["CP1", "CP2"]
    assert identities(store, where(Not(Comparison("firmware_version", LESS, "9")))) == ["CP3"]
    assert identities(store, where(Comparison("boot_time", LESS, at(1)))) == ["CP1", "CP2"]


# --- transactions and commands --------------------------------------------------------------------------------


@pytest.fixture
def charged(store):
    """Transactions 1 to 6, an hour apart, the odd ones of CP1 at the north site; 1 and 2 have stopped, 3 is lost."""
    create(store, "CP1", labels={"site": "north"})
    create(store, "CP2", labels={"site": "south"})
    for number in range(1, 7):
        identity = "CP1" if number % 2 else "CP2"
        append(store, started(number, f"TAG{number % 3}"), identity=identity, seconds=3600 * number)
    for number in (1, 2):
        append(store, stopped(number), identity="CP1" if number % 2 else "CP2", seconds=30_000)
    append(store, TransactionLost("tx_3", CONNECTOR), identity="CP1")
    return store


def numbers(store, query=lists.ALL, size=2):
    return [each.number for page in all_pages(store.find_transactions, query, size) for each in page]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (lists.ALL, [6, 5, 4, 3, 2, 1]),
        (Query(order=Order("start_time")), [1, 2, 3, 4, 5, 6]),
        (where(Comparison("charge_point", EQUAL, "CP1")), [5, 3, 1]),
        (where(Not(Comparison("charge_point", EQUAL, "CP1"))), [6, 4, 2]),
        (where(Comparison("charge_point", EQUAL, "none")), []),
        (where(Comparison("state", EQUAL, "OPEN")), [6, 5, 4]),
        (where(Comparison("state", EQUAL, "OPEN"), Comparison("charge_point", EQUAL, "CP1")), [5]),
        (where(Comparison("id_tag", EQUAL, "tag1")), [4, 1]),
        (where(Comparison("start_time", FROM, at(3600 * 5))), [6, 5]),
        (where(Comparison("start_time", FROM, at(3600 * 2)), Comparison("start_time", LESS, at(3600 * 4))), [3, 2]),
        (where(Comparison("stop_time", LESS, at(40_000))), [2, 1]),
        (where(Not(Comparison("stop_time", LESS, at(40_000)))), [6, 5, 4, 3]),
        (where(Comparison("stop_reason", EQUAL, "Local")), [2, 1]),
        (where(Comparison("stale", EQUAL, True)), []),
        (where(Comparison("labels", EQUAL, "north", "site")), [5, 3, 1]),
        (Query(labels=(("site", "south"),)), [6, 4, 2]),
        (where(Comparison("labels", Operator.HAS, "", "site")), [6, 5, 4, 3, 2, 1]),
        (Query(Comparison("state", EQUAL, "OPEN"), (("site", "south"),), Order("start_time")), [4, 6]),
    ],
)
def test_transactions_are_found(charged, query, found):
    """The newest start first, unless another order is asked for."""
    for size in (1, 2, 1000):
        assert numbers(charged, query, size) == found


@pytest.mark.parametrize("scanned", [1, 2, 3])
@pytest.mark.parametrize("order", [None, Order("start_time")])
def test_a_call_looks_at_no_more_than_its_bound(charged, monkeypatch, scanned, order):
    """A page may then be empty, and the next one goes on behind what was looked at: nothing is lost, nothing twice."""
    for kind in ("sqlite", "postgres"):
        monkeypatch.setattr(f"gateway.store.{kind}.list_queries.SCANNED", scanned)
    query = Query(Comparison("stop_reason", EQUAL, "Local"), order=order)
    pages = all_pages(charged.find_transactions, query, 1000)
    assert sorted(each.number for page in pages for each in page) == [1, 2]
    assert len(pages) == 6 // scanned + 1
    first = [] if order is None else [1, 2][:scanned]
    assert [each.number for each in pages[0]] == first


def test_commands_are_found(store):
    """By state, operation, time, request id and charge point; the newest first."""
    create(store, "CP1", labels={"site": "north"})
    create(store, "CP2")
    for number in range(1, 5):
        append(store, queued(number), identity="CP1" if number % 2 else "CP2", seconds=number)
    append(store, answered(1), identity="CP1", seconds=60)

    def found(*parts, **changes):
        query = Query(*([where(*parts).condition] if parts else []), **changes)
        return [each.command_id for page in all_pages(store.find_commands, query) for each in page]

    assert found() == ["cmd_4", "cmd_3", "cmd_2", "cmd_1"]
    assert found(order=Order("create_time")) == ["cmd_1", "cmd_2", "cmd_3", "cmd_4"]
    assert found(Comparison("request_id", EQUAL, "req2")) == ["cmd_2"]
    assert found(Comparison("request_id", EQUAL, "")) == []
    assert found(Comparison("state", EQUAL, "QUEUED")) == ["cmd_4", "cmd_3", "cmd_2"]
    assert found(Comparison("operation", EQUAL, "Reset"), Comparison("create_time", FROM, at(3))) == ["cmd_4", "cmd_3"]
    assert found(Comparison("charge_point", EQUAL, "CP1")) == ["cmd_3", "cmd_1"]
    assert found(Comparison("finish_time", LESS, at(100))) == ["cmd_1"]
    assert found(labels=(("site", "north"),)) == ["cmd_3", "cmd_1"]
    assert found(Comparison("labels", Operator.HAS, "", "site")) == ["cmd_3", "cmd_1"]


def test_operations_are_found(store):
    """By kind, end, time, caller and charge point; the newest first."""
    create(store, "CP1", labels={"site": "north"})
    create(store, "CP2")
    for number in range(1, 5):
        kind = OperationKind.START_CHARGING if number < 4 else OperationKind.STOP_CHARGING
        request = OperationRequest(kind, id_tag="TAG")
        accepted = OperationAccepted(f"op_{number}", f"r{number}", request, at(900), caller="" if number < 3 else "ann")
        append(store, accepted, identity="CP1" if number % 2 else "CP2", seconds=number)
    append(store, OperationEnded("op_1", End.REFUSED, "Rejected"), identity="CP1", seconds=60)

    def found(*parts, **changes):
        query = Query(*([where(*parts).condition] if parts else []), **changes)
        return [each.operation_id for page in all_pages(store.find_operations, query) for each in page]

    assert found() == ["op_4", "op_3", "op_2", "op_1"]
    assert found(order=Order("create_time")) == ["op_1", "op_2", "op_3", "op_4"]
    assert found(Comparison("kind", EQUAL, "STOP_CHARGING")) == ["op_4"]
    assert found(Comparison("open", EQUAL, True)) == ["op_4", "op_3", "op_2"]
    assert found(Comparison("end", EQUAL, "REFUSED"), Comparison("reason", EQUAL, "Rejected")) == ["op_1"]
    assert found(Not(Comparison("end", EQUAL, "REFUSED"))) == ["op_4", "op_3", "op_2"]
    assert found(Comparison("create_time", FROM, at(3))) == ["op_4", "op_3"]
    assert found(Comparison("end_time", LESS, at(100))) == ["op_1"]
    assert found(Comparison("caller", EQUAL, "ann")) == ["op_4", "op_3"]
    assert found(Comparison("caller", EQUAL, "")) == []
    assert found(Comparison("charge_point", EQUAL, "CP1")) == ["op_3", "op_1"]
    assert found(labels=(("site", "north"),)) == ["op_3", "op_1"]
    assert found(Comparison("labels", Operator.HAS, "", "site")) == ["op_3", "op_1"]
    assert found(Comparison("labels", Operator.HAS, "", "other")) == []


def test_orphans_are_found(store):
    """By time, by charge point, and those that no transaction has got yet; the first received first."""
    create(store, "CP1", labels={"site": "north"})
    create(store, "CP2")
    for number in range(1, 5):
        orphan = TransactionOrphaned(number, "unknown-number", {"transactionId": number})
        append(store, orphan, status(str(number)), identity="CP1" if number % 2 else "CP2", seconds=number)
    append(store, started(9), identity="CP1", seconds=5)
    (first, *_) = store.find_orphans(lists.ALL, "", 10).records
    stop = (first.sequence, first.event_id, 1, 600, "Local", 500, at(1))
    given = TransactionAttributed("tx_9", CONNECTOR, *stop, "found by its register", "q")
    one(store, AttributeOrphan("CP1", NewEvent(given, at(9))))

    def found(*parts, **changes):
        query = Query(*([where(*parts).condition] if parts else []), **changes)
        return [
            orjson.loads(each.body_json)["number"] for page in all_pages(store.find_orphans, query) for each in page
        ]

    assert found() == [1, 2, 3, 4]
    assert found(order=Order("receive_time", descending=True)) == [4, 3, 2, 1]
    assert found(Comparison("attributed", EQUAL, True)) == [1]
    assert found(Comparison("attributed", EQUAL, False)) == [2, 3, 4]
    assert found(Comparison("receive_time", FROM, at(3))) == [3, 4]
    assert found(Comparison("report_time", FROM, at(0))) == []
    assert found(Comparison("charge_point", EQUAL, "CP2")) == [2, 4]
    assert found(labels=(("site", "north"),)) == [1, 3]
    assert found(Comparison("labels", Operator.HAS, "", "site")) == [1, 3]
    assert found(Not(Comparison("labels", Operator.HAS, "", "site"))) == [2, 4]


def test_tags_are_found(store):
    """Without regard to case; those without a parent or an expiry are equal to none."""
    for number, tag in enumerate(("b", "A", "C", "d")):
        parent = "Family" if number % 2 else None
        expiry = at(50) if tag == "C" else None
        status_ = "Blocked" if tag == "d" else "Accepted"
        record = IdTagRecord(tag, status_, at(number), at(9 - number), expiry, parent, tag == "b", f"No. {number}")
        one(store, PutIdTag(record, create=True))

    def found(*parts, **changes):
        query = Query(*([where(*parts).condition] if parts else []), **changes)
        return [each.id_tag for page in all_pages(store.find_id_tags, query) for each in page]

    assert found() == ["A", "b", "C", "d"]
    assert found(order=Order("id_tag", descending=True)) == ["d", "C", "b", "A"]
    assert found(order=Order("create_time")) == ["b", "A", "C", "d"]
    assert found(order=Order("update_time")) == ["d", "C", "A", "b"]
    assert found(Comparison("id_tag", FROM, "B")) == ["b", "C", "d"]
    assert found(Comparison("id_tag", EQUAL, "a")) == ["A"]
    assert found(Comparison("status", EQUAL, "Blocked")) == ["d"]
    assert found(Comparison("parent_id_tag", EQUAL, "FAMILY")) == ["A", "d"]
    assert found(Not(Comparison("parent_id_tag", EQUAL, "FAMILY"))) == ["b", "C"]
    assert found(Comparison("expire_time", LESS, at(60))) == ["C"]
    assert found(Comparison("allow_concurrent", EQUAL, True)) == ["b"]
    assert found(Comparison("description", EQUAL, "No. 3"), Comparison("create_time", FROM, at(2))) == ["d"]
    assert found(labels=(("site", "north"),)) == []


@pytest.mark.parametrize(
    "after",
    ["x", "{}", "[1]", '["a", []]', "[1, 2, 3]", '["a", 1]', "[1, true]", "[9223372036854775808, 1]", "[1, -1e99]"],
)
def test_a_place_that_no_page_has_had_is_refused(charged, after):
    """As an error of the caller's."""
    with pytest.raises(ValueError):
        charged.find_transactions(lists.ALL, after, 10)


@pytest.mark.parametrize(
    ("order", "wrong"),
    [
        ("identity", "[1, 1]"),
        ("identity", '["CP1", "CP1"]'),
        ("identity", f'["CP1", {2**31}]'),
        ("create_time", '["CP1", 1]'),
        ("create_time", f"[{2**63}, 1]"),
        ("certificate_expire_time", "[null, 1]"),
    ],
)
def test_a_place_of_another_order_is_refused(fleet, order, wrong):
    """By the kinds of its values: a database would take them for a fault of its own, or compare them."""
    with pytest.raises(ValueError):
        fleet.find_charge_points(Query(order=Order(order)), wrong, 10)


def test_a_place_of_tags_is_two_texts(store):
    """Their key is a text."""
    with pytest.raises(ValueError):
        store.find_id_tags(lists.ALL, '["a", 1]', 10)


# --- counts ---------------------------------------------------------------------------------------------------


def test_charge_points_are_counted(fleet):
    """By registration and connection; and their connectors by status, those of deleted ones and zeros left out."""
    append(
        fleet, status("Charging"), status("Available", connector=started().connector.__class__(0, 0)), identity="CP2"
    )
    append(fleet, status("Available"), identity="CP0")
    append(fleet, status("Faulted"), identity="CP5")
    counts = fleet.count_charge_points(lists.ALL)
    accepted, pending = Registration.ACCEPTED, Registration.PENDING
    assert counts.charge_points == [
        ChargePointCount(accepted, False, 3),
        ChargePointCount(accepted, True, 1),
        ChargePointCount(pending, False, 1),
    ]
    assert counts.connectors == [ConnectorCount("Available", False, 1), ConnectorCount("Charging", True, 1)]
    north = fleet.count_charge_points(Query(labels=(("site", "north"),)))
    assert sum(each.count for each in north.charge_points) == 3
    faulted = fleet.count_charge_points(where(Comparison("connected", EQUAL, True)))
    assert (faulted.charge_points, faulted.connectors) == (
        [ChargePointCount(accepted, True, 1)],
        [ConnectorCount("Charging", True, 1)],
    )


def test_transactions_are_counted_by_state(charged):
    """With a filter and labels, or of all."""
    assert charged.count_transactions(lists.ALL) == {
        TransactionState.LOST: 1,
        TransactionState.OPEN: 3,
        TransactionState.STOPPED: 2,
    }
    assert charged.count_transactions(Query(labels=(("site", "south"),))) == {
        TransactionState.OPEN: 2,
        TransactionState.STOPPED: 1,
    }
    assert charged.count_transactions(where(Comparison("id_tag", EQUAL, "TAG1"))) == {
        TransactionState.OPEN: 1,
        TransactionState.STOPPED: 1,
    }


# --- any condition --------------------------------------------------------------------------------------------

PEOPLE = [(f"CP{n}", {"site": s, **({"x": "1"} if n % 3 == 0 else {})}) for n, s in enumerate("aabbcaab")]
LEAVES = st.one_of(
    st.builds(
        Comparison,
        st.just("identity"),
        st.sampled_from([each for each in Operator if each is not Operator.HAS]),
        st.sampled_from(["CP0", "CP3", "CP5", "", "zz"]),
    ),
    st.builds(Comparison, st.just("labels"), st.just(EQUAL), st.sampled_from("abc1"), st.sampled_from(["site", "x"])),
    st.builds(Comparison, st.just("labels"), st.just(Operator.HAS), st.just(""), st.sampled_from(["site", "x", "y"])),
    st.builds(Comparison, st.just("vendor"), st.just(EQUAL), st.just("acme")),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


def passes(condition, identity, labels):
    """The condition, without a database. No charge point has booted."""
    match condition:
        case Not(part):
            return not passes(part, identity, labels)
        case AllOf(parts):
            return all(passes(part, identity, labels) for part in parts)
        case AnyOf(parts):
            return any(passes(part, identity, labels) for part in parts)
        case Comparison("vendor"):
            return False
        case Comparison("labels", Operator.HAS, key=key):
            return key in labels
        case Comparison("labels", key=key, value=value):
            return labels.get(key) == value
        case Comparison(operator=operator, value=value):
            less, equal = identity < value, identity == value
            return {"=": equal, "<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[operator]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    from gateway.store.sqlite import SqliteStore

    store = SqliteStore(tmp_path_factory.mktemp("lists") / "gateway.db", clock=lambda: T0)
    for identity, labels in PEOPLE:
        create(store, identity, labels=labels)
    yield store
    store.close()


@given(CONDITIONS)
@settings(max_examples=200, deadline=timedelta(seconds=5))
def test_any_condition_is_as_true_in_the_store_as_it_reads(people, condition):
    """There is no third value: a record passes a condition or its opposite, and never both."""
    expected = [identity for identity, labels in PEOPLE if passes(condition, identity, labels)]
    assert identities(people, Query(condition), 3) == expected
    opposite = [identity for identity, _ in PEOPLE if identity not in expected]
    assert identities(people, Query(Not(condition)), 3) == opposite


def test_charge_points_are_listed_by_the_ends_of_their_certificates(fleet):
    """Page by page, those without one last; the newest certificate of each counts."""
    for identity, serial, seconds in (("CP3", "0A", 50), ("CP0", "0B", 10), ("CP4", "0C", 30), ("CP3", "0D", 20)):
        append(fleet, CertificateInstalled(serial, at(seconds), ""), identity=identity)
    ends = Order("certificate_expire_time")
    assert identities(fleet, Query(order=ends), 1) == ["CP0", "CP3", "CP4", "CP1", "CP2"]
    assert identities(fleet, Query(order=Order("certificate_expire_time", descending=True)), 2) == [
        *("CP2", "CP1", "CP4", "CP3", "CP0")
    ]
    near = Comparison("certificate_expire_time", LESS, at(30))
    assert identities(fleet, Query(near, order=ends)) == ["CP0", "CP3"]
    assert identities(fleet, Query(near, (("site", "south"),), ends)) == ["CP3"]
    assert identities(fleet, Query(Not(near), order=ends)) == ["CP4", "CP1", "CP2"]
    assert identities(fleet, Query(Comparison("certificate_serial_number", EQUAL, "0D"))) == ["CP3"]
