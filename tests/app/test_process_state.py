"""Every state that one process keeps, and what it is where several nodes serve: a new one has to say so here."""

from pathlib import Path

import trio

from gateway.app.nodes import CHORES
from gateway.app.serve import Gateway, utc_now
from gateway.app.store_lifetime import opened
from tests.app.running import settings
from tests.endtoend.gateway_process import development_certificates
from tests.support.named_tests import unfit

PER_NODE = "each node's own: of its sessions, its sockets, its process"
ROUTED = "of the sessions here; others are reached through the cluster"
CHORE = "done by the node that has the chores, for all"
SHARED = "the store's, the same at each node"
NONE = "no state: settings, clocks, a part that was named already"

STATES = {
    "_sockets": PER_NODE,
    "_settings": NONE,
    "_now": NONE,
    "_store": SHARED,
    "clock": NONE,
    "_draining": PER_NODE,
    "_serving": PER_NODE,
    "draining": PER_NODE,
    "log_levels": PER_NODE,
    "_nursery": PER_NODE,
    "metrics": PER_NODE,
    "lag": PER_NODE,
    "_supervisor": PER_NODE,
    "collector": PER_NODE,
    "diagnostics": PER_NODE,  # kept frames, refused connections, deviations
    "journal": PER_NODE,
    "_reads": SHARED,
    "feed": SHARED,  # what it holds is read from the store
    "router": ROUTED,
    "node": ROUTED,
    "lost_ends": PER_NODE,  # of the charge points that its slot owns
    "settlement": CHORE,
    "vendors": PER_NODE,  # a vendor's service connects to each
    "signing": PER_NODE,  # what waits is the store's, and the first answer counts
    "other_lives": PER_NODE,
    "capacity": PER_NODE,
    "addresses": PER_NODE,
    "timers": PER_NODE,
    "accounts": PER_NODE,
    "large": PER_NODE,
    "load": PER_NODE,
    "chargers": PER_NODE,
    "admission": PER_NODE,  # budgets of failed authentication, among others
    "clock_watch": PER_NODE,  # the record of it is one, the last look's
    "retention": CHORE,
    "fleet": CHORE,
    "summaries": SHARED,  # counts of the store; the power is asked of all nodes
    "endpoints": PER_NODE,  # TLS and its tickets
    "_announcements": PER_NODE,
    "figures": SHARED,
    "_background": NONE,
    "quirks": NONE,
    "_tracing": PER_NODE,
}

TASKS = {
    "feed": SHARED,
    "clock": PER_NODE,
    "retention": CHORE,
    "silence": PER_NODE,
    "collector": PER_NODE,
    "last-heard": PER_NODE,
    "lost-ends": PER_NODE,
    "mark": SHARED,
    "reservations": CHORE,
    "operations": CHORE,
    "energy": CHORE,
    "fleet-jobs": CHORE,
    "figures": SHARED,
    "server-figures": SHARED,
    "fleet-summary": SHARED,
    "lag": PER_NODE,
    "log-levels": PER_NODE,
    "load": PER_NODE,
    "signings": CHORE,
    "certificate-expiry": CHORE,
}

STORE, NODES, CALLS = "tests/store/test_nodes.py", "tests/nodes/test_membership.py", "tests/nodes/test_calls.py"
CHANGES, CLUSTER = "tests/nodes/test_changes.py", "tests/cluster/test_failures.py"

SINGLE = {
    "settling at the start": (PER_NODE, f"{STORE}::test_a_start_settles_what_its_slot_owned_and_nothing_else"),
    "lost ends": (PER_NODE, f"{STORE}::test_charge_points_of_several_owners_are_opened_in_one_batch"),
    "retention": (CHORE, f"{NODES}::test_a_chore_runs_where_the_chores_are"),
    "overdue reservations": (CHORE, f"{NODES}::test_a_chore_runs_where_the_chores_are"),
    "overdue operations": (CHORE, f"{NODES}::test_a_chore_runs_where_the_chores_are"),
    "plans": (ROUTED, "tests/store/test_plan_owners.py::test_a_plan_is_applied_by_the_owner_of_the_moment"),
    "operations under way": (ROUTED, f"{CALLS}::test_an_operation_is_begun_by_the_node_that_has_the_session"),
    "diagnostics: frames, refused connections, deviations, taps": (PER_NODE, ""),
    "vendors' services": (PER_NODE, ""),
    "live sessions": (ROUTED, f"{CALLS}::test_what_is_here_is_the_router_s"),
    "live power, its curve": (
        ROUTED,
        "tests/nodes/test_powers.py::test_a_look_finds_the_sessions_of_all_nodes",
    ),
    "last heard": (
        PER_NODE,
        f"{STORE}::test_only_an_owner_records_when_a_charge_point_was_heard",
    ),
    "exclusive tags": (SHARED, f"{CLUSTER}::test_an_exclusive_tag_starts_at_one_of_two_nodes"),
    "transaction numbers": (SHARED, f"{STORE}::test_numbers_and_tags_are_the_fleet_s"),
    "request ids": (SHARED, f"{STORE}::test_one_of_two_nodes_has_a_request_id"),
    "budgets of failed authentication, admission, accounts, overload": (PER_NODE, ""),
    "keys of TLS tickets": (PER_NODE, ""),  # a charger that comes to another node makes a full handshake
    "deletion, registration, labels, keys of a charge point": (
        SHARED,
        f"{CHANGES}::test_an_operator_s_decision_elsewhere_reaches_the_session",
    ),
    "sessions that an operator ends": (ROUTED, f"{CHANGES}::test_an_operator_elsewhere_closes_the_connection"),
    "callers, and streams of one that was revoked": (
        SHARED,
        "tests/control/test_authentication.py::test_a_watch_ends_when_another_node_has_revoked_its_caller",
    ),
    "lists of revoked certificates, OCSP, keys of JWTs": (PER_NODE, ""),  # files and responders of each
    "streams of signing requests": (PER_NODE, "tests/control/test_signing.py::test_a_request_that_waited_is_signed"),
    "requests for signatures": (CHORE, f"{NODES}::test_a_chore_runs_where_the_chores_are"),
    "fleet rotations and other jobs": (CHORE, f"{NODES}::test_a_chore_runs_where_the_chores_are"),
    "profile upgrades and firmware": (ROUTED, f"{CALLS}::test_an_operation_is_begun_by_the_node_that_has_the_session"),
    "audit": (SHARED, "tests/store/test_audit.py::test_changes_without_an_event_are_noted_with_their_caller"),
    "store id and generations": (SHARED, f"{STORE}::test_tokens_of_one_node_hold_at_another"),
    "imports": (PER_NODE, f"{STORE}::test_of_two_fleets_at_two_nodes_one_is_imported"),  # one at a time at each
    "log levels, log, metrics, traces, drain": (PER_NODE, ""),
}
"""Parts that were made for a single process, by name: what each is on several nodes, and the test that shows it, where
it is more than a process's own."""


def test_what_was_made_for_one_process_says_what_it_is_on_several() -> None:
    """Each that is more than a process's own is shown by a test."""
    kinds = {kind for kind, _ in SINGLE.values()}
    assert kinds == {PER_NODE, ROUTED, CHORE, SHARED}
    assert [name for name, (kind, test) in SINGLE.items() if kind != PER_NODE and not test] == []
    assert unfit(test for _, test in SINGLE.values() if test) == []


async def test_each_state_says_what_it_is_on_several_nodes(tmp_path: Path) -> None:
    """By its name in the composition root, and the tasks that run beside sessions by theirs."""
    await trio.lowlevel.checkpoint()
    made = settings(tmp_path, development_certificates(tmp_path / "certs"))
    with opened(made, utc_now) as store:
        gateway = Gateway(made, store)
        assert set(vars(gateway)) == set(STATES)
        assert {task.name for task in gateway._background.tasks()} == set(TASKS)
    assert {name for name, kind in TASKS.items() if kind == CHORE} == CHORES
