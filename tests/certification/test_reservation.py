"""OCTT's cases of reservations."""

from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.domain.commands import (
    AvailabilityType,
    CancelReservation,
    ChangeAvailability,
    GetConfiguration,
    RefusalReason,
    ReserveNow,
    StatusAnswer,
)
from gateway.domain.values import WHOLE_CHARGE_POINT, ConnectorAddress
from tests.support.harness import Harness, virtual_clock
from tests.support.station import ACCEPTED, REJECTED, Station, booted, time

ONE = ConnectorAddress(1, 1)
TEN_MINUTES = 600


def reservation(connector: ConnectorAddress = ONE, parent: str | None = None) -> ReserveNow:
    return ReserveNow(connector, virtual_clock() + timedelta(seconds=TEN_MINUTES), "TAG", 7, parent)


def sent(connector: int = 1, **more: Any) -> Any:
    return {"connectorId": connector, "expiryDate": time(TEN_MINUTES), "idTag": "TAG", "reservationId": 7, **more}


async def reserve(station: Station, status: str = "Accepted") -> None:
    assert await station.obeys(reservation(), sent(), {"status": status}) == StatusAnswer(status)


async def test_tc_046_reservation_becomes_a_transaction(harness: Harness, autojump_clock: MockClock) -> None:
    """The reserved tag starts under its reservation: accepted, and the transaction carries it and uses it up."""
    async with booted(harness) as station:
        await reserve(station)
        assert station.reserved() == [7]
        await station.status(1, "Reserved")
        assert await station.authorize() == ACCEPTED
        await station.status(1, "Preparing")
        started = await station.starts(reservationId=7)
        assert started["idTagInfo"] == ACCEPTED
        await station.status(1, "Charging")
        assert station.transaction(started["transactionId"]).reservation_id == 7
        assert (station.reserved(), station.reservations_ended()) == ([], [(7, "used")])


async def test_tc_047_reservation_expires(harness: Harness, autojump_clock: MockClock) -> None:
    """The expiry lies in the future; when it has come the connector is available, that is confirmed, and the record of
    the reservation ends."""
    async with booted(harness) as station:
        past = await station.is_spared(ReserveNow(ONE, virtual_clock(), "TAG", 7))
        assert past.violations[0].field == "expire_time"
        await reserve(station)
        await station.status(1, "Reserved")
        assert station.reserved() == [7]
        await trio.sleep(TEN_MINUTES)
        await station.status(1, "Available")
        assert (station.reserved(), station.reservations_ended()) == ([], [(7, "expired")])


@pytest.mark.parametrize(("case", "status"), [("048_1", "Faulted"), ("048_2", "Occupied"), ("048_4", "Rejected")])
async def test_tc_048_reservation_refused(harness: Harness, autojump_clock: MockClock, case: str, status: str) -> None:
    """048_1, 048_2, 048_4: each reason for not reserving is returned by its own word, and nothing is reserved."""
    async with booted(harness) as station:
        if status != "Rejected":
            word = "Faulted" if status == "Faulted" else "Preparing"
            await station.status(1, word, "OtherError" if status == "Faulted" else "NoError")
        await reserve(station, status)
        assert not station.recorded("transaction.started", "reservation.made"), case


async def test_tc_048_3_reservation_of_an_unavailable_connector(harness: Harness, autojump_clock: MockClock) -> None:
    """The operator takes the connector out of service; its reservation is answered Unavailable."""
    async with booted(harness) as station:
        command = ChangeAvailability(ONE, AvailabilityType.INOPERATIVE)
        answer = await station.obeys(command, {"connectorId": 1, "type": "Inoperative"}, ACCEPTED)
        assert answer == StatusAnswer("Accepted")
        await station.status(1, "Unavailable")
        await reserve(station, "Unavailable")
        assert not station.reserved()


async def test_tc_049_reservation_of_connector_zero(harness: Harness, autojump_clock: MockClock) -> None:
    """Any connector is reserved as connector 0."""
    async with booted(harness) as station:
        answer = await station.obeys(reservation(WHOLE_CHARGE_POINT), sent(0), ACCEPTED)
        assert answer == StatusAnswer("Accepted")
        assert station.reserved() == [7]
        assert await station.authorize() == ACCEPTED
        assert (await station.starts(connector=2, reservationId=7))["idTagInfo"] == ACCEPTED
        assert station.reservations_ended() == [(7, "used")]


@pytest.mark.parametrize(("case", "answer"), [("051", ACCEPTED), ("052", REJECTED)])
async def test_tc_051_cancel_reservation(harness: Harness, autojump_clock: MockClock, case: str, answer: Any) -> None:
    """051, 052: a reservation is cancelled by its id; its word is returned, and the record follows it."""
    async with booted(harness) as station:
        await reserve(station)
        await station.status(1, "Reserved")
        reported = await station.obeys(CancelReservation(7), {"reservationId": 7}, answer)
        assert reported == StatusAnswer(answer["status"]), case
        assert station.reserved() == ([] if answer is ACCEPTED else [7])
        assert station.reservations_ended() == ([(7, "cancelled")] if answer is ACCEPTED else [])
        await station.status(1, "Available" if answer is ACCEPTED else "Reserved")


async def test_tc_053_reservation_for_a_group(harness: Harness, autojump_clock: MockClock) -> None:
    """Another tag of the same group is answered with its parent, uses the reservation, and yet another one may stop."""
    for tag in ("FIRST", "SECOND"):
        harness.add_tag(tag, parent_id_tag="GROUP")
    info = {"status": "Accepted", "parentIdTag": "GROUP"}
    async with booted(harness) as station:
        command = reservation(parent="GROUP")
        assert await station.obeys(command, sent(parentIdTag="GROUP"), ACCEPTED) == StatusAnswer("Accepted")
        await station.status(1, "Reserved")
        assert await station.authorize("FIRST") == info
        started = await station.starts(id_tag="FIRST", reservationId=7)
        assert started["idTagInfo"] == info
        assert station.reservations_ended() == [(7, "used")]
        assert await station.authorize("SECOND") == info
        assert await station.stops(started["transactionId"], idTag="SECOND") == {"idTagInfo": info}
        assert not station.transaction(started["transactionId"]).flags


@pytest.mark.parametrize("connector", [0, 1])
@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
async def test_a_reservation_ends_where_its_connector_goes_out_of_service(
    harness: Harness, autojump_clock: MockClock, connector: int, status: str
) -> None:
    """B9.10: the connector, or the whole charge point."""
    async with booted(harness) as station:
        await reserve(station)
        await station.status(2, status)
        assert station.reserved() == [7]
        await station.status(connector, status)
        assert (station.reserved(), station.reservations_ended()) == ([], [(7, "connector-unavailable")])


async def test_a_reservation_with_the_same_id_replaces(harness: Harness, autojump_clock: MockClock) -> None:
    """B9.10: on another connector, say."""
    async with booted(harness) as station:
        await reserve(station)
        assert await station.obeys(reservation(ConnectorAddress(2, 1)), sent(2), ACCEPTED) == StatusAnswer("Accepted")
        assert (station.reserved(), station.reservations_ended()) == ([7], [(7, "replaced")])
        assert station.recorded("reservation.made", "reservation.ended") == [
            "reservation.made",
            "reservation.ended",
            "reservation.made",
        ]


async def test_a_reservation_of_any_connector_needs_a_charger_that_knows_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """B9.10: ReserveConnectorZeroSupported false is believed, and nothing is sent."""
    async with booted(harness) as station:
        key = {"key": "ReserveConnectorZeroSupported", "readonly": True, "value": "false"}
        await station.obeys(GetConfiguration(), {}, {"configurationKey": [key]})
        refused = await station.is_spared(reservation(WHOLE_CHARGE_POINT))
        assert refused.reason is RefusalReason.INVALID_COMMAND
