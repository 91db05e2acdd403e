"""The totals of the store; each statement but the first reads an index of what is open."""

from collections import Counter

import apsw
import orjson

from gateway.store.sqlite.selects import fetch, one
from gateway.store.totals import Totals


def totals(cx: apsw.Connection) -> Totals:
    """Count."""
    registered = fetch(cx, "SELECT registration, count(*) FROM charge_point WHERE deleted_at IS NULL GROUP BY 1")
    [transactions] = one(cx, "SELECT count(*) FROM txn WHERE state = 'OPEN'")
    [commands] = one(cx, "SELECT count(*) FROM command WHERE state IN ('QUEUED', 'SENT')")
    stages = (
        orjson.loads(stages)[-1][0] for (stages,) in fetch(cx, "SELECT stages FROM operation WHERE ended IS NULL")
    )
    steering = fetch(cx, "SELECT state, count(*) FROM steering GROUP BY state")
    return Totals(dict(registered), transactions, commands, dict(Counter(stages)), dict(steering))
