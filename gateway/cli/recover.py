"""`gateway recover`: taking over a database that was restored or copied."""

import importlib
from typing import Annotated

import typer

from gateway.cli.output import say
from gateway.cli.serve import DEFAULT_CONFIG, ConfigOption


def recover(
    config: ConfigOption = DEFAULT_CONFIG,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="The whole folder was put back, so that nothing shows a difference.")
    ] = False,
    with_log: Annotated[
        bool, typer.Option("--with-log", help="The -wal file was copied together with the database, and belongs to it.")
    ] = False,
) -> None:
    """Make a restored or copied database safe to serve: with it stopped, before the first start.

    It becomes another store: resume tokens of before are refused, and transaction numbers and epochs keep clear of
    those that were given out.
    """
    from gateway.app.settings import load
    from gateway.app.stores import place

    settings = load(config)
    preflight = importlib.import_module("gateway.app.preflight")  # as `gateway serve` does
    done = preflight.recover_store(settings, snapshot=snapshot, with_log=with_log)
    if done is None:
        say(f"{place(settings)}: nothing to do, it is the database that was last served here")
        say("If the whole folder was put back from a snapshot, run it again with --snapshot")
        return
    for line in preflight.describe(done):
        say(line)
    say(f"{place(settings)}: recovered", "green")
