"""`gateway fleet`: one operation for each of many chargers, at a pace that is kept."""

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Any

import grpc
import typer

from gateway.api.v1.charge_point_pb2 import ChargePointView, ListChargePointsRequest
from gateway.api.v1.fleet_pb2 import (
    CancelFleetJobRequest,
    ChargePointSelection,
    FleetEnd,
    FleetJob,
    FleetJobItem,
    FleetOutcome,
    FleetPace,
    GetFleetJobRequest,
    ListFleetJobItemsRequest,
    ListFleetJobsRequest,
    RenewCertificatesRequest,
    RollOutFirmwareRequest,
    RotateAuthorizationKeysRequest,
    WatchFleetJobRequest,
)
from gateway.api.v1.operation_pb2 import OperationKind
from gateway.cli import fleet_summary
from gateway.cli.charger_certificates import end_within
from gateway.cli.commands_send import RequestIdOption, ask
from gateway.cli.completion import identities
from gateway.cli.connection import (
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    moment,
    pages,
    request_id,
)
from gateway.cli.exit_codes import ExitCode
from gateway.cli.key_options import ResetAnywayOption, ResetOption
from gateway.cli.maintenance import Location, Retries, RetryInterval, Signature, Signer, Time, update_of
from gateway.cli.operation_course import stage_name
from gateway.cli.option_values import each_once, one_of, pair_of, spelled
from gateway.cli.output import Interrupted, JsonOption, facts, fail, local, note, out, print_json, say, table
from gateway.cli.transactions import LimitOption
from gateway.client import GatewayClient

app = typer.Typer(no_args_is_help=True)

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job, by the gateway's id.")]

LabelsOption = Annotated[
    list[Any] | None,
    typer.Option(
        "--label",
        parser=pair_of,
        callback=each_once,
        metavar="KEY=VALUE",
        help="Chargers with this label; of several, those with all.",
    ),
]
ChargersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--charger", metavar="IDENTITY", autocompletion=identities, help="This charger; may be given several times."
    ),
]
EveryOption = Annotated[bool, typer.Option("--every", help="Every charger there is.")]
PerMinuteOption = Annotated[float, typer.Option(min=0.01, max=6000, help="How many are begun in a minute.")]
AtOnceOption = Annotated[int, typer.Option(min=1, max=1000, help="How many go on at once.")]
MaxFailuresOption = Annotated[
    int, typer.Option(min=0, max=100_000, help="Begin nothing more once so many have failed; 0: however many fail.")
]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Return when the job is made; `gateway fleet watch` follows it.")
]


@app.callback()
def fleet() -> None:
    """Do something to many chargers, one after the other, and see how it goes."""


app.command("summary")(fleet_summary.summary)


@app.command("rotate-keys")
def rotate_keys(
    charger: ChargersOption = None,
    label: LabelsOption = None,
    every: EveryOption = False,
    per_minute: PerMinuteOption = 60.0,
    at_once: AtOnceOption = 20,
    max_failures: MaxFailuresOption = 0,
    reset: ResetOption = False,
    anyway: ResetAnywayOption = False,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Give chargers other AuthorizationKeys, which are shown to no one. Those that are offline come when they are back,
    within seven days."""
    message = RotateAuthorizationKeysRequest(
        request_id=request_id(request),
        selection=ChargePointSelection(charge_points=charger or (), labels=dict(label or ()), every=every),
        pace=FleetPace(per_minute=per_minute, at_once=at_once),
        max_failures=max_failures,
        reset=reset,
        insist=anyway,
    )
    with connect(target) as gateway:
        job: FleetJob = ask(gateway.fleet.RotateAuthorizationKeys, message).fleet_job
        _go_on(gateway, job, not no_wait, json)


@app.command("renew-certificates")
def renew_certificates(
    charger: ChargersOption = None,
    label: LabelsOption = None,
    every: EveryOption = False,
    expiring_within: Annotated[
        int | None,
        typer.Option(min=0, metavar="DAYS", help="Those whose certificate ends within so many days."),
    ] = None,
    per_minute: PerMinuteOption = 60.0,
    at_once: AtOnceOption = 20,
    max_failures: MaxFailuresOption = 0,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have chargers ask for new certificates of their own. Those that are offline come when they are back, within seven
    days."""
    if expiring_within is not None and (charger or every):
        raise typer.BadParameter("--expiring-within excludes --charger and --every")
    with connect(target) as gateway:
        selection = ChargePointSelection(charge_points=charger or (), labels=dict(label or ()), every=every)
        if expiring_within is not None:
            due = _expiring(gateway, dict(label or ()), expiring_within)
            made = None if request is None else _made_before(gateway, request, due)
            if made is not None:  # sent again: some of those that were due have been renewed since
                _go_on(gateway, made, not no_wait, json)
                return
            if not due:
                note(f"no charger's certificate ends within {expiring_within} days")
                if json:
                    print_json({})
                return
            selection = ChargePointSelection(charge_points=due)
        message = RenewCertificatesRequest(
            request_id=request_id(request),
            selection=selection,
            pace=FleetPace(per_minute=per_minute, at_once=at_once),
            max_failures=max_failures,
        )
        job: FleetJob = ask(gateway.fleet.RenewCertificates, message).fleet_job
        _go_on(gateway, job, not no_wait, json)


@app.command("install-firmware")
def install_firmware(
    location: Location,
    certificate: Signer = None,
    signature: Signature = None,
    charger: ChargersOption = None,
    label: LabelsOption = None,
    every: EveryOption = False,
    at: Time = None,
    install_at: Time = None,
    retries: Retries = None,
    retry_interval: RetryInterval = None,
    per_minute: PerMinuteOption = 60.0,
    at_once: AtOnceOption = 20,
    max_failures: MaxFailuresOption = 0,
    no_wait: NoWaitOption = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Have chargers fetch and install firmware, signed or not. Those that are offline come when they are back, within
    seven days; one that gave no answer is sent nothing a second time."""
    update = update_of(location, certificate, signature, at, install_at, retries, retry_interval)
    message = RollOutFirmwareRequest(
        request_id=request_id(request),
        selection=ChargePointSelection(charge_points=charger or (), labels=dict(label or ()), every=every),
        pace=FleetPace(per_minute=per_minute, at_once=at_once),
        max_failures=max_failures,
        **update,
    )
    with connect(target) as gateway:
        job: FleetJob = ask(gateway.fleet.RollOutFirmware, message).fleet_job
        _go_on(gateway, job, not no_wait, json)


def _go_on(gateway: GatewayClient, job: FleetJob, wait: bool, json: bool) -> None:
    """Follow a job that was made, or say how to."""
    if wait:
        _follow(gateway, job, json)
        return
    _show(job, json)
    if not json:
        note(f"gateway fleet watch {job.fleet_job_id} follows it")


def _made_before(gateway: GatewayClient, request: str, due: Collection[str]) -> FleetJob | None:
    """The renewal that a request of this id has made, if all chargers that are due are in it."""
    found = gateway.fleet.ListFleetJobs(ListFleetJobsRequest(), timeout=READ_SECONDS).fleet_jobs
    kind = OperationKind.OPERATION_KIND_RENEW_CERTIFICATE
    made = next((each for each in found if (each.request_id, each.kind) == (request, kind)), None)
    if made is None or not due:
        return made
    asked = ListFleetJobItemsRequest(fleet_job_id=made.fleet_job_id)
    items = pages(gateway.fleet.ListFleetJobItems, asked, lambda page: page.items)
    return made if set(due) <= {each.charge_point for each in items} else None


def _expiring(gateway: GatewayClient, labels: dict[str, str], days: int) -> list[str]:
    """The chargers whose certificate ends within so many days, also those of which it has ended."""
    request = ListChargePointsRequest(
        labels=labels,
        filter=f'certificate_expire_time < "{end_within(days)}"',
        order_by="certificate_expire_time",
        view=ChargePointView.CHARGE_POINT_VIEW_BASIC,
    )
    found = pages(gateway.charge_points.ListChargePoints, request, lambda page: page.charge_points)
    return [each.identity for each in found]


@app.command("list")
def list_(target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """List jobs, the newest first."""
    with connect(target) as gateway:
        found = gateway.fleet.ListFleetJobs(ListFleetJobsRequest(), timeout=READ_SECONDS).fleet_jobs
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [
        (each.fleet_job_id, _kind(each), _state(each), _counts(each), local(moment(each, "create_time")))
        for each in found
    ]
    out().print(table("~job", "kind", "state", "~chargers", "created", rows=rows))


@app.command()
def show(job: Job, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """One job."""
    with connect(target) as gateway:
        found = gateway.fleet.GetFleetJob(GetFleetJobRequest(fleet_job_id=job), timeout=READ_SECONDS).fleet_job
    _show(found, json)


class Outcome(StrEnum):
    """Outcomes of a charger, as typed on the command line."""

    WAITING = "waiting"
    UNDER_WAY = "under-way"
    NOT_BEGUN = "not-begun"
    DONE = "done"
    NO_EFFECT = "no-effect"
    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    OFFLINE = "offline"
    NOT_SENT = "not-sent"
    UNKNOWN = "unknown"
    ROLLED_BACK = "rolled-back"

    @property
    def value_in_api(self) -> FleetOutcome.ValueType:
        """The API's word for it."""
        return FleetOutcome.Value(f"FLEET_OUTCOME_{self.name}")


@app.command()
def items(
    job: Job,
    outcome: Annotated[
        Outcome | None, typer.Option(parser=one_of(Outcome), metavar=spelled(Outcome), help="Only those.")
    ] = None,
    limit: LimitOption = 1000,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """List what has become of each charger of a job."""
    request = ListFleetJobItemsRequest(fleet_job_id=job)
    if outcome is not None:
        request.outcome = outcome.value_in_api
    with connect(target) as gateway:
        found = list(pages(gateway.fleet.ListFleetJobItems, request, lambda page: page.items, limit=limit))
    if json:
        print_json([as_dict(each) for each in found])
        return
    rows = [(each.charge_point, _outcome(each.outcome), _stage(each), each.reason, each.operation_id) for each in found]
    out().print(table("charger", "outcome", "stage", "~reason", "~operation", rows=rows))
    if len(found) == limit:
        note(f"the first {limit}; --limit for more")


@app.command()
def watch(job: Job, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Follow a job to its end."""
    with connect(target) as gateway:
        found = gateway.fleet.GetFleetJob(GetFleetJobRequest(fleet_job_id=job), timeout=READ_SECONDS).fleet_job
        _follow(gateway, found, json)


@app.command()
def cancel(job: Job, target: TargetOption = DEFAULT_TARGET, json: JsonOption = False) -> None:
    """Begin nothing more of a job. What was begun goes on, and the job ends with it."""
    with connect(target) as gateway:
        found = gateway.fleet.CancelFleetJob(CancelFleetJobRequest(fleet_job_id=job), timeout=READ_SECONDS).fleet_job
    if json:
        print_json(as_dict(found))
        return
    say(f"{job} begins nothing more: {_counts(found)}")


def _follow(gateway: GatewayClient, job: FleetJob, json: bool) -> None:
    """Show how a job goes on. Raises CommandFailed where not every charger was done; Interrupted on Ctrl-C, for the
    job goes on."""
    again = f"it goes on; gateway fleet watch {job.fleet_job_id} follows it"
    try:
        for response in gateway.fleet.WatchFleetJob(WatchFleetJobRequest(fleet_job_id=job.fleet_job_id)):
            job = response.fleet_job
            if not json:
                note(_counts(job))
    except grpc.RpcError as error:
        fail(f"the watch of the job broke ({error.code().name}); {again}", ExitCode.OUTCOME_UNKNOWN, "OUTCOME_UNKNOWN")
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {again}") from None
    if json:
        print_json(as_dict(job))
    if {each.outcome for each in job.counts} - {FleetOutcome.FLEET_OUTCOME_DONE}:
        name = FleetEnd.Name(job.end).removeprefix("FLEET_END_")
        metadata = {"fleet_job": job.fleet_job_id}
        fail(f"{job.fleet_job_id}: {_state(job)}: {_counts(job)}", ExitCode.FAILED, name, metadata)
    if not json:
        say(f"{job.fleet_job_id}: {_state(job)}: {_counts(job)}", "green")


def _show(job: FleetJob, json: bool) -> None:
    if json:
        print_json(as_dict(job))
        return
    pairs = (
        ("job", job.fleet_job_id),
        ("request id", job.request_id),
        ("kind", _kind(job)),
        ("caller", job.caller),
        ("pace", f"{job.pace.per_minute:g} a minute, {job.pace.at_once} at once"),
        *([("reset", "also amid a transaction" if job.insist else "once no transaction is open")] if job.reset else []),
        ("firmware", job.firmware.location),
        *([("signed", "yes" if job.firmware.signature else "no")] if job.firmware.location else []),
        *([("ends at", f"{job.max_failures} failures")] if job.max_failures else []),
        ("state", _state(job)),
        ("chargers", _counts(job)),
        ("created", local(moment(job, "create_time"))),
        ("expires", local(moment(job, "expire_time"))),
        ("cancelled", local(moment(job, "cancel_time"))),
        ("ended", local(moment(job, "end_time"))),
    )
    out().print(facts(pairs))


def _kind(job: FleetJob) -> str:
    return OperationKind.Name(job.kind).removeprefix("OPERATION_KIND_").lower().replace("_", " ")


def _state(job: FleetJob) -> str:
    if job.end:
        return FleetEnd.Name(job.end).removeprefix("FLEET_END_").lower().replace("_", " ")
    return "being cancelled" if job.HasField("cancel_time") else "running"


def _counts(job: FleetJob) -> str:
    return ", ".join(f"{each.count} {_outcome(each.outcome)}" for each in job.counts)


def _stage(item: FleetJobItem) -> str:
    """The stage that the charger's operation has reached; empty: it has none."""
    return stage_name(item.stage) if item.stage else ""


def _outcome(outcome: FleetOutcome.ValueType) -> str:
    return FleetOutcome.Name(outcome).removeprefix("FLEET_OUTCOME_").lower().replace("_", " ")
