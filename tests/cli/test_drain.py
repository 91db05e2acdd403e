"""`gateway drain`: what is asked, and how its course is shown."""

import re

import grpc
import typer

from gateway.api.v1 import server_pb2 as api
from gateway.cli.root import app
from tests.cli.fakes import Failure


def course(stage, idle, charging):
    found = api.DrainProgress(stage=stage, session_count=7, idle_count=idle, charging_count=charging)
    found.left_duration.FromSeconds(20)
    return found


SERVING, SESSIONS = course(api.DRAIN_STAGE_SERVING, 5, 2), course(api.DRAIN_STAGE_SESSIONS, 1, 2)


def test_a_drain_is_asked_for_with_what_is_given(fake, run):
    """And not without a word."""
    fake.answers["Drain"] = api.DrainResponse(progress=course(api.DRAIN_STAGE_COMMANDS, 5, 2))
    assert run("drain", input="n\n").exit_code != 0
    assert not fake.asked("Drain")
    result = run("drain", "--yes", "--rate", "50", "--jitter", "0", "--deadline", "60")
    assert result.exit_code == 0, result.output
    asked = fake.asked("Drain")[-1]
    assert (asked.closes_per_second, asked.jitter, asked.deadline.seconds) == (50, 0, 60)
    assert asked.HasField("jitter")
    assert "commands  5 idle and 2 charging of 7 sessions are left, 20 s" in result.stdout
    assert run("drain", input="y\n").exit_code == 0
    asked = fake.asked("Drain")[-1]
    assert asked == api.DrainRequest()


def test_its_course_is_watched_until_the_gateway_has_stopped(fake, run):
    """Its end is no failure."""
    fake.answers["Drain"] = api.DrainResponse(progress=course(api.DRAIN_STAGE_COMMANDS, 5, 2))
    fake.answers["WatchDrain"] = [
        api.WatchDrainResponse(progress=SERVING),
        api.WatchDrainResponse(progress=SESSIONS),
        Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING", "the gateway is stopping"),
    ]
    result = run("drain", "--yes", "--watch")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["commands", "sessions", "the"]
    assert '"stage": "DRAIN_STAGE_SESSIONS"' in run("drain", "--yes", "--watch", "--json").stdout


def test_what_refuses_a_drain_is_said_before_the_question(fake, run):
    """A gateway that is out of reach is not asked about."""
    fake.answers["WatchDrain"] = [Failure(grpc.StatusCode.PERMISSION_DENIED, "no role read", "ROLE_NEEDED")]
    result = run("drain", input="y\n")
    assert result.exit_code != 0
    assert "no role read" in result.stderr
    assert "Drain and stop" not in result.output
    assert not fake.asked("Drain")
    assert run("drain", "--rate", "100001", input="y\n").exit_code == 2


def test_what_was_seen_while_the_question_waited_is_no_part_of_the_course(fake, run):
    """The gateway still served then."""
    fake.answers["Drain"] = api.DrainResponse(progress=course(api.DRAIN_STAGE_COMMANDS, 5, 2))
    looks = [SERVING, SERVING, SERVING, SESSIONS]
    fake.answers["WatchDrain"] = [api.WatchDrainResponse(progress=each) for each in looks]
    result = run("drain", "--watch", input="y\n")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()][-3:] == ["commands", "sessions", "the"]
    assert "serving" not in result.stdout


def test_another_end_of_the_watch_is_a_failure(fake, run):
    """It says nothing about the gateway."""
    fake.answers["WatchDrain"] = [
        api.WatchDrainResponse(progress=SERVING),
        Failure(grpc.StatusCode.INTERNAL, "INTERNAL", "a bug"),
    ]
    assert run("drain", "--yes", "--watch").exit_code != 0


def test_no_help_has_words_in_brackets():
    """Rich takes them for its own marks, and shows nothing of them."""
    found = []
    waiting = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        waiting.extend(getattr(command, "commands", {}).values())
        texts = [command.help or "", *(getattr(each, "help", None) or "" for each in command.params)]
        found += [(command.name, word) for text in texts for word in re.findall(r"\[[a-z_.]+\]", text)]
    assert found == []
