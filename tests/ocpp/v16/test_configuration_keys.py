"""The configuration keys of 1.6 that the gateway acts on."""

from gateway.ocpp.v16.configuration_keys import is_authorization_key
from tests.domain.test_secrets import HIDDEN


def test_only_the_authorization_key_is_one_to_be_rotated():
    """Whatever else is hidden: another password is no credential of the connection."""
    assert is_authorization_key(" authorizationKEY ")
    for name in HIDDEN:
        assert is_authorization_key(name) == (name.lower() == "authorizationkey")
