"""The totals of the store; each statement but the first reads an index of what is open."""

from collections import Counter

import orjson

from gateway.store.postgres.connection import Connection
from gateway.store.totals import Totals

_QUESTIONS = (
    "SELECT registration, count(*) FROM charge_point WHERE deleted_at IS NULL GROUP BY 1",
    "SELECT count(*) FROM txn WHERE state = 'OPEN'",
    "SELECT count(*) FROM command WHERE state IN ('QUEUED', 'SENT')",
    "SELECT stages FROM operation WHERE ended IS NULL",
    "SELECT state, count(*) FROM steering GROUP BY state",
)


def totals(cx: Connection) -> Totals:
    """Count."""
    answers = [cx.send(sql) for sql in _QUESTIONS]
    cx.sync()
    registered, transactions, commands, stages, steering = (answer.rows for answer in answers)
    newest = Counter(orjson.loads(each)[-1][0] for (each,) in stages)
    return Totals(dict(registered), transactions[0][0], commands[0][0], dict(newest), dict(steering))
