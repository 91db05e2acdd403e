"""The platform's own part: which half hours to charge in. Where the rest comes from is what the example shows."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import frozen

from examples.night.prices import Price


@frozen
class Step:
    """From ``start`` on the vehicle charges, or pauses."""

    start: datetime
    charges: bool


def cheapest(night: Iterable[Price], needed_wh: float, watts: float, ready_by: datetime) -> list[Step]:
    """The steps of a plan that takes ``needed_wh`` at ``watts`` in the cheapest half hours before ``ready_by``, with
    one half hour to spare: batteries take less towards the end."""
    usable = [price for price in night if price.end <= ready_by]
    per_slot = watts * 0.5
    count = min(int(needed_wh / per_slot) + 2, len(usable))
    chosen = {price.start for price in sorted(usable, key=lambda price: price.per_kwh)[:count]}
    return merged([Step(price.start, price.start in chosen) for price in usable])


def merged(steps: Sequence[Step]) -> list[Step]:
    """The steps without those that say what the one before says."""
    return [step for number, step in enumerate(steps) if not number or step.charges != steps[number - 1].charges]
