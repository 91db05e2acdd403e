"""The `gateway` command: what there is, and how it ends.

Exit codes: 0 done; 1 refused or failed, with one clear line on standard error; 2 wrong usage; 130 interrupted.
"""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from gateway.cli import certs, serving
from gateway.cli.output import complain
from gateway.errors import GatewayError


class Root(TyperGroup):
    """All commands. Errors that say what went wrong end here, in one line; any other is a bug and shows itself."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            complain(str(error))
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


@app.callback()
def gateway() -> None:
    """An OCPP 1.6J gateway: chargers over wss, a control interface over gRPC."""


app.command("serve")(serving.serve)
app.command("check-config")(serving.check_config)
app.command("example-config")(serving.example_config)
app.add_typer(certs.app, name="certs")


def run() -> None:
    """The console script."""
    app(prog_name="gateway")
