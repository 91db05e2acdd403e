"""``docs/outcomes.md``, made from the table in ``gateway.control.outcomes``. Run as a module it writes the page."""

from pathlib import Path

from gateway.control.outcomes import BARE, CALLERS, CHANGES, COMMANDS, OPERATIONS, READS, REQUESTS, RpcOutcome

PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"

HEAD = """# How an RPC can end, and what a client does then

Every way in which an RPC can end, with what its caller is answered; [errors](errors.md) has each reason by name, with
its metadata. The tables are made from `gateway/control/outcomes.py` (`python -m tests.support.outcomes_page` writes
this page), and `tests/control/test_outcomes.py` and `tests/control/test_outcomes_over_grpc.py` bring each row about,
with the charger's log or the store beside it.

- **Status and reason.** The reason is in `google.rpc.ErrorInfo`, domain `gateway.api.v1`. Only `UNAVAILABLE` *with* a
  reason may be repeated blindly: nothing was done. `OUTCOME_UNKNOWN` is always gRPC's `UNKNOWN`, which generic layers
  do not repeat. `ABORTED` is used for a stale etag alone: nothing was done, and a blind repeat is refused again.
- **Done** is what had happened, or what may have, when the caller was answered.
- **Metadata.** Errors of commands have `charge_point` and `request_id`, and `command_id` where there is a command.
  `cause` says why it was not sent or is not known, in the words of a command's `reason`. What is recorded has the same
  state and reason, but: an outcome that was unknown may be known later (`GetCommand`, the events, or a repeat say so),
  and where the gateway ended before it could record a reason, the record says `gateway-restarted`.
- **The deadline.** The gateway answers a quarter of a second before it, so that the client sees the reason. With less
  than that left, a command that is new is not sent, but one that repeats another is still looked up, in half the time
  that is left. Where the disk does not answer, the caller is answered all the same, with what holds whatever the disk
  keeps.

"""

COMMANDS_HEAD = """## Commands

A request id is looked up before any refusal: "nothing" in the column *done* holds for every earlier request with the
same `request_id` too. Where it can't be looked up, the outcome is unknown. Repeating a command with the same
`request_id` is always safe: it is never sent twice. It returns the first outcome or, where that was unknown and the
charger has answered since, the later one.

"""

OPERATIONS_HEAD = """## Operations on charging

StartCharging and StopCharging end when the operation is on disk, or refused; what becomes of it then is its own end
([operations](operations-of-charging.md)). Repeating a request with the same `request_id` is always safe: it returns the
operation as it is. `tests/control/test_operations.py` brings each row about.

"""

CHANGES_HEAD = """## Changes

Creating, changing and deleting charge points, tags and callers, importing a fleet, closing a connection or a
transaction. What decides is whether the change had been handed to the disk. A key or a token that was generated, and
whose answer did not arrive, can't be read again: generate another one.

"""

READS_HEAD = """## Reads

"""

REQUESTS_HEAD = """## Requests that are not read

Of every RPC, before it is begun: nothing was done, and no request id was looked up.

"""

CALLERS_HEAD = """## Callers

Where the settings say `control.require_callers`, each RPC may end so before it is begun ([security](security.md)):
nothing was done, and no request id was looked up. `tests/control/test_authentication.py` and
`tests/control/test_scope.py` bring each row about.

"""

BARE_HEAD = """## Without a reason

gRPC itself answers, at the client or at the server, and there is no ErrorInfo. The status alone says nothing of a
command or a change, not even `UNAVAILABLE`: repeat a command with the same `request_id`, and read before a change is
repeated.

| when | status | was it begun |
| --- | --- | --- |
"""


def page() -> str:
    """The whole page."""
    bare = "".join(
        f"| {each.when} | {each.status} | {'no' if each.never_begun else 'it may have been'} |\n" for each in BARE
    )
    return (
        HEAD
        + COMMANDS_HEAD
        + _table(COMMANDS)
        + "\n"
        + OPERATIONS_HEAD
        + _table(OPERATIONS)
        + "\n"
        + CHANGES_HEAD
        + _table(CHANGES)
        + "\n"
        + READS_HEAD
        + _table(READS)
        + "\n"
        + REQUESTS_HEAD
        + _table(REQUESTS)
        + "\n"
        + CALLERS_HEAD
        + _table(CALLERS)
        + "\n"
        + BARE_HEAD
        + bare
    )


def _table(rows: tuple[RpcOutcome, ...]) -> str:
    lines = ["| when | status | reason | cause | done | what a client does |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        reason = f"`{row.reason}`" if row.reason else "-"
        cause = f"`{row.cause}`" if row.cause else "-"
        lines.append(f"| {row.when} | {row.status} | {reason} | {cause} | {row.effect} | {row.then} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
