"""Taking over a database that was restored or copied: what `gateway recover` does."""

from gateway.app.settings import Settings
from gateway.store.sqlite.generations import CLEAR, Recovered, recover


def recover_store(settings: Settings, *, snapshot: bool, with_log: bool) -> Recovered | None:
    """Make the database of these settings safe to serve; None: it is the one that was last served here. Raises
    ``StoreError``, which says why not."""
    return recover(settings.store.path, snapshot=snapshot, with_log=with_log)


def describe(recovered: Recovered) -> list[str]:
    """What was done, in words."""
    return [
        f"store id: {recovered.old_id} -> {recovered.store_id} (resume tokens of before are refused, event ids differ)",
        f"transaction numbers: from {recovered.next_number} on",
        f"epochs: {CLEAR} further for every charge point",
    ]
