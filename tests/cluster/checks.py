"""Checks of a whole history: what the nodes recorded, against what each side was answered."""

import json
from collections.abc import Iterable, Sequence

from attrs import define, field

from gateway.api.v1 import event_pb2 as events

CONNECTED, DISCONNECTED = "charge_point.connected", "charge_point.disconnected"


@define
class Faults:
    """The faults of a history, in words; empty: it is sound."""

    found: list[str] = field(factory=list)

    def check(self, holds: bool, *words: object) -> None:
        if not holds:
            self.found.append(" ".join(map(str, words)))


def owners(history: Sequence[events.Event]) -> list[str]:
    """Each epoch begins with one opening, and no event of an old owner comes after its successor's opening."""
    faults, epochs = Faults(), dict[str, int]()
    opened = set[tuple[str, int]]()
    for event in history:
        identity, epoch = event.charge_point, event.epoch
        before = epochs.get(identity, 0)
        faults.check(epoch >= before, identity, event.type, "of epoch", epoch, "after epoch", before)
        if event.type == CONNECTED:
            faults.check((identity, epoch) not in opened, identity, "epoch", epoch, "was opened twice")
            opened.add((identity, epoch))
        epochs[identity] = max(before, epoch)
    return faults.found


def kept_once(history: Sequence[events.Event], acknowledged: Iterable[str]) -> list[str]:
    """Each message that was acknowledged is there once; ``acknowledged``: values of samples, each of one message."""
    faults, there = Faults(), dict[str, int]()
    for event in history:
        if event.HasField("meter_values_reported"):
            for reading in json.loads(event.meter_values_reported.meter_value_json):
                for sample in reading["sampledValue"]:
                    there[sample["value"]] = there.get(sample["value"], 0) + 1
    for value in acknowledged:
        faults.check(there.get(value, 0) == 1, "the sample", value, "is there", there.get(value, 0), "times")
    return faults.found


def watched(seen: Sequence[events.Event], history: Sequence[events.Event]) -> list[str]:
    """A watcher that resumes has seen the history, in its order, each event once."""
    faults = Faults()
    known = {event.event_id for event in history}
    got = [event.event_id for event in seen if event.event_id in known]
    want = [event.event_id for event in history]
    faults.check(len(set(got)) == len(got), "an event was given twice")
    faults.check(got == want, "a watcher missed", len(set(want) - set(got)), "or saw another order")
    return faults.found


@define
class Outcomes:
    """The answers to callers of commands, by request id, and how often chargers were asked."""

    answered: dict[str, str] = field(factory=dict)
    """``done``, ``nothing``: nothing was sent, ``unknown``."""
    asked: dict[str, int] = field(factory=dict)

    def faults(self) -> list[str]:
        """No command was sent twice, and no outcome was false."""
        faults = Faults()
        for request_id, answer in self.answered.items():
            count = self.asked.get(request_id, 0)
            faults.check(count <= 1, request_id, "was sent", count, "times")
            faults.check(answer != "done" or count == 1, request_id, "was answered, and never sent")
            faults.check(answer != "nothing" or count == 0, request_id, "was sent, its caller heard that it was not")
        return faults.found
