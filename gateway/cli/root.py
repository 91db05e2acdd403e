"""The commands of `gateway`: what there is, and how it ends.

Exit codes: 0 done; 1 refused or failed, with one clear line on standard error; 2 wrong usage; 130 interrupted.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from typer.core import TyperGroup

from gateway.cli import (
    certs,
    chargers,
    commands,
    demo,
    diagnosing,
    importing,
    limiting,
    serving,
    simulate,
    steering,
    tags,
    transactions,
    vendor_data,
    watch,
)
from gateway.cli.connection import TLS, TlsFiles, describe
from gateway.cli.fields import by_option
from gateway.cli.output import Interrupted, complain, note, say
from gateway.errors import GatewayError


class Root(TyperGroup):
    """All commands. Errors that say what went wrong end here, in one line; any other is a bug and shows itself."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except Interrupted as error:
            note(str(error))
            raise typer.Exit(130) from None
        except GatewayError as error:
            complain(str(error))
            raise typer.Exit(1) from None
        except grpc.RpcError as error:
            complain(by_option(describe(error), ctx.invoked_subcommand))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of a pipe (head, less) has gone: nothing more to say, and nothing to say it to.
            sys.stdout = None
            raise typer.Exit(1) from None


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
    show: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """An OCPP 1.6J gateway: chargers over wss, a control interface over gRPC."""
    if (certificate is None) != (key is None) or (certificate is not None and ca is None):
        raise typer.BadParameter("--certificate and --key go together, and with --ca")
    TLS.set(TlsFiles(ca, certificate, key))


SERVER, CHARGERS, TRYING = "The gateway", "Chargers (over gRPC)", "Trying it out"

app.command("serve", rich_help_panel=SERVER)(serving.serve)
app.command("check-config", rich_help_panel=SERVER)(serving.check_config)
app.command("example-config", rich_help_panel=SERVER)(serving.example_config)
chargers.app.command("import")(importing.import_fleet)
app.add_typer(chargers.app, name="chargers", rich_help_panel=CHARGERS)
app.add_typer(tags.app, name="tags", rich_help_panel=CHARGERS)
app.command("start", rich_help_panel=CHARGERS)(steering.start)
app.command("stop", rich_help_panel=CHARGERS)(steering.stop)
app.command("limit", rich_help_panel=CHARGERS)(limiting.limit)
app.command("trigger", rich_help_panel=CHARGERS)(steering.trigger)
app.command("reset", rich_help_panel=CHARGERS)(steering.reset)
app.command("unlock", rich_help_panel=CHARGERS)(steering.unlock)
app.add_typer(steering.config, name="config", rich_help_panel=CHARGERS)
app.add_typer(transactions.app, name="transactions", rich_help_panel=CHARGERS)
app.add_typer(commands.app, name="commands", rich_help_panel=CHARGERS)
app.command("watch", rich_help_panel=CHARGERS)(watch.watch)
app.command("vendor-data", rich_help_panel=CHARGERS)(vendor_data.vendor_data)
app.command("refused", rich_help_panel=CHARGERS)(diagnosing.refused)
app.command("frames", rich_help_panel=CHARGERS)(diagnosing.frames)
app.command("deviations", rich_help_panel=CHARGERS)(diagnosing.deviations)
app.add_typer(certs.app, name="certs", rich_help_panel=TRYING)
app.command("simulate", rich_help_panel=TRYING)(simulate.simulate)
app.command("demo", rich_help_panel=TRYING)(demo.demo)
