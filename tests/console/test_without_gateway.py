"""The console while no gateway answers, and over HTTPS: nothing here needs one."""

from pathlib import Path

import pytest

from gateway.cli.demo.environment import free_ports
from gateway.console.settings import ConsoleSettings
from tests.console.visitor import Answer, console


def nowhere() -> str:
    """A target at which nothing listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"


def signed_in(token: str, form_token: str = "") -> Answer:
    """The answer to a credential."""
    with console(ConsoleSettings(nowhere())) as made:
        visitor = made()
        page = visitor.get("/sign-in")
        form = {"form_token": form_token or page.form_token, "token": token}
        return visitor.post("/sign-in", form)


def test_a_credential_is_not_called_wrong_while_no_gateway_answers() -> None:
    """It may be good: the person tries again later, and no cookie has it meanwhile."""
    answer = signed_in("a-good-one")
    assert answer.status == 503
    assert "be asked: " in answer.words
    assert "a-good-one" not in answer.text


@pytest.mark.parametrize("form_token", ["0" * 64, "x"])
def test_a_form_of_before_is_given_anew(form_token: str) -> None:
    """One of another process, or of another person."""
    answer = signed_in("any", form_token)
    assert answer.status == 403
    assert "The form was too old: try again." in answer.words
    assert answer.form_token != form_token


def test_over_https_browsers_are_held_to_it_and_any_name_serves() -> None:
    """The certificate says which names are good; over plain HTTP only those of this machine are."""
    secure = ConsoleSettings(nowhere(), certificate=Path("certificate.pem"), key=Path("key.pem"))
    with console(secure) as made:
        visitor = made()
        visitor.host = "console.example"
        page = visitor.get("/sign-in")
        assert page.status == 200
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        assert "Secure" in page.headers["set-cookie"]


def test_an_action_that_there_is_not_is_not_found() -> None:
    """Before the gateway is asked for anything."""
    with console(ConsoleSettings(nowhere())) as made:
        visitor = made()
        form = {"form_token": visitor.get("/sign-in").form_token}
        answer = visitor.post("/charge-points/HOME-1/actions/explode", form)
        assert answer.status == 404
        assert "There is no such" in answer.words
