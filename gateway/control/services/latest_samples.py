"""The newest samples of a watch that only wants the present: what is overtaken is left out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final, TypeAlias

from gateway.api.v1 import common_pb2
from gateway.control.convert.samples import meter_samples
from gateway.feed import Batch

LEAST_SECONDS, MOST_SECONDS = 0.1, 3600.0
"""The interval: what a screen can show, and what a report may want. A watch of all is for those who want more."""

MAX_SERIES: Final = 100_000
"""Series whose newest sample waits for the interval's end: ten of each of 10,000 charge points, some 100 MB of a watch
that asks for an hour of everything. Beyond it what there is goes out at once, and the interval begins anew."""

_Series: TypeAlias = tuple[str, int, int, str, str, str, str, bool]


class LatestSamples:
    """The newest sample of each series, in the order in which the series came."""

    def __init__(self, measurands: frozenset[str]) -> None:
        self._measurands = measurands
        self._newest: dict[_Series, common_pb2.MeterSample] = {}

    def add(self, batch: Batch) -> bool:
        """Take a batch's samples; returns true if no more should be taken before what is held goes out."""
        for event in batch.events:
            for sample in meter_samples(event, self._measurands):
                place = sample.connector
                series = (
                    sample.charge_point,
                    place.evse,
                    place.connector,
                    sample.measurand,
                    sample.phase,
                    sample.location,
                    sample.format,
                    sample.derived,
                )
                known = self._newest.get(series)
                # A charger that was offline sends its past after its present.
                if known is None or _time(sample) >= _time(known):
                    self._newest[series] = sample
        return len(self._newest) >= MAX_SERIES

    def take(self) -> list[common_pb2.MeterSample]:
        """The samples that are held, which are held no more."""
        taken, self._newest = list(self._newest.values()), {}
        return taken


def _time(sample: common_pb2.MeterSample) -> tuple[int, int]:
    at = sample.sample_time
    return at.seconds, at.nanos


async def conflated(
    batches: AsyncIterator[Batch], measurands: frozenset[str], seconds: float
) -> AsyncGenerator[tuple[list[common_pb2.MeterSample], Batch], None]:
    """The newest samples each time the interval is over, and the last batch that is in them; the first batch at once.
    Where nothing has come nothing is given. To be closed when it is no longer read."""
    loop = asyncio.get_running_loop()
    latest, over = LatestSamples(measurands), loop.time()
    last: Batch | None = None
    while True:
        full = False
        try:
            # Cancelling what waits for a stream's next item loses none.
            async with asyncio.timeout_at(None if last is None else over):
                last = await anext(batches)
            full = latest.add(last)
        except StopAsyncIteration:
            return
        except TimeoutError:
            pass
        if last is not None and (full or loop.time() >= over):
            yield latest.take(), last
            last, over = None, loop.time() + seconds
