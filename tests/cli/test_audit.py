"""`gateway audit`, and the callers that other commands show and filter by."""

import json

from gateway.api.v1 import audit_pb2 as api
from gateway.api.v1 import command_pb2, id_tag_pb2, operation_pb2, transaction_pb2
from tests.cli.fakes import at

ENTRIES = [
    api.AuditEntry(
        record_time=at("2026-03-01T12:00:00Z"),
        caller="app",
        action="RemoteStartTransaction",
        charge_point="CP001",
        command_id="cmd_1",
        outcome=api.AUDIT_OUTCOME_NOT_DONE,
        detail="Rejected",
    ),
    api.AuditEntry(
        record_time=at("2026-03-01T11:00:00Z"),
        caller="billing",
        action="DeleteIdTag",
        outcome=api.AUDIT_OUTCOME_DENIED,
        detail="ROLE_MISSING",
        omitted_count=3,
    ),
]


def test_entries_are_listed_with_their_outcome(fake, run):
    """The caller, the action, the charger, the subject, and what came of it."""
    fake.answers["ListAudit"] = api.ListAuditResponse(entries=ENTRIES)
    header, first, second = run("audit").stdout.splitlines()
    assert header.split() == ["when", "caller", "action", "charger", "of", "outcome"]
    assert first.split()[-7:] == ["app", "RemoteStartTransaction", "CP001", "cmd_1", "not", "done:", "Rejected"]
    assert second.endswith("denied: ROLE_MISSING, 3 more before")
    assert [each["caller"] for each in json.loads(run("audit", "--json").stdout)] == ["app", "billing"]


def test_filters_are_sent(fake, run):
    """All of them, times too."""
    fake.answers["ListAudit"] = api.ListAuditResponse()
    given = ("--caller", "a", "--caller", "b", "--charger", "CP1", "--action", "Reset")
    times = ("--since", "2026-03-01T12:00:00Z", "--before", "2026-03-02T12:00:00Z")
    assert run("audit", *given, *times).exit_code == 0
    (request,) = fake.asked("ListAudit")
    assert (list(request.callers), list(request.charge_points), list(request.actions)) == (
        ["a", "b"],
        ["CP1"],
        ["Reset"],
    )
    assert request.recorded_before_time.seconds - request.recorded_from_time.seconds == 86_400
    assert run("audit", "--since", "soon").exit_code == 2


def test_commands_and_operations_are_filtered_by_caller(fake, run):
    """And show it."""
    fake.answers["ListCommands"] = command_pb2.ListCommandsResponse(commands=[command_pb2.Command(caller="app")])
    fake.answers["ListOperations"] = operation_pb2.ListOperationsResponse(
        operations=[operation_pb2.Operation(caller="app")]
    )
    for words, method in ((("commands", "list"), "ListCommands"), (("charge", "list"), "ListOperations")):
        result = run(*words, "--caller", "app")
        assert "app" in result.stdout.splitlines()[1]
        (request,) = fake.asked(method)
        assert list(request.callers) == ["app"]


def test_filters_orders_and_labels_are_sent(fake, run):
    """By each list that takes them."""
    fake.answers["ListOperations"] = operation_pb2.ListOperationsResponse()
    fake.answers["ListOrphans"] = transaction_pb2.ListOrphansResponse()
    fake.answers["ListIdTags"] = id_tag_pb2.ListIdTagsResponse()
    filtered = ("--filter", "open = true", "--order-by", "create_time")
    for words, method, labels in (
        (("charge", "list"), "ListOperations", {"site": "north"}),
        (("transactions", "orphans", "--tied"), "ListOrphans", {"site": "north"}),
        (("tags", "list"), "ListIdTags", {}),
    ):
        given = ("--label", "site=north") if labels else ()
        assert run(*words, *filtered, *given).exit_code == 0
        (request,) = fake.asked(method)
        assert (request.filter, request.order_by) == ("open = true", "create_time")
        assert dict(getattr(request, "labels", {})) == labels
