"""`gateway start|stop|trigger|reset|unlock` and `gateway config get|set`: commands to one charger.

Each waits for the charger's answer. What the charger refuses ends with exit code 3 (``exit_codes``).
"""

import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import grpc
import typer

from gateway.api.v1 import command_pb2 as api
from gateway.api.v1.id_tag_pb2 import CheckIdTagRequest
from gateway.api.v1.transaction_pb2 import ListTransactionsRequest, Transaction, TransactionState
from gateway.cli.completion import ChargePointArgument
from gateway.cli.connection import (
    COMMAND_SECONDS,
    DEFAULT_TARGET,
    READ_SECONDS,
    TargetOption,
    as_dict,
    connect,
    connector,
    connector_name,
    moment,
    must_exist,
    outcome_lost,
    pages,
    request_id,
)
from gateway.cli.exit_codes import ExitCode
from gateway.cli.option_values import one_of
from gateway.cli.output import Interrupted, JsonOption, fail, local, note, out, print_json, say, table
from gateway.client import GatewayClient, problem_of

RequestIdOption = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        help="Your id for this request: repeated, it sends nothing and returns what is known of that command.",
    ),
]
TransactionOption = Annotated[str | None, typer.Option("--transaction", help="The transaction, by the gateway's id.")]

MAX_OPEN = 50
"""Open transactions of one charger that are looked at: far more than a charger has connectors."""

TAG_REFUSALS = {
    api.AuthorizationStatus.AUTHORIZATION_STATUS_BLOCKED: "is blocked",
    api.AuthorizationStatus.AUTHORIZATION_STATUS_EXPIRED: "has expired",
    api.AuthorizationStatus.AUTHORIZATION_STATUS_INVALID: "is not valid here (gateway tags add makes it known)",
    api.AuthorizationStatus.AUTHORIZATION_STATUS_CONCURRENT_TX: "is in use",
}
"""What keeps a tag from starting a transaction."""

ACCEPTED = ("ACCEPTED", "ACCEPTED_CANCELED", "SCHEDULED", "REBOOT_REQUIRED", "UNLOCKED")
"""Endings of status names that mean yes."""


def start(
    charge_point: ChargePointArgument,
    tag: Annotated[str, typer.Option(help="The idTag to charge for.")],
    connector_id: Annotated[
        int | None, typer.Option("--connector", min=1, help="Which connector; without it the charger chooses.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Send it although the transaction would be refused for its tag.")
    ] = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger to start a transaction. Accepted is not started: `gateway watch` shows when it is.

    Nothing is sent for a tag that the gateway would refuse a transaction for: unknown, blocked, expired, or in use.
    """
    address = None if connector_id is None else connector(connector_id)
    message = api.RemoteStartTransactionRequest(
        charge_point=charge_point, request_id=request_id(request), id_tag=tag, connector=address
    )
    with connect(target) as gateway:
        # A repeated request is answered by its first outcome, whatever has become of the tag since.
        if request is None and not anyway:
            _refuse_tag(gateway, CheckIdTagRequest(charge_point=charge_point, id_tag=tag, connector=address))
        answered(gateway.commands.RemoteStartTransaction, message, json, "the start")
    if not json:
        note(f"accepted is not started: gateway watch {charge_point} shows when it is")


def _refuse_tag(gateway: GatewayClient, request: CheckIdTagRequest) -> None:
    """Raises CommandFailed where a start with this tag would be refused at this moment."""
    try:
        found = gateway.id_tags.CheckIdTag(request, timeout=READ_SECONDS)
    except grpc.RpcError as error:
        if problem_of(error).code is grpc.StatusCode.UNIMPLEMENTED:  # a gateway of an earlier version
            return
        raise
    why = TAG_REFUSALS.get(found.status)
    if why is None:
        return
    where = ", ".join(
        f"{each.charge_point} connector {connector_name(each.connector)} ({each.transaction_id})"
        for each in found.transactions
    )
    fail(
        f"{request.charge_point}: the tag {request.id_tag} {why}{f': {where}' if where else ''}; "
        "nothing was sent (--anyway sends it)",
        ExitCode.NOT_SENT,
        "ID_TAG_NOT_ACCEPTED",
        {
            "charge_point": request.charge_point,
            "id_tag": request.id_tag,
            "status": api.AuthorizationStatus.Name(found.status),
        },
    )


def stop(
    charge_point: ChargePointArgument,
    transaction: TransactionOption = None,
    connector_id: Annotated[int | None, typer.Option("--connector", min=1, help="The one on this connector.")] = None,
    foreign_number: Annotated[
        int | None,
        typer.Option("--foreign-number", help="One that the charger began under another system, by its number there."),
    ] = None,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger to stop a transaction: the given one, or the only one that runs."""
    if foreign_number is not None and (transaction is not None or connector_id is not None):
        raise typer.BadParameter("--foreign-number excludes --transaction and --connector")
    if transaction is not None and connector_id is not None:
        raise typer.BadParameter("--transaction and --connector are two ways to name one transaction")
    with connect(target) as gateway:
        if transaction is None and foreign_number is None:
            running = open_transactions(gateway, charge_point, connector_id)
            transaction = the_only(running, charge_point, "stop").transaction_id
        message = api.RemoteStopTransactionRequest(
            charge_point=charge_point,
            request_id=request_id(request),
            transaction_id=transaction or "",
            foreign_number=foreign_number,
        )
        answered(gateway.commands.RemoteStopTransaction, message, json, "the stop")


class Triggered(StrEnum):
    """Messages that can be triggered, as OCPP spells them."""

    BOOT_NOTIFICATION = "BootNotification"
    DIAGNOSTICS_STATUS_NOTIFICATION = "DiagnosticsStatusNotification"
    FIRMWARE_STATUS_NOTIFICATION = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    STATUS_NOTIFICATION = "StatusNotification"
    # The security extension's
    LOG_STATUS_NOTIFICATION = "LogStatusNotification"
    SIGN_CHARGE_POINT_CERTIFICATE = "SignChargePointCertificate"


EXTENDED_ONLY = (Triggered.LOG_STATUS_NOTIFICATION, Triggered.SIGN_CHARGE_POINT_CERTIFICATE)


def trigger(
    charge_point: ChargePointArgument,
    message: Annotated[
        Triggered,
        typer.Argument(parser=one_of(Triggered), metavar="MESSAGE", help="Which message, in any case."),
    ],
    connector_id: Annotated[
        int | None, typer.Option("--connector", min=1, help="For this connector; without it for all.")
    ] = None,
    extended: Annotated[
        bool,
        typer.Option("--extended", help="By the security extension's ExtendedTriggerMessage, as for its own messages."),
    ] = False,
    insist: Annotated[
        bool, typer.Option("--insist", help="BootNotification also of one that has booted on this connection.")
    ] = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger to send a message."""
    address = None if connector_id is None else connector(connector_id)
    extended = extended or message in EXTENDED_ONLY
    if extended and message is Triggered.DIAGNOSTICS_STATUS_NOTIFICATION:
        raise typer.BadParameter("the security extension has LogStatusNotification in its place")
    with connect(target) as gateway:
        if extended:
            asked = api.ExtendedTriggerMessageRequest(
                charge_point=charge_point,
                request_id=request_id(request),
                requested_message=api.ExtendedTrigger.Value(f"EXTENDED_TRIGGER_{message.name}"),
                connector=address,
                insist=insist,
            )
            answered(gateway.commands.ExtendedTriggerMessage, asked, json, f"{message}")
            return
        sent = api.TriggerMessageRequest(
            charge_point=charge_point,
            request_id=request_id(request),
            requested_message=api.TriggeredMessage.Value(f"TRIGGERED_MESSAGE_{message.name}"),
            connector=address,
            insist=insist,
        )
        answered(gateway.commands.TriggerMessage, sent, json, f"{message}")


def reset(
    charge_point: ChargePointArgument,
    hard: Annotated[
        bool, typer.Option("--hard", help="At once; otherwise transactions are stopped properly first.")
    ] = False,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Restart a charger."""
    kind = api.ResetType.RESET_TYPE_HARD if hard else api.ResetType.RESET_TYPE_SOFT
    message = api.ResetRequest(charge_point=charge_point, request_id=request_id(request), type=kind)
    with connect(target) as gateway:
        answered(gateway.commands.Reset, message, json, "the reset")


def unlock(
    charge_point: ChargePointArgument,
    connector_id: Annotated[int, typer.Option("--connector", min=1, help="Which connector.")] = 1,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Unlock a connector, e.g. for a cable that is stuck. Not for stopping a transaction."""
    message = api.UnlockConnectorRequest(
        charge_point=charge_point, request_id=request_id(request), connector=connector(connector_id)
    )
    with connect(target) as gateway:
        answered(gateway.commands.UnlockConnector, message, json, f"connector {connector_id}")


# --- configuration --------------------------------------------------------------------------------------------

config = typer.Typer(no_args_is_help=True)


@config.callback()
def config_() -> None:
    """Read and set a charger's configuration keys."""


@config.command("get")
def config_get(
    charge_point: ChargePointArgument,
    keys: Annotated[list[str] | None, typer.Argument(metavar="KEYS", help="Which keys; without any: all.")] = None,
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Ask a charger for configuration keys."""
    message = api.GetConfigurationRequest(charge_point=charge_point, request_id=request_id(request), keys=keys or ())
    with connect(target) as gateway:
        response = ask(gateway.commands.GetConfiguration, message)
    if json:
        print_json(as_dict(response))
    else:
        rows = [
            (each.key, each.value if each.HasField("value") else "", "read-only" if each.readonly else "")
            for each in sorted(response.keys, key=lambda each: each.key)
        ]
        out().print(table("key", "~value", "", rows=rows))
    if response.unknown_keys:
        fail(
            f"{charge_point} does not know: {', '.join(response.unknown_keys)}",
            ExitCode.REFUSED,
            "UNKNOWN_KEYS",
            {"charge_point": charge_point},
        )


@config.command("set")
def config_set(
    charge_point: ChargePointArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The configuration key.")],
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="Its value; - reads a line from standard input, for secrets.")
    ],
    request: RequestIdOption = None,
    target: TargetOption = DEFAULT_TARGET,
    json: JsonOption = False,
) -> None:
    """Set a configuration key of a charger."""
    message = api.ChangeConfigurationRequest(
        charge_point=charge_point,
        request_id=request_id(request),
        key=key,
        value=sys.stdin.readline().rstrip("\r\n") if value == "-" else value,
    )
    with connect(target) as gateway:
        response = answered(gateway.commands.ChangeConfiguration, message, json, key)
    if response.status == api.ChangeConfigurationStatus.CHANGE_CONFIGURATION_STATUS_REBOOT_REQUIRED:
        note(f"in force after a restart: gateway reset {charge_point}")


# --- what they share ------------------------------------------------------------------------------------------


def ask(call: Callable[..., Any], message: Any) -> Any:
    """Send a command and return its response.

    Raises grpc.RpcError; CommandFailed where the connection broke or no answer came in time, for then the command may
    have been sent; Interrupted on Ctrl-C, for the gateway goes on with the command.
    """
    try:
        return call(message, timeout=COMMAND_SECONDS)
    except grpc.RpcError as error:
        problem = problem_of(error)
        if not outcome_lost(problem):
            raise
        fail(
            f"the connection to the gateway broke or no answer came in time ({problem.message}): the command "
            f"(request id {message.request_id}) may be carried out; what became of it: "
            f"gateway commands list --charger {message.charge_point}",
            ExitCode.OUTCOME_UNKNOWN,
            "OUTCOME_UNKNOWN",
            {"charge_point": message.charge_point, "request_id": message.request_id},
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted: the command (request id {message.request_id}) is on its way and may still be carried out; "
            f"gateway commands list --charger {message.charge_point} shows what became of it"
        ) from None


def answered(
    call: Callable[..., Any], message: Any, json: bool, what: str, added: Mapping[str, str] | None = None
) -> Any:
    """Send a command and show its answer, a status; in JSON together with ``added``. Raises CommandFailed where the
    charger refused."""
    response = ask(call, message)
    word = status_word(response)
    if json:
        print_json(as_dict(response) | dict(added or {}))
    if not agreed(response):
        metadata = {"charge_point": message.charge_point, "answer": word}
        fail(f"{message.charge_point} refused {what}: {word}", ExitCode.REFUSED, "REFUSED", metadata)
    if not json:
        say(f"{message.charge_point} answered: {word}", "green")
    return response


def agreed(response: Any) -> bool:
    """Return true if a response's status means yes."""
    return _status_name(response).endswith(ACCEPTED)


def status_word(response: Any) -> str:
    """A response's status as OCPP spells it: as the charger said, from the command."""
    answer = response.command.answer
    said: str = answer.log.status if answer.HasField("log") else answer.status.status
    return said or _status_name(response).rpartition("STATUS_")[2].title().replace("_", "")


def _status_name(response: Any) -> str:
    name: str = response.DESCRIPTOR.fields_by_name["status"].enum_type.values_by_number[response.status].name
    return name


def open_transactions(gateway: GatewayClient, charge_point: str, connector_id: int | None = None) -> list[Transaction]:
    """The running transactions of a charger, or of one of its connectors. Raises grpc.RpcError, NOT_FOUND where there
    is no such charger."""
    request = ListTransactionsRequest(charge_point=charge_point, state=TransactionState.TRANSACTION_STATE_OPEN)
    found = list(pages(gateway.transactions.ListTransactions, request, lambda page: page.transactions, limit=MAX_OPEN))
    if not found:
        must_exist(gateway, charge_point)
    wanted = None if connector_id is None else connector(connector_id)
    return [each for each in found if wanted is None or each.connector == wanted]


def the_only(running: list[Transaction], charge_point: str, what: str) -> Transaction:
    """The one transaction. Raises CommandFailed if there is none, or more than one."""
    if not running:
        fail(
            f"{charge_point}: no transaction is running",
            ExitCode.NOT_FOUND,
            "NO_TRANSACTION",
            {"charge_point": charge_point},
        )
    if len(running) > 1:
        lines = [
            f"  --transaction {each.transaction_id} (connector {connector_name(each.connector)}, {each.id_tag}, "
            f"since {local(moment(each, 'start_time'))})"
            for each in running
        ]
        choose = f"{charge_point}: {len(running)} transactions are running; which to {what}?"
        fail("\n".join([choose, *lines]), ExitCode.USAGE, "SEVERAL_TRANSACTIONS", {"charge_point": charge_point})
    return running[0]
