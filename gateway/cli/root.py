"""The commands of `gateway`: what there is, and how it ends.

Each ending has an exit code (``exit_codes``) and one clear line on standard error; with ``--json`` that line is a JSON
object.
"""

import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from typer._click.exceptions import UsageError  # typer exports one of its subclasses only
from typer.core import TyperGroup

from gateway.cli import (
    audit,
    backups,
    call,
    callers,
    certs,
    charge,
    charger_certificates,
    charger_use,
    chargers,
    commands,
    commands_send,
    console,
    counts,
    diagnostics,
    doctor,
    drain,
    export,
    fleet,
    fleet_import,
    gateway_status,
    health,
    latencies,
    limit,
    log_level,
    maintenance,
    nodes,
    plan,
    recover,
    retention,
    serve,
    server_info,
    snapshots,
    tags,
    tap,
    transactions,
    vendor_data,
    watch,
)
from gateway.cli.connection import PARAMETERS, TLS, TOKEN_FILE, TlsFiles, describe, outcome_lost
from gateway.cli.demo import command as demo
from gateway.cli.exit_codes import ExitCode, exit_code
from gateway.cli.field_options import by_option
from gateway.cli.last_call import METHOD, changes
from gateway.cli.option_values import plainly
from gateway.cli.output import CommandFailed, Interrupted, complain, complain_json, note, say
from gateway.cli.simulate import command as simulate
from gateway.cli.top import command as top
from gateway.client import Problem, problem_of
from gateway.errors import GatewayError

OUT_OF_RANGE = re.compile(r"Value out of range: (-?\d+)")
"""The words of protobuf for a number of an option or argument that its field has no room for."""

JSON_WANTED = "gateway.cli.json"
"""Where a run's context keeps whether its errors are to be JSON."""


class Root(TyperGroup):
    """All commands. Errors that say what went wrong end here, in one line; any other is a bug and shows itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the arguments; note first whether errors are to be JSON, since those of reading are errors too."""
        ctx.meta.setdefault(JSON_WANTED, "--json" in args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        in_json = ctx.meta[JSON_WANTED]
        try:
            return super().invoke(ctx)
        except UsageError as error:
            error.message = plainly(error.message)
            if not in_json:
                raise
            complain_json(error.format_message(), ExitCode.USAGE)
            raise typer.Exit(ExitCode.USAGE) from None
        except Interrupted as error:
            if in_json:
                complain_json(str(error), ExitCode.INTERRUPTED)
            else:
                note(str(error))
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except CommandFailed as error:
            if in_json:
                complain_json(
                    str(error),
                    error.code,
                    reason=error.reason,
                    metadata=error.metadata,
                    violations=error.violations,
                )
            else:
                complain(str(error))
            raise typer.Exit(error.code) from None
        except GatewayError as error:
            complain_json(str(error), ExitCode.FAILED) if in_json else complain(str(error))
            raise typer.Exit(ExitCode.FAILED) from None
        except grpc.RpcError as error:
            raise typer.Exit(_complain_of(error, ctx.invoked_subcommand, in_json)) from None
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except UnicodeEncodeError as error:
            # A file may have any name; what is sent is text.
            if error.encoding != "utf-8" or not any(is_surrogate(each) for each in str(error.object)):
                raise
            message = "an argument is not in UTF-8"
            complain_json(message, ExitCode.USAGE) if in_json else complain(message)
            raise typer.Exit(ExitCode.USAGE) from None
        except ValueError as error:
            beyond = OUT_OF_RANGE.fullmatch(str(error))
            if beyond is None:
                raise
            message = f"{beyond[1]} is beyond the whole numbers that can be sent"
            complain_json(message, ExitCode.USAGE) if in_json else complain(message)
            raise typer.Exit(ExitCode.USAGE) from None
        except BrokenPipeError:
            # The reader of a pipe (head, less) has gone: nothing more to say, and nothing to say it to.
            sys.stdout = None
            raise typer.Exit(1) from None


def is_surrogate(letter: str) -> bool:
    """Return true if a character stands for a byte of the command line that is no UTF-8 (PEP 383)."""
    return "\ud800" <= letter <= "\udfff"


def _complain_of(error: grpc.RpcError, command: str | None, in_json: bool) -> ExitCode:
    """Say what the control interface refused; the exit code."""
    problem = problem_of(error)
    if outcome_lost(problem) and changes(METHOD.get()):
        return _complain_of_doubt(problem, in_json)
    code = exit_code(problem)
    text = by_option(describe(error), command, PARAMETERS.get())
    if in_json:
        message = problem.message if problem.reason else text
        complain_json(
            message,
            code,
            status=problem.code.name,
            reason=problem.reason,
            metadata=problem.metadata,
            violations=problem.violations,
        )
    else:
        complain(text)
    return code


def _complain_of_doubt(problem: Problem, in_json: bool) -> ExitCode:
    """Say of a change that it may have been done: nothing came back, or not in time; the exit code."""
    text = (
        f"the connection to the gateway broke or no answer came in time ({problem.message}): it may have been done; "
        "look before it is asked for again"
    )
    if in_json:
        complain_json(text, ExitCode.OUTCOME_UNKNOWN, reason="OUTCOME_UNKNOWN")
    else:
        complain(text)
    return ExitCode.OUTCOME_UNKNOWN


app = typer.Typer(
    cls=Root,
    name="gateway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def show_version(wanted: bool) -> None:
    """Print the version, and end."""
    if wanted:
        say(f"gateway {version('gateway')}")
        raise typer.Exit


@app.callback()
def gateway(
    ca: Annotated[
        Path | None, typer.Option(envvar="GATEWAY_CA", help="Use TLS towards the control interface; its CA in PEM.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(envvar="GATEWAY_CERTIFICATE", help="With --ca: a client certificate in PEM.")
    ] = None,
    key: Annotated[Path | None, typer.Option(envvar="GATEWAY_KEY", help="Its private key in PEM.")] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="GATEWAY_TOKEN_FILE", help="A file with this caller's token. Without it GATEWAY_TOKEN may hold one."
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """An OCPP 1.6J gateway: chargers over wss, a control interface over gRPC."""
    if (certificate is None) != (key is None) or (certificate is not None and ca is None):
        raise typer.BadParameter("--certificate and --key go together, and with --ca")
    TLS.set(TlsFiles(ca, certificate, key))
    TOKEN_FILE.set(token_file)


SERVER, CHARGERS, TRYING = "The gateway", "Chargers (over gRPC)", "Trying it out"

app.command("serve", rich_help_panel=SERVER)(serve.serve)
app.command("check-config", rich_help_panel=SERVER)(serve.check_config)
app.command("doctor", rich_help_panel=SERVER)(doctor.doctor)
app.command("health", rich_help_panel=SERVER)(health.health)
app.command("console", rich_help_panel=SERVER)(console.console)
app.command("backup", rich_help_panel=SERVER)(backups.backup)
app.command("restore", rich_help_panel=SERVER)(backups.restore)
app.command("export", rich_help_panel=SERVER)(export.export)
app.command("recover", rich_help_panel=SERVER)(recover.recover)
app.add_typer(callers.app, name="callers", rich_help_panel=SERVER)
app.command("audit", rich_help_panel=SERVER)(audit.audit)
app.add_typer(retention.app, name="retention", rich_help_panel=SERVER)
app.command("drain", rich_help_panel=SERVER)(drain.drain)
app.command("log-level", rich_help_panel=SERVER)(log_level.log_level)
app.command("nodes", rich_help_panel=SERVER)(nodes.nodes)
app.command("info", rich_help_panel=SERVER)(server_info.info)
app.command("status", rich_help_panel=SERVER)(gateway_status.status)
app.command("example-config", rich_help_panel=SERVER)(serve.example_config)
chargers.app.command("import")(fleet_import.import_fleet)
chargers.app.command("count")(counts.chargers)
chargers.app.command("readings")(snapshots.readings)
transactions.app.command("open")(snapshots.open_transactions)
transactions.app.command("count")(counts.transactions)
app.add_typer(chargers.app, name="chargers", rich_help_panel=CHARGERS)
app.add_typer(tags.app, name="tags", rich_help_panel=CHARGERS)
app.add_typer(charge.app, name="charge", rich_help_panel=CHARGERS)
app.add_typer(fleet.app, name="fleet", rich_help_panel=CHARGERS)
app.add_typer(plan.app, name="plan", rich_help_panel=CHARGERS)
app.command("start", rich_help_panel=CHARGERS)(commands_send.start)
app.command("stop", rich_help_panel=CHARGERS)(commands_send.stop)
app.command("limit", rich_help_panel=CHARGERS)(limit.limit)
app.command("trigger", rich_help_panel=CHARGERS)(commands_send.trigger)
app.command("reset", rich_help_panel=CHARGERS)(commands_send.reset)
app.command("unlock", rich_help_panel=CHARGERS)(commands_send.unlock)
app.command("availability", rich_help_panel=CHARGERS)(charger_use.availability)
app.command("reserve", rich_help_panel=CHARGERS)(charger_use.reserve)
app.command("cancel-reservation", rich_help_panel=CHARGERS)(charger_use.cancel_reservation)
app.command("clear-cache", rich_help_panel=CHARGERS)(charger_use.clear_cache)
app.command("schedule", rich_help_panel=CHARGERS)(charger_use.schedule)
app.command("diagnostics", rich_help_panel=CHARGERS)(charger_use.upload_diagnostics)
app.add_typer(charger_use.local_list, name="local-list", rich_help_panel=CHARGERS)
app.add_typer(commands_send.config, name="config", rich_help_panel=CHARGERS)
app.add_typer(charger_certificates.app, name="certificates", rich_help_panel=CHARGERS)
app.command("firmware", rich_help_panel=CHARGERS)(maintenance.firmware)
app.command("log", rich_help_panel=CHARGERS)(maintenance.log)
app.add_typer(transactions.app, name="transactions", rich_help_panel=CHARGERS)
app.add_typer(commands.app, name="commands", rich_help_panel=CHARGERS)
app.command("watch", rich_help_panel=CHARGERS)(watch.watch)
app.command("top", rich_help_panel=CHARGERS)(top.top)
app.command("meters", rich_help_panel=CHARGERS)(snapshots.meters)
app.command("vendor-data", rich_help_panel=CHARGERS)(vendor_data.vendor_data)
app.command("refused", rich_help_panel=CHARGERS)(diagnostics.refused)
app.command("frames", rich_help_panel=CHARGERS)(diagnostics.frames)
app.command("deviations", rich_help_panel=CHARGERS)(diagnostics.deviations)
app.command("latencies", rich_help_panel=CHARGERS)(latencies.latencies)
app.command("flapping", rich_help_panel=CHARGERS)(diagnostics.flapping)
app.command("tap", rich_help_panel=CHARGERS)(tap.tap)
app.command("call", rich_help_panel=CHARGERS)(call.call)
app.add_typer(certs.app, name="certs", rich_help_panel=TRYING)
app.command("simulate", rich_help_panel=TRYING)(simulate.simulate)
app.command("replay", rich_help_panel=TRYING)(tap.replay)
app.command("demo", rich_help_panel=TRYING)(demo.demo)
