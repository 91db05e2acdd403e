"""Refusals of a request's fields, in the words of the command line: of every option of every command."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from typer.main import get_command

from gateway.cli.call import methods
from gateway.cli.field_options import by_option, written
from gateway.cli.root import app
from tests.cli.fakes import Failure
from tests.cli.test_every_command import GIVEN, UNKNOWN, files
from tests.cli.test_exit_codes import commands_of

__all__ = ["files"]

APP = get_command(app)

COMMANDS = {" ".join(path): command for path, command in commands_of(APP)}

TRIED = (
    "1",
    "2037-01-01",
    "key=value",
    "accepted",
    "0a0b",
    "{pem}",
    "read",
    "SHA384",
    "manufacturer",
    "on",
    "open",
    "diverged",
)
"""Values: each option is given the first that it takes."""

KNOWN: dict[str, str] = {}
"""By option, the value that it took last: it means the same in most commands."""

ALONE = {
    "charge limit": ("CP1", {"--watts": "4000"}),
    "commands show": ("", {"--charger": "CP1 --request-id r", "--request-id": "r --charger CP1"}),
    "firmware": (
        "CP1 https://files.example/f",
        {"--install-at": "2037-01-01 --signing-certificate {pem} --signature {pem}"},
    ),
    "fleet items": ("job", {"--outcome": "done"}),
    "limit": ("CP1", {"--watts": "4000", "--clear": ""}),
    "schedule": ("CP1", {"--unit": "A"}),
    "log-level": ("debug", {"--for": "60", "--charger": "CP1"}),
    "plan list": ("", {"--state": "applied"}),
    "transactions close": ("tx_1 --reason r", {"--at": "2026-01-01 --meter-wh 5", "--insist": "--meter-wh 5"}),
    "transactions cost": ("tx_1", {"--prices": "{prices}"}),
    "transactions estimate": ("tx_1", {"--soc": "80", "--kwh": "5"}),
    "log": ("CP1 https://files.example/", {"--type": "diagnostics"}),
}
"""Commands with options that go only with other arguments than the rest: those, and what is typed after each option."""

NEITHER = frozenset(
    {
        "callers add --offline",  # without a gateway
        "callers add --config",  # goes with it
        "chargers import --dry-run",  # a stream of messages: tests/cli/test_fleet_import.py
        "chargers add --quirk",  # its own words: tests/cli/test_quirk_options.py
        "chargers update --quirk",
        "fleet renew-certificates --expiring-within",  # it excludes the charger that is given
        "firmware --signing-certificate",  # tried with --install-at
        "firmware --signature",
    }
)
"""Options that ask for nothing alone."""

NOT_TYPED = frozenset(
    {
        "request_id",  # new by each run
        "page_size",  # of a list that the command looks through by itself
        "state",  # that of the transaction that `stop` looks for
        "update_mask",  # follows from the options that are given
        "update_type",  # likewise
        "charging_profile_id",
        "charging_profile.charging_profile_id",
        "charging_profile.purpose",
        "charging_profile.schedule.start_schedule_time",
        "charging_profile.schedule.periods",  # its parts are named: periods[0].limit
    }
)
"""Fields that the command line fills by itself, with what can't be wrong."""


def leaves(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """The fields that are set, by path, with their values."""
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        own = field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.full_name.startswith("gateway.")
        if own and not field.is_repeated:
            yield from leaves(value, f"{name}.")
        else:
            yield name, str(value)


class Asking:
    """Runs commands, which are built once for all, and returns the fields of the requests that they sent."""

    def __init__(self, fake: Any, files: dict[str, str]) -> None:
        self.fake = fake
        self.files = files

    def fields(self, command: str, *typed: str) -> list[tuple[str, dict[str, str]]]:
        """The fields of each request, behind its method."""
        self.fake.requests.clear()
        with suppress(SystemExit):
            APP.main([*command.split(), *(each.format(**self.files) for text in typed for each in text.split())])
        return [(name, dict(leaves(each))) for name, each in self.fake.requests if isinstance(each, Message)]

    def filled(self, command: str, option: str, flag: bool) -> set[str] | None:
        """The fields that an option of a command fills; None: it asks for nothing."""
        given = GIVEN[command]
        values = ("",) if flag else [KNOWN[option], *TRIED] if option in KNOWN else TRIED
        if option in ALONE.get(command, ("", {}))[1]:
            given, typed = ALONE[command]
            values = (typed[option],)
        plain = self.fields(command, given)
        for value in values:
            found = self.fields(command, given, option, value)
            if found:
                KNOWN[option] = value
                # In the order of the plain ones: of two streams at once either may be the first.
                methods = [method for method, _ in plain]
                found.sort(key=lambda each: methods.index(each[0]) if each[0] in methods else len(methods))
                pairs = zip([fields for _, fields in plain] or [{}], [fields for _, fields in found], strict=False)
                return {name for a, b in pairs for name in a.keys() | b.keys() if a.get(name) != b.get(name)}
        return None


@pytest.mark.parametrize("command", sorted(GIVEN.keys() - {"call", "tap"}))
def test_a_refused_field_is_named_by_the_option_that_filled_it(fake, files, command, monkeypatch):
    """Found by trying each option and looking at what changes in the requests."""
    monkeypatch.setenv("GATEWAY_TARGET", fake.target)
    for name, method in methods().items():
        if method.server_streaming:
            fake.answers[name.partition("/")[2]] = lambda *_: [UNKNOWN]  # or it would be asked for again
    asking, parameters = Asking(fake, files), COMMANDS[command].params
    names = written(parameters)
    options = {max(each.opts, key=len): each for each in parameters if each.param_type_name != "argument"}
    for option in sorted(options.keys() - {"--target", "--json"}):
        filled = asking.filled(command, option, options[option].is_flag)
        assert (filled is None) == (f"{command} {option}" in NEITHER), option
        for field in (filled or set()) - NOT_TYPED:
            said = by_option(f"{field}: is wrong", command.split()[0], names)
            assert not said.startswith(field), option


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        ("chargers rotate-key CP1 --anyway", "RotateAuthorizationKey"),
        ("fleet rotate-keys --every --anyway", "RotateAuthorizationKeys"),
        ("charge start CP1 --tag T --anyway", "StartCharging"),
    ],
)
def test_a_refusal_names_the_flag_that_was_typed(fake, run, arguments, method):
    """``insist`` is the contract's word; who typed ``--anyway`` never saw it."""
    violation = {"insist": "needs reset"}
    failure = Failure(grpc.StatusCode.INVALID_ARGUMENT, "insist: needs reset", "INVALID_REQUEST", violations=violation)
    fake.answers[method] = failure
    result = run(*arguments.split())
    assert (result.exit_code, result.stderr) == (2, "error: --anyway: needs reset [INVALID_REQUEST]\n")
