"""`gateway callers`, and the token that every command sends."""

import json
from pathlib import Path

import grpc
import pytest

from gateway.api.v1 import caller_pb2 as api
from gateway.domain.callers import Role, token_digest
from gateway.store.sqlite import SqliteStore
from tests.cli.fakes import Failure, at

TOKEN = "ocpgw_" + "x" * 43
BILLING = api.Caller(
    name="billing", roles=[api.ROLE_READ, api.ROLE_VENDOR_DATA], create_time=at("2026-03-01T12:00:00Z")
)


def test_a_token_is_shown_once(fake, run):
    """With the roles; the note says how it is sent."""
    fake.answers["CreateCaller"] = api.CreateCallerResponse(caller=BILLING, token=TOKEN)
    result = run("callers", "add", "billing", "--role", "read", "--role", "vendor-data")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["billing may call: read, vendor-data", f"token: {TOKEN}"]
    assert "authorization: Bearer" in result.stderr
    (request,) = fake.asked("CreateCaller")
    assert (request.caller.name, list(request.caller.roles)) == ("billing", [api.ROLE_READ, api.ROLE_VENDOR_DATA])
    shown = json.loads(run("callers", "add", "billing", "--role", "read", "--json").stdout)
    assert (shown["token"], shown["caller"]["name"]) == (TOKEN, "billing")


def test_a_caller_with_a_certificate_gets_no_token(fake, run):
    """Its name in it is what is sent."""
    asked = api.Caller(name="app", roles=[api.ROLE_OPERATE], certificate_name="app.example", scope={"site": "north"})
    fake.answers["CreateCaller"] = api.CreateCallerResponse(caller=asked)
    shown = ("--certificate", "app.example", "--label", "site=north")
    result = run("callers", "add", "app", "--role", "operate", *shown)
    assert result.stdout.splitlines() == ["app may call: operate"]
    assert fake.asked("CreateCaller") == [api.CreateCallerRequest(caller=asked)]
    assert "token" not in json.loads(run("callers", "add", "app", "--role", "operate", "--json").stdout)


@pytest.mark.parametrize("arguments", [[], ["--role", "root"], ["--role", ""]])
def test_a_caller_without_a_role_that_there_is_is_wrong_usage(fake, run, arguments):
    """Nothing is sent."""
    assert run("callers", "add", "billing", *arguments).exit_code == 2
    assert not fake.requests


def test_callers_are_listed_and_revoked(fake, run):
    """By name, with what they show."""
    app = api.Caller(name="app", roles=[api.ROLE_OPERATE], certificate_name="app.example", scope={"site": "north"})
    fake.answers["ListCallers"] = api.ListCallersResponse(callers=[app, BILLING])
    header, first, second = run("callers", "list").stdout.splitlines()
    assert header.split() == ["caller", "roles", "charge", "points", "shows", "since"]
    assert first.split() == ["app", "operate", "site=north", "certificate", "app.example"]
    assert second.split()[:5] == ["billing", "read,", "vendor-data", "all", "token"]
    assert [each["name"] for each in json.loads(run("callers", "list", "--json").stdout)] == ["app", "billing"]
    assert run("callers", "revoke", "billing").stdout.splitlines() == ["billing is revoked"]
    assert fake.asked("RevokeCaller") == [api.RevokeCallerRequest(name="billing")]


def sent(fake, run, *options):
    """The metadata that a command sends, by its result."""
    seen = []

    def answer(request, context):
        seen.extend(value for key, value in context.invocation_metadata() if key == "authorization")
        return api.ListCallersResponse()

    fake.answers["ListCallers"] = answer
    result = run(*options, "callers", "list")
    return result, seen


def test_the_token_is_sent_with_each_call(fake, run, tmp_path, monkeypatch):
    """From a file, or from the environment; the file counts before."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    assert sent(fake, run)[1] == []
    monkeypatch.setenv("GATEWAY_TOKEN", "ocpgw_other")
    assert sent(fake, run)[1] == ["Bearer ocpgw_other"]
    assert sent(fake, run, "--token-file", path)[1] == [f"Bearer {TOKEN}"]
    monkeypatch.setenv("GATEWAY_TOKEN_FILE", str(path))
    assert sent(fake, run)[1] == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("content", ["", " \n", "two words", "a\x01b", "\u00fc"])
def test_a_file_without_a_token_is_reported_and_not_shown(fake, run, tmp_path, content):
    """As is one that is not there."""
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    for each, reason in ((path, "holds no token"), (tmp_path / "none", "No such file")):
        result, seen = sent(fake, run, "--token-file", each)
        assert (result.exit_code, seen) == (1, [])
        assert reason in result.stderr
    assert "two words" not in run("--token-file", path, "callers", "list").output


def test_a_refusal_is_said_in_one_line(fake, run):
    """With its reason."""
    denied = Failure(
        grpc.StatusCode.PERMISSION_DENIED,
        "the caller billing lacks the role administer",
        "ROLE_MISSING",
        {"caller": "billing", "role": "administer"},
    )
    fake.answers["RevokeCaller"] = denied
    result = run("callers", "revoke", "app")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["error: the caller billing lacks the role administer [ROLE_MISSING]"]


def test_the_first_caller_is_made_while_the_gateway_does_not_run(run, tmp_path: Path):
    """In the database of the settings; a gateway that runs refuses, and so does a name that is taken."""
    config, database = tmp_path / "gateway.toml", tmp_path / "gateway.db"
    config.write_text(
        f'[store]\npath = "{database}"\n[[listeners]]\ncertificates = [{{certificate = "c", key = "k"}}]\n'
    )
    command = ("callers", "add", "root", "--role", "administer", "--offline", "--config", config)
    result = run(*command, "--json")
    assert result.exit_code == 0, result.output
    token = json.loads(result.stdout)["token"]
    store = SqliteStore(database)
    (caller,) = store.callers()
    assert (caller.name, caller.roles, caller.token_digest) == ("root", (Role.ADMINISTER,), token_digest(token))
    running = run(*command)
    assert running.exit_code == 1
    assert "is served by this process" in running.stderr
    store.close()
    again = run(*command)
    assert again.exit_code == 1
    assert "there is a caller root" in again.stderr
    scoped = run("callers", "add", "n", "--role", "read", "--label", "site=north", "--offline", "--config", config)
    assert scoped.exit_code == 0, scoped.output
    store = SqliteStore(database)
    assert [each.scope for each in store.callers()] == [{"site": "north"}, {}]
    store.close()
    wrong = run("callers", "add", "a b", "--role", "read", "--offline", "--config", config)
    assert (wrong.exit_code, "name: must have" in wrong.stderr) == (1, True)


def test_what_leaves_nothing_to_show_is_an_empty_object_in_json(run):
    """For programs, which read an object from every command."""
    for words in (
        ("callers", "revoke"),
        ("tags", "remove"),
        ("chargers", "disconnect"),
        ("chargers", "remove", "--yes"),
    ):
        assert run(*words, "x", "--json").stdout == "{}\n"
