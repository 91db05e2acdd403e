"""A whole soak: start, churn, hold the books against each other, tell."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.endtoend.asking import in_thread
from tests.endtoend.gateway_process import Gateway
from tests.endtoend.test_crash import check_accounts, check_watch
from tests.endtoend.watching import Watcher
from tests.hostile.bystanders import Bystanders
from tests.soak.churn import SETTINGS, Churn, check_commands, check_memory, check_quiet

WORST = 10.0
"""Seconds that a bystander may wait for once, on a machine that is busy with its attackers too."""


async def soak(folder: Path, certificates: Path, seconds: float, chargers: int) -> str:
    """Raises AssertionError where anything is not as it should be; else a report."""
    gateway = Gateway(folder, certificates, settings=SETTINGS)
    gateway.start()
    try:
        churn = Churn(gateway)
        churn.provision(chargers)
        before = churn.sample()
        with Watcher(gateway, resumes=True) as watcher:
            bystanders = Bystanders(gateway, ["bystander-1", "bystander-2"])
            try:
                with trio.fail_after(seconds + 60):
                    await churn.run(seconds)
                account = bystanders.account()
            finally:
                bystanders.stop()
            await check_quiet(gateway, before, churn)
            history = await in_thread(gateway.history)
            last = history[-1].event_id
            await in_thread(watcher.wait_for, "the last event", lambda seen: last in {e.event_id for e in seen[-500:]})
            seen = list(watcher.events)
        assert churn.surprises == [], "\n".join(churn.surprises[:20])
        assert account.errors == [], "\n".join(account.errors[:20])
        assert account.worst < WORST, str(account)
        for charger in churn.chargers:
            await in_thread(check_accounts, gateway, charger)
        check_watch(seen, history)
        check_commands(gateway)
        memory = check_memory(churn.samples)
        gateway.finish()
    finally:
        gateway.reap()
    transactions = sum(len(charger.accounts) for charger in churn.chargers)
    connections = sum(charger.connections for charger in churn.chargers)
    return "\n".join(
        [
            f"{seconds:.0f} s: {transactions} transactions over {connections} connections, {len(history)} events: "
            "the books agree, the watcher has all of them in order",
            f"bystanders: {account}",
            memory,
            "what happened: " + ", ".join(f"{name} {n}" for name, n in sorted(churn.happened.items())),
        ]
    )
