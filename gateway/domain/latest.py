"""The newest readings of one charge point's connectors: kept as sent, and worked out when they are asked for.

With each message only what it takes to find them again is kept: the newest message of each set of measurands, for some
chargers send the energy each minute and the rest each quarter of an hour. What an older message says never replaces
what a newer one said (B6.6). At the end of a session the readings are worked out once, and go with it to the store.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import orjson
from attrs import define, field, frozen

from gateway.domain.codec import UnreadableBody, body_of
from gateway.domain.dialects import samples_of
from gateway.domain.events import FIRST_DIALECT, MeterValuesReported, NewEvent, StoredEvent, TransactionStopped
from gateway.domain.measurements import RULES, Kind, Reading, ValueSource, readings_of, slope
from gateway.domain.registers import thinned
from gateway.domain.values import JSON, Flag

MAX_PLACES: Final = 64
"""Connectors whose readings are kept: as many as have open transactions at once."""

MAX_SETS: Final = 4
"""Sets of measurands of which a connector's newest message is kept: periodic, by the clock, triggered, at a stop."""

MAX_BYTES: Final = 16_384
"""Of one message: some 150 values. Of a larger one the newest moment is kept, if that is smaller."""

MAX_MOMENTS: Final = 128
"""Moments of one message that are read: those of ``MAX_BYTES`` are fewer."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

MICROSECOND: Final = timedelta(microseconds=1)

Place: TypeAlias = tuple[int, int]
"""EVSE and connector."""

Message: TypeAlias = tuple[bytes, datetime, datetime, str, tuple[Flag, ...], Any]
"""Meter values as JSON, their time, the time of receipt, their dialect, the message's flags, and the message before it
where it has no power; else None. A plain tuple: one is made with each message."""

Kept: TypeAlias = tuple[tuple[Place, tuple[Message, ...]], ...]

STOP: Final = ("stop", "")
"""Stands for the set of what a transaction's stop says. Sets go by their first and last measurands."""


@frozen
class Latest:
    """The newest readings of one connector. ``rules``: by which version of the rules, the oldest one of them."""

    readings: Mapping[tuple[Kind, str], Reading] = field(factory=dict)
    """By kind and phase; "" in total."""
    before: Reading | None = None
    """The register in total before the newest one."""
    rules: int = RULES

    def total(self, kind: Kind) -> Reading | None:
        """The newest reading in total. A power that no message has is that between the last two registers."""
        found = self.readings.get((kind, ""))
        register = self.readings.get((Kind.ENERGY_REGISTER, ""))
        if kind is Kind.POWER and found is None and self.before is not None and register is not None:
            return slope(self.before, register)
        return found

    @property
    def phases(self) -> list[Reading]:
        """The newest readings by phase."""
        return [reading for (_, phase), reading in sorted(self.readings.items()) if phase]

    def after(self, readings: Iterable[Reading]) -> "Latest":
        """With more readings, of whatever time."""
        newest, before = dict(self.readings), self.before
        for reading in readings:
            key = (reading.kind, reading.phase)
            known = newest.get(key)
            register = key == (Kind.ENERGY_REGISTER, "")
            if known is None or reading.at >= known.at:
                newest[key] = reading
                if register and known is not None and reading.at > known.at:
                    before = known
            elif register and (before is None or reading.at > before.at):
                before = reading
        return Latest(newest, before, self.rules)


@define
class LatestMessages:
    """Of one charge point, in its owner's state."""

    base: bytes = b""
    """Readings that the sessions before have left (``encoded``); empty: none."""
    kept: dict[Place, dict[Any, Message]] = field(factory=dict)
    """By connector and set of measurands, the newest message last: at most MAX_PLACES, and MAX_SETS of each."""

    def add(
        self, body: MeterValuesReported | TransactionStopped, event: NewEvent | StoredEvent, has_power: bool
    ) -> None:
        """Keep what is committed. For every message, so it calls next to nothing."""
        at, dialect = event.reported_at or event.received_at, body.dialect
        key: Any
        if body.__class__ is MeterValuesReported:
            values = body.meter_value
            try:
                sampled = values[0]["sampledValue"]
                key = (sampled[0]["measurand"], sampled[-1]["measurand"])
            except (LookupError, TypeError):
                key = None  # the register alone, as a rule
            data = body.meter_value_json or orjson.dumps(values)
            if data[MAX_BYTES:]:  # longer; a call of ``len`` less
                data = _newest_moment(values, event.reported_raw)
        else:
            assert isinstance(body, TransactionStopped)
            key, data, dialect = STOP, _stop(body, event), FIRST_DIALECT
        place, before = (body.connector.evse, body.connector.connector), None
        if not data:
            return
        if place not in self.kept:
            if len(self.kept) >= MAX_PLACES:
                return
            self.kept[place] = {}
        sets = self.kept[place]
        try:
            is_known = key in sets
        except TypeError:  # a list in the place of a name
            return
        if is_known:
            known = sets[key]
            if at < known[1]:
                return
            if not has_power:
                before = (*known[:5], None)
            del sets[key]
        elif len(sets) >= MAX_SETS:
            del sets[next(iter(sets))]
        sets[key] = (data, at, event.received_at, dialect, event.flags, before)

    def add_stored(self, events: Iterable[StoredEvent]) -> None:
        """Keep what the store has, in the order of the sequences."""
        for event in events:
            try:
                body = body_of(event)
            except UnreadableBody:
                continue
            if isinstance(body, MeterValuesReported | TransactionStopped):
                self.add(body, event, False)

    def of(self, place: Place) -> Latest:
        """The readings of one connector that this session has brought: a tenth of a millisecond for each message."""
        messages = tuple(self.kept.get(place, {}).values())
        return LatestView(kept=((place, messages),)).worked_out()[place]

    def view(self) -> "LatestView":
        """The messages that are kept now, to be read in another thread."""
        return LatestView(self.base, tuple((place, tuple(sets.values())) for place, sets in self.kept.items()))


@frozen
class LatestView:
    """The messages that are kept of one charge point at one moment."""

    base: bytes = b""
    kept: Kept = ()

    def worked_out(self) -> dict[Place, Latest]:
        """The newest readings by connector: a tenth of a millisecond for each message that is kept. Never raises."""
        found = decoded(self.base)
        for place, messages in self.kept:
            readings = [reading for message in messages for reading in _readings(message)]
            found[place] = found.get(place, Latest()).after(sorted(readings, key=_time))
        return found

    def encoded(self) -> bytes:
        """For the store; empty: nothing has come since."""
        return encoded(self.worked_out()) if self.kept else b""


def readings_of_event(event: StoredEvent) -> list[Reading]:
    """The normalised readings of a stored event's meter values: none if it has none, or can't be read. Of a long list
    ``MAX_MOMENTS`` moments, evenly spread, the last among them. Never raises."""
    try:
        body = body_of(event)
    except UnreadableBody:
        return []
    if not isinstance(body, MeterValuesReported | TransactionStopped):
        return []
    values = thinned(body.meter_value, MAX_MOMENTS)
    return readings_of(samples_of(body.dialect, values, event.received_at), event.flags)


def _time(reading: Reading) -> datetime:
    return reading.at


def _readings(message: Message) -> list[Reading]:
    data, _, received_at, dialect, flags, before = message
    values = thinned(orjson.loads(data), MAX_MOMENTS)
    earlier = [] if before is None else _readings(before)
    return [*earlier, *readings_of(samples_of(dialect, values, received_at), flags)]


def _stop(body: TransactionStopped, event: NewEvent | StoredEvent) -> bytes:
    """A stop's register as meter values; empty where it is none."""
    if body.meter_stop < 0 or Flag.METER_IMPLAUSIBLE in event.flags:
        return b""
    sample = {"value": str(body.meter_stop), "context": "Transaction.End", "unit": "Wh"}
    timed = Flag.CLOCK_SUSPECT not in event.flags and event.reported_raw is not None
    return orjson.dumps(
        [{"timestamp": event.reported_raw, "sampledValue": [sample]} if timed else {"sampledValue": [sample]}]
    )


def _newest_moment(values: Iterable[JSON], raw: str | None) -> bytes:
    """The elements of a large message that are of its newest moment; empty if these are too large as well."""
    newest = [each for each in values if isinstance(each, dict) and each.get("timestamp") == raw]
    data = orjson.dumps(newest)
    return data if newest and len(data) <= MAX_BYTES else b""


# --- the stored form ------------------------------------------------------------------------------------------


def encoded(latest: Mapping[Place, Latest]) -> bytes:
    """Readings as the store keeps them: small, and read for ever."""
    return orjson.dumps(
        [
            [
                *place,
                each.rules,
                [_row(reading) for reading in each.readings.values()],
                None if each.before is None else _row(each.before),
            ]
            for place, each in latest.items()
        ]
    )


def decoded(data: bytes) -> dict[Place, Latest]:
    """Readings that the store kept. One that can't be read, of a later version, is left out; never raises."""
    found: dict[Place, Latest] = {}
    for evse, connector, rules, rows, before in orjson.loads(data) if data else ():
        readings = [reading for row in rows if (reading := _from_row(row)) is not None]
        earlier = None if before is None else _from_row(before)
        found[evse, connector] = Latest({(each.kind, each.phase): each for each in readings}, earlier, rules)
    return found


def _row(reading: Reading) -> list[JSON]:
    return [
        reading.kind,
        reading.value,
        (reading.at - EPOCH) // MICROSECOND,
        reading.phase,
        reading.source,
        reading.estimated,
        reading.context,
        reading.location,
        list(reading.flags),
        reading.mwh,
    ]


def _from_row(row: list[Any]) -> Reading | None:
    kind, value, at, phase, source, estimated, context, location, flags, mwh = row
    try:
        return Reading(
            Kind(kind),
            value,
            EPOCH + at * MICROSECOND,
            phase,
            ValueSource(source),
            estimated,
            context,
            location,
            tuple(map(Flag, flags)),
            mwh,
        )
    except ValueError:
        return None
