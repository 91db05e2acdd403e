"""docs/rules.md, D: meter values as real chargers send them, and what is read from them."""

from decimal import Decimal
from typing import Any

from trio.testing import MockClock

from gateway.domain import events as e
from gateway.domain.live_power import live_power_w
from gateway.domain.power import Power
from gateway.domain.readings import Sample, energy_mwh, register_wh, samples
from gateway.domain.values import ConnectorAddress, Flag
from tests.support.harness import Harness, virtual_clock
from tests.support.station import Station, booted, time


def sampled(value: Any, measurand: str | None = None, unit: str | None = None, **more: Any) -> Any:
    given = {"value": value, "measurand": measurand, "unit": unit, **more}
    return {name: each for name, each in given.items() if each is not None}


async def metered(station: Station, *values: Any, number: int | None = None, at: float = 0) -> list[Sample]:
    """Send one MeterValues; what is read from what was kept of it."""
    more: dict[str, Any] = {} if number is None else {"transactionId": number}
    element = {"timestamp": time(at), "sampledValue": list(values)}
    assert await station.says("MeterValues", connectorId=1, meterValue=[element], **more) == {}
    kept = station.harness.bodies(e.MeterValuesReported.TYPE)[-1]
    assert isinstance(kept, e.MeterValuesReported)
    assert kept.meter_value == (element,)
    return samples(kept.meter_value, virtual_clock())


def power(found: list[Sample]) -> Power:
    known = live_power_w(found)
    assert known is not None
    return known


async def test_quirk_11_power_is_worked_out_where_it_is_not_sent(harness: Harness, autojump_clock: MockClock) -> None:
    """Wallbox Pulsar Plus, 3 phases: currents and voltages, no Power.Active.Import."""
    async with booted(harness) as station:
        phases = ("L1", "L2", "L3")
        found = await metered(
            station,
            *(sampled("10", "Current.Import", "A", phase=phase) for phase in phases),
            *(sampled("230", "Voltage", "V", phase=phase) for phase in phases),
        )
        assert power(found).watts == 6900


async def test_quirk_13_power_by_phases_is_added_up_and_the_text_null_is_nothing(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """ABB Terra AC: no total, and "info":"null"."""
    async with booted(harness) as station:
        found = await metered(
            station, *(sampled("1000", "Power.Active.Import", "W", phase=phase) for phase in ("L1", "L2", "L3"))
        )
        assert (power(found).watts, power(found).estimated) == (3000, False)
        await station.status(1, "Preparing", info="null", vendorErrorCode="null")
        body = harness.bodies(e.ConnectorStatusChanged.TYPE)[-1]
        assert isinstance(body, e.ConnectorStatusChanged)
        assert (body.info, body.vendor_error_code) == (None, None)


async def test_quirk_17_the_begin_of_a_transaction_is_no_reading_of_now(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Growatt: Sample.Periodic and Transaction.Begin registers in one message."""
    async with booted(harness) as station:
        register = "Energy.Active.Import.Register"
        found = await metered(
            station,
            sampled("1000", register, "Wh", context="Transaction.Begin"),
            sampled("1700", register, "Wh", context="Sample.Periodic"),
        )
        assert register_wh(found) == Decimal(1700)


async def test_quirk_23_an_unknown_context_spoils_nothing(harness: Harness, autojump_clock: MockClock) -> None:
    """Alfen: an illegal context. Confirmed, kept as sent, flagged, read."""
    async with booted(harness) as station:
        found = await metered(station, sampled("5", "Current.Import", "A", context="Nonsense"))
        assert (found[0].value, found[0].context) == (Decimal(5), "Nonsense")
        assert Flag.DEVIATES in harness.events(e.MeterValuesReported.TYPE)[-1].flags


async def test_quirk_29_no_samples_are_confirmed(harness: Harness, autojump_clock: MockClock) -> None:
    """Vestel: sampledValue []."""
    async with booted(harness) as station:
        assert await metered(station) == []


async def test_quirk_49_phases_to_neutral_are_phases_of_current_and_power(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Unnamed: current and power tagged L2-N."""
    async with booted(harness) as station:
        names = ("L1-N", "L2-N", "L3-N")
        found = await metered(station, *(sampled("2", "Power.Active.Import", "kW", phase=name) for name in names))
        assert power(found).watts == 6000
        found = await metered(
            station,
            *(sampled("16", "Current.Import", "A", phase=name) for name in names),
            *(sampled("230", "Voltage", "V", phase=name) for name in names),
        )
        assert power(found).watts == 11_040


async def test_quirk_51_a_register_is_kept_as_labelled(harness: Harness, autojump_clock: MockClock) -> None:
    """OpenEVSE: kWh labelled Wh. Nothing is scaled on suspicion: what was sent stays beside what was read."""
    async with booted(harness) as station:
        (sample,) = await metered(station, sampled("12.345", "Energy.Active.Import.Register", "Wh"))
        assert (sample.value_raw, sample.unit, energy_mwh(sample)) == ("12.345", "Wh", 12_345)


async def test_quirk_53_what_is_offered_is_no_measurement(harness: Harness, autojump_clock: MockClock) -> None:
    """Sungrow, EVBox Elvi: Current.Offered is 16 or 90 for ever."""
    async with booted(harness) as station:
        found = await metered(
            station,
            sampled("16", "Current.Offered", "A"),
            sampled("11000", "Power.Offered", "W"),
            sampled("230", "Voltage", "V", phase="L1"),
        )
        assert live_power_w(found) is None


async def test_quirk_55_queued_samples_are_late_and_belong_to_their_own_time(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """eProWallbox: samples of a quarter of an hour ago, measured at the inlet."""
    async with booted(harness) as station:
        number = await station.charges()
        old = await metered(
            station, sampled("900", "Energy.Active.Import.Register", "Wh", location="Inlet"), number=number, at=-900
        )
        event = harness.events(e.MeterValuesReported.TYPE)[-1]
        assert Flag.LATE in event.flags
        new = await metered(station, sampled("1100", "Energy.Active.Import.Register", "Wh", location="Inlet"))
        # Readers of the live value take the newest by its own time; the inlet will do where there is no outlet.
        assert register_wh(old + new) == Decimal(1100)


async def test_values_of_the_main_meter_are_no_connectors(harness: Harness, autojump_clock: MockClock) -> None:
    """Connector 0 is never added to a transaction, whatever number it is sent with (B6.2)."""
    async with booted(harness) as station:
        number = await station.charges()
        element = {"timestamp": time(), "sampledValue": [sampled("70")]}
        assert await station.says("MeterValues", connectorId=0, transactionId=number, meterValue=[element]) == {}
        kept = harness.bodies(e.MeterValuesReported.TYPE)[-1]
        assert kept == e.MeterValuesReported(ConnectorAddress(0, 0), (element,), None, number)
