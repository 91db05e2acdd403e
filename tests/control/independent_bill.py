"""A bill made from exported events alone, with a separate arithmetic: nothing of the gateway is imported here.

It takes events as JSON, as `EventService.WatchEvents` gives them, of meters that are in order, and follows
docs/energy.md: the end is the charger's stop, else the stop that an operator tied to the transaction, else the register
that an operator closed it with; energy is stop less start, divided evenly between readings; the energy until a border
is rounded to whole milliwatt-hours, halves up; amounts are exact; the total is rounded once, halves away from zero.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any


def bill(
    events: Sequence[dict[str, Any]],
    transaction: str,
    prices: Sequence[tuple[datetime, datetime, str]],
    standing_charge: str,
    decimals: int = 2,
) -> tuple[list[int], str]:
    """The milliwatt-hours at each price, and the total."""
    readings: dict[Fraction, Fraction] = {}
    first = last = Fraction(0)
    closed: tuple[Fraction, Fraction] | None = None
    for event in events:
        if (body := event.get("transaction_started")) and body["transaction_id"] == transaction:
            first = _seconds(event["report_time"])
            readings[first] = Fraction(body["meter_start"]["milliwatt_hours"])
        elif (body := event.get("transaction_stopped")) and body["transaction_id"] == transaction:
            last, closed = _seconds(event["report_time"]), None
            _add(readings, json.loads(body.get("transaction_data_json", "[]")))
            readings[last] = Fraction(body["meter_stop"]["milliwatt_hours"])
        elif (body := event.get("transaction_attributed")) and body["transaction_id"] == transaction:
            last, closed = _seconds(event["report_time"]), None
            _add(readings, json.loads(body.get("transaction_data_json") or "[]"))
            readings[last] = Fraction(body["meter_stop"]["milliwatt_hours"])
        elif (body := event.get("transaction_closed")) and body["transaction_id"] == transaction:
            if "meter_stop" in body:
                last = _seconds(body["end_time"])
                closed = (last, Fraction(body["meter_stop"]["milliwatt_hours"]))
        elif (body := event.get("meter_values_reported")) and body.get("transaction_id") == transaction:
            _add(readings, json.loads(body["meter_value_json"]))
    if closed is not None:
        readings[closed[0]] = closed[1]
    curve = sorted((at, mwh - readings[first]) for at, mwh in readings.items() if first <= at <= last)
    energies, before = [], 0
    for _, until, _ in prices:
        here = _until(curve, _seconds(until.isoformat()))
        energies.append(here - before)
        before = here
    exact = Fraction(standing_charge)
    for mwh, (*_, price) in zip(energies, prices, strict=True):
        exact += mwh * Fraction(price) / 1_000_000
    return energies, _rounded(exact, decimals)


def recorded(events: Sequence[dict[str, Any]], transaction: str) -> list[int]:
    """The energies of a transaction's revisions, in milliwatt-hours. Fails where they do not follow on one another."""
    found = list[int]()
    for event in events:
        body = event.get("transaction_energy_changed")
        if body is None or body["transaction_id"] != transaction:
            continue
        assert int(body["revision"]) == len(found) + 1
        before = int(body["previous_energy"]["milliwatt_hours"]) if "previous_energy" in body else None
        assert before == (found[-1] if found else None)
        assert body["state"] == "ENERGY_STATE_PROVISIONAL"
        found.append(int(body["energy"]["milliwatt_hours"]))
    return found


def _add(readings: dict[Fraction, Fraction], meter_value: list[dict[str, Any]]) -> None:
    for element in meter_value:
        for sample in element["sampledValue"]:
            if sample.get("measurand", "Energy.Active.Import.Register") == "Energy.Active.Import.Register":
                scale = 1_000_000 if sample.get("unit") == "kWh" else 1000
                readings[_seconds(element["timestamp"])] = Fraction(sample["value"]) * scale


def _seconds(text: str) -> Fraction:
    since = datetime.fromisoformat(text).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return Fraction(since.days * 86_400 + since.seconds) + Fraction(since.microseconds, 1_000_000)


def _until(curve: list[tuple[Fraction, Fraction]], at: Fraction) -> int:
    if at <= curve[0][0]:
        return 0
    for (begin, low), (end, high) in pairwise(curve):
        if at < end:
            return floor(low + (high - low) * (at - begin) / (end - begin) + Fraction(1, 2))
    return int(curve[-1][1])


def _rounded(amount: Fraction, decimals: int) -> str:
    scaled = floor(abs(amount) * 10**decimals + Fraction(1, 2))
    sign = "-" if amount < 0 and scaled else ""
    return f"{sign}{scaled // 10**decimals}.{scaled % 10**decimals:0{decimals}}"
