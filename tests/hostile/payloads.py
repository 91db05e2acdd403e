"""Messages that were made to be dear to read: each a function of the size in bytes it may have, whole as sent.

``DEAR`` has all that one charger may send again and again; what the gateway makes of each is in ``tests/hostile``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

MEGABYTE = 2**20

T = "2026-01-01T00:00:00Z"

DATA = '[2,"x","DataTransfer",{"vendorId":"V","data":'
METER_VALUES = '[2,"x","MeterValues",{"connectorId":1,"meterValue":['
ONE_TIME = f'{METER_VALUES}{{"timestamp":"{T}","sampledValue":['
STOP = f'[2,"x","StopTransaction",{{"transactionId":1,"meterStop":5,"timestamp":"{T}","transactionData":['

SAMPLE = (
    '{"value":"123.4","measurand":"Voltage","unit":"V","context":"Sample.Periodic","format":"Raw","location":"Outlet"}'
)


def filled(before: str, item: str, after: str, size: int = MEGABYTE) -> bytes:
    """As many items as go into a message of that size."""
    count = (size - len(before) - len(after)) // (len(item) + 1)
    return (before + ",".join([item] * count) + after).encode()


def nested_lists(size: int = MEGABYTE, depth: int = 28) -> bytes:
    """Lists within lists, below every bound on depth, for half of the bytes."""
    return filled(DATA + "[", "[" * depth + "]" * depth, "]}]", size)


def nested_meter_values(size: int = MEGABYTE, depth: int = 27) -> bytes:
    """The same in a message that must be recorded."""
    return filled(METER_VALUES, "[" * depth + "]" * depth, "]}]", size)


def open_lists(size: int = MEGABYTE) -> bytes:
    """Lists that never end."""
    return (DATA + "[" * (size - len(DATA))).encode()


def open_objects(size: int = MEGABYTE) -> bytes:
    """Objects that never end."""
    return (DATA + '{"a":' * ((size - len(DATA)) // 5)).encode()


def small_numbers(size: int = MEGABYTE) -> bytes:
    """Half a million numbers."""
    return filled(DATA + "[", "1", "]}]", size)


def small_objects(size: int = MEGABYTE) -> bytes:
    """Objects of one field, which take thirty times their bytes in memory."""
    return filled(DATA + "[", '{"":0}', "]}]", size)


def recorded_objects(size: int = MEGABYTE) -> bytes:
    """As many of them as are read of a message that must be recorded."""
    item = '{"":0}'
    return filled(METER_VALUES, item, "]}]", min(size, 130_000 * (len(item) + 1)))


def text_of_brackets(size: int = MEGABYTE) -> bytes:
    """One honest text that would be a quarter of a million lists if it were none."""
    return (DATA + '"' + '[{,\\"\\\\' * ((size - len(DATA) - 4) // 7) + '"}]').encode()


def long_number(size: int = MEGABYTE) -> bytes:
    """A number whose conversion would take time by the square of its length."""
    return (DATA + "9" * (size - len(DATA) - 2) + "}]").encode()


def large_exponents(size: int = 60_000) -> bytes:
    """Numbers beyond every double, which only the lenient reader takes."""
    return filled(DATA + "[", "1e999", "]}]", size)


def repeated_keys(size: int = MEGABYTE) -> bytes:
    """A hundred thousand fields that are one."""
    return filled(DATA + "{", '"a":[]', "}}]", size)


def escapes(size: int = MEGABYTE) -> bytes:
    """A text of which every letter is escaped."""
    return (DATA + '"' + "\\u0041" * ((size - len(DATA) - 4) // 6) + '"}]').encode()


def wrong_samples(size: int = 12_000) -> bytes:
    """Four faults in each sample, for the repair lane: a few kilobytes that took as long as a megabyte."""
    return filled(ONE_TIME, '{"value":1,"unit":"kwh","measurand":"VOLTAGE","x":1}', "]}]}]", size)


def many_times(size: int = MEGABYTE) -> bytes:
    """A time in every element."""
    return filled(METER_VALUES, f'{{"timestamp":"{T}"}}', "]}]", size)


def long_stop(size: int = 4 * MEGABYTE, number: int = 1) -> bytes:
    """An honest StopTransaction: hours of samples, eight values each."""
    moment = f'{{"timestamp":"{T}","sampledValue":[{",".join([SAMPLE] * 8)}]}}'
    return filled(STOP.replace('"transactionId":1', f'"transactionId":{number}'), moment, "]}]", size)


DEAR: Mapping[str, Callable[[], bytes]] = {
    "nested-lists": nested_lists,
    "nested-meter-values": nested_meter_values,
    "open-lists": open_lists,
    "open-objects": open_objects,
    "small-numbers": small_numbers,
    "small-objects": small_objects,
    "recorded-objects": recorded_objects,
    "text-of-brackets": text_of_brackets,
    "long-number": long_number,
    "large-exponents": large_exponents,
    "repeated-keys": repeated_keys,
    "escapes": escapes,
    "wrong-samples": wrong_samples,
    "many-times": many_times,
}
"""All of them answered with a confirmation or an error, none of them the end of a session."""
