"""`gateway tags` and `gateway commands`: every option is asked of the gateway, every kind of answer is shown."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from gateway.api.v1 import command_pb2 as commands_api
from gateway.api.v1 import id_tag_pb2 as tags_api
from tests.cli.fakes import FakeGateway

Run = Callable[..., Result]


def test_everything_about_a_tag_can_be_changed_at_once(fake: FakeGateway, run: Run) -> None:
    """The mask names what was given, in the interface's words."""
    result = run(
        *("tags", "update", "TAG", "--status", "accepted", "--expires", "2030-01-02T03:04:05+0000"),
        *("--parent", "", "--one-at-a-time", "--description", "spare key"),
    )
    assert result.exit_code == 0, result.output
    [request] = fake.asked("UpdateIdTag")
    assert list(request.update_mask.paths) == [
        "status",
        "expire_time",
        "parent_id_tag",
        "allow_concurrent",
        "description",
    ]
    tag = request.id_tag
    assert (tag.status, tag.parent_id_tag, tag.allow_concurrent, tag.description) == (1, "", False, "spare key")
    assert tag.expire_time.ToJsonString() == "2030-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "nothing to change"),
        (("--never-expires", "--expires", "2030-01-02"), "exclude each other"),
    ],
)
def test_a_change_that_says_nothing_or_two_things_is_wrong_usage(
    fake: FakeGateway, run: Run, options: tuple[str, ...], said: str
) -> None:
    """Nothing is asked of the gateway."""
    result = run("tags", "update", "TAG", *options)
    assert result.exit_code == 2
    assert said in result.output
    assert fake.requests == []


def test_a_list_of_tags_that_was_cut_says_so(fake: FakeGateway, run: Run) -> None:
    """With the option that shows more."""
    tags = [tags_api.IdTag(id_tag=f"TAG{number}", status=1, allow_concurrent=number == 0) for number in range(2)]
    fake.answers["ListIdTags"] = tags_api.ListIdTagsResponse(id_tags=tags)
    result = run("tags", "list", "--limit", 2)
    assert "the first 2; --limit for more" in result.stderr
    assert "several" in result.stdout


def test_a_tag_is_shown_as_json(fake: FakeGateway, run: Run) -> None:
    """As the interface has it."""
    fake.answers["GetIdTag"] = tags_api.GetIdTagResponse(id_tag=tags_api.IdTag(id_tag="TAG", status=2))
    shown = json.loads(run("tags", "show", "TAG", "--json").stdout)
    assert (shown["id_tag"], shown["status"]) == ("TAG", "ID_TAG_STATUS_BLOCKED")


def command(**fields: Any) -> commands_api.Command:
    """A command with these fields."""
    return commands_api.Command(command_id="cmd_1", charge_point="CP1", operation="Reset", **fields)


ANSWERS = {
    "an error": (
        command(error=commands_api.CommandError(code="GenericError", description="busy")),
        "GenericError: busy",
    ),
    "an error without words": (command(error=commands_api.CommandError(code="GenericError")), "GenericError"),
    "a configuration": (
        command(
            answer=commands_api.CommandAnswer(
                configuration=commands_api.ConfigurationAnswer(keys=[commands_api.ConfigurationKey(key="K")])
            )
        ),
        "1 keys",
    ),
    "a list's version": (
        command(
            answer=commands_api.CommandAnswer(local_list_version=commands_api.LocalListVersionAnswer(list_version=7))
        ),
        "version 7",
    ),
    "diagnostics": (
        command(answer=commands_api.CommandAnswer(diagnostics=commands_api.DiagnosticsAnswer(file_name="log.zip"))),
        "log.zip",
    ),
    "no diagnostics": (
        command(answer=commands_api.CommandAnswer(diagnostics=commands_api.DiagnosticsAnswer())),
        "nothing to upload",
    ),
    "a status": (
        command(answer=commands_api.CommandAnswer(status=commands_api.StatusAnswer(status="Accepted"))),
        "Accepted",
    ),
    "a confirmation": (command(answer=commands_api.CommandAnswer(empty=commands_api.EmptyAnswer())), "confirmed"),
    "none": (command(reason="timeout"), "timeout"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_outcome_of_a_command_is_shown_in_a_few_words(fake: FakeGateway, run: Run, case: str) -> None:
    """Each kind of answer has its own; no answer shows why."""
    made, words = ANSWERS[case]
    fake.answers["ListCommands"] = commands_api.ListCommandsResponse(commands=[made])
    fake.answers["GetCommand"] = commands_api.GetCommandResponse(command=made)
    assert words in run("commands", "list").stdout
    assert words in run("commands", "show", "cmd_1").stdout


def test_commands_are_shown_as_json(fake: FakeGateway, run: Run) -> None:
    """One, and a list of them."""
    fake.answers["ListCommands"] = commands_api.ListCommandsResponse(commands=[command()])
    fake.answers["GetCommand"] = commands_api.GetCommandResponse(command=command())
    assert json.loads(run("commands", "show", "cmd_1", "--json").stdout)["command_id"] == "cmd_1"
    assert [each["command_id"] for each in json.loads(run("commands", "list", "--json").stdout)] == ["cmd_1"]


def test_a_list_of_commands_that_was_cut_says_so(fake: FakeGateway, run: Run) -> None:
    """With the option that shows more."""
    fake.answers["ListCommands"] = commands_api.ListCommandsResponse(commands=[command()])
    assert "the newest 1; --limit for more" in run("commands", "list", "--limit", 1).stderr
