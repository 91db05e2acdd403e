"""The record of the charging profiles that a charge point has accepted (S §3.13, B10.4)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from attrs import evolve as changed

from gateway.domain import profiles as p
from gateway.domain.charging import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    SchedulePeriod,
)
from gateway.domain.command_states import consequences
from gateway.domain.commands import (
    ChargerError,
    ClearChargingProfile,
    RemoteStartTransaction,
    SetChargingProfile,
    StatusAnswer,
)
from gateway.domain.events import ChargingProfileInstalled, ChargingProfileRemoved, NewEvent
from gateway.domain.profiles import MAX_PROFILES, START_PATIENCE, Profiles
from gateway.domain.records import TransactionRecord, TransactionState
from gateway.domain.state import ChargePointState, evolve
from gateway.domain.steering import InstalledProfile
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress, Registration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONE, TWO = ConnectorAddress(1, 1), ConnectorAddress(2, 1)
ACCEPTED, UNKNOWN = StatusAnswer("Accepted"), StatusAnswer("Unknown")
MAX, DEFAULT, TX = ProfilePurpose.CHARGE_POINT_MAX, ProfilePurpose.TX_DEFAULT, ProfilePurpose.TX


def profile(
    number: int = 1, purpose: ProfilePurpose = DEFAULT, level: int = 0, transaction_id: str | None = None
) -> ChargingProfile:
    """A limit of 16 A."""
    schedule = ChargingSchedule(ChargingRateUnit.AMPERE, (SchedulePeriod(0, Decimal(16)),))
    return ChargingProfile(number, level, purpose, ProfileKind.ABSOLUTE, schedule, transaction_id)


def has(*of: InstalledProfile) -> Profiles:
    """The record of these."""
    return {each.profile.profile_id: each for each in of}


def on(connector: ConnectorAddress, its: ChargingProfile, at: datetime = NOW) -> InstalledProfile:
    """A profile that was accepted."""
    return InstalledProfile(connector, its, at, "cmd_1")


def charge_point(**more: object) -> ChargePointState:
    """A charge point with an open transaction on connector 1."""
    running = TransactionRecord("tx_1", 1, "CP1", ONE, "TAG", "Accepted", TransactionState.OPEN, 0, NOW, NOW, 1)
    return ChargePointState("CP1", 1, Registration.ACCEPTED, open_transactions={"tx_1": running}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("new", "replaced"),
    [
        (on(TWO, profile(1, MAX, 5)), True),
        (on(ONE, profile(2)), True),
        (on(TWO, profile(2)), False),
        (on(ONE, profile(2, MAX)), False),
        (on(ONE, profile(2, level=1)), False),
    ],
    ids=["same id", "same place", "other connector", "other purpose", "other level"],
)
def test_a_profile_replaces_its_id_and_its_place(new: InstalledProfile, replaced: bool) -> None:
    """Across connectors by its id; by purpose and stack level on one connector (B10.4)."""
    old = on(ONE, profile(1))
    after = p.installed(has(old), new)
    assert (old in after.values()) is not replaced
    assert new in after.values()


def test_the_oldest_profile_gives_way_where_too_many_are_accepted() -> None:
    """A charger that accepts everything fills no memory."""
    known: Profiles = {}
    for number in range(MAX_PROFILES + 1):
        known = p.installed(known, on(ONE, profile(number, level=number), NOW + timedelta(seconds=number)))
    assert sorted(known) == list(range(1, MAX_PROFILES + 1))


@pytest.mark.parametrize("connector", [ONE, WHOLE_CHARGE_POINT])
def test_a_profile_of_a_remote_start_becomes_its_transactions(connector: ConnectorAddress) -> None:
    """On the connector that starts, also where the remote start named none."""
    after = p.started(has(on(connector, profile(1, TX))), ONE, "tx_1", NOW + START_PATIENCE)
    assert after == has(on(ONE, profile(1, TX, transaction_id="tx_1")))


def test_a_profile_of_a_remote_start_that_came_to_nothing_goes_with_the_next_transaction() -> None:
    """It was meant for another one; that of another connector waits."""
    late = NOW + START_PATIENCE + timedelta(seconds=1)
    waits = on(TWO, profile(2, TX))
    assert p.started(has(on(ONE, profile(1, TX)), waits), ONE, "tx_1", late) == has(waits)


def test_profiles_go_with_their_transaction() -> None:
    """Others stay."""
    default = on(ONE, profile(1))
    assert p.ended(has(default, on(ONE, profile(2, TX, transaction_id="tx_1"))), "tx_1") == has(default)


def test_a_boot_ends_what_a_remote_start_brought() -> None:
    """The profile of a running transaction may still be there."""
    running = on(ONE, profile(2, TX, transaction_id="tx_1"))
    assert p.booted(has(running, on(ONE, profile(1, TX, 1)))) == has(running)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (ClearChargingProfile(), {1, 2, 3}),
        (ClearChargingProfile(2), {2}),
        (ClearChargingProfile(9), set()),
        (ClearChargingProfile(connector=ONE), {1, 2}),
        (ClearChargingProfile(connector=WHOLE_CHARGE_POINT), {3}),
        (ClearChargingProfile(purpose=DEFAULT, stack_level=1), {2}),
        (ClearChargingProfile(connector=TWO), set()),
        (ClearChargingProfile(1, purpose=MAX), {1}),
    ],
)
def test_a_clear_is_about_its_id_or_all_its_criteria(command: ClearChargingProfile, expected: set[int]) -> None:
    """An id stands alone (S §5.5, B9.15)."""
    known = has(on(ONE, profile(1)), on(ONE, profile(2, level=1)), on(WHOLE_CHARGE_POINT, profile(3, MAX)))
    assert {each.profile.profile_id for each in p.cleared(known, command)} == expected


# --- what follows from answers --------------------------------------------------------------------------------


def test_an_accepted_profile_is_installed() -> None:
    """Sent by itself or with a remote start."""
    sent = profile(1)
    installed = ChargingProfileInstalled(ONE, sent)
    assert consequences(SetChargingProfile(ONE, sent), ACCEPTED, charge_point(), NOW) == (installed,)
    start = RemoteStartTransaction("TAG", ONE, sent)
    assert consequences(start, ACCEPTED, charge_point(), NOW) == (installed,)
    anywhere = changed(start, connector=None)
    assert consequences(anywhere, ACCEPTED, charge_point(), NOW) == (
        ChargingProfileInstalled(WHOLE_CHARGE_POINT, sent),
    )
    assert consequences(changed(start, charging_profile=None), ACCEPTED, charge_point(), NOW) == ()


@pytest.mark.parametrize("answer", [StatusAnswer("Rejected"), StatusAnswer("NotSupported"), ChargerError("Generic")])
def test_a_profile_that_is_not_accepted_is_not_installed(answer: StatusAnswer | ChargerError) -> None:
    """Nor does it replace one."""
    assert consequences(SetChargingProfile(ONE, profile()), answer, charge_point(), NOW) == ()
    assert consequences(RemoteStartTransaction("TAG", ONE, profile()), answer, charge_point(), NOW) == ()
    known = charge_point(profiles=dict(has(on(ONE, profile()))))
    assert consequences(ClearChargingProfile(), answer, known, NOW) == ()


def test_a_profile_of_a_transaction_that_has_ended_is_not_installed() -> None:
    """Its answer came after the stop; nothing would ever take it out of the record."""
    command = SetChargingProfile(ONE, profile(1, TX, transaction_id="tx_gone"))
    assert consequences(command, ACCEPTED, charge_point(), NOW) == ()


@pytest.mark.parametrize(("answer", "why"), [(ACCEPTED, "cleared"), (UNKNOWN, "unknown")])
def test_what_was_to_be_cleared_is_removed(answer: StatusAnswer, why: str) -> None:
    """Also where the charger says that it has no such profile."""
    state = charge_point(profiles=dict(has(on(ONE, profile(1)), on(TWO, profile(2)))))
    removed = ChargingProfileRemoved(ONE, 1, DEFAULT, why)
    assert consequences(ClearChargingProfile(1), answer, state, NOW) == (removed,)
    evolve(state, NewEvent(removed, NOW), 1)
    assert set(state.profiles) == {2}
