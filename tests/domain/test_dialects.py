"""Meter values are read by the version of OCPP in whose shape they are stored."""

from datetime import UTC, datetime

from gateway.domain.codec import encode
from gateway.domain.dialects import samples_of
from gateway.domain.events import FIRST_DIALECT, MeterValuesReported, StoredEvent
from gateway.domain.metering import metered
from gateway.domain.registers import register_readings
from gateway.domain.values import ConnectorAddress

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
VALUES = ({"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "5"}]},)


def test_an_unknown_dialect_is_never_read_as_1_6():
    """The same JSON may mean another thing there: its values stay as sent, without samples."""
    assert [int(each.value or 0) for each in samples_of(FIRST_DIALECT, VALUES, NOW)] == [5]
    assert samples_of("ocpp9.9", VALUES, NOW) == []
    assert [int(each.wh) for each in register_readings(VALUES, NOW)] == [5]
    assert register_readings(VALUES, NOW, "ocpp9.9") == []


def test_a_sessions_metering_asks_by_dialect():
    """As the register of a stop does."""
    for dialect, count in ((FIRST_DIALECT, 1), ("ocpp9.9", 0)):
        body = MeterValuesReported(ConnectorAddress(1, 1), VALUES, "tx_1", dialect=dialect)
        stored = StoredEvent(1, "e", "CP1", 1, body.TYPE, body.VERSION, NOW, None, None, (), "", encode(body), "tx_1")
        assert len(metered(stored).registers) == count
