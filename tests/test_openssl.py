"""The configuration that OpenSSL starts with: the list of groups is added to whatever there is."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.openssl import GROUPS, MARK, VARIABLE, with_groups


def groups_of(configuration: str) -> str | None:
    """The groups that OpenSSL would take for every TLS context, by its own rules: sections of one name are one, the
    later line of a key holds, and a section's name leads to the next."""
    sections: dict[str, dict[str, str]] = {"default": {}}
    current = "default"
    for line in configuration.split("\n"):
        text = line.partition("#")[0].strip()
        if text.startswith("[") and "]" in text:
            current = text[1:].partition("]")[0].strip()
        elif "=" in text:
            key, _, value = text.partition("=")
            sections.setdefault(current, {})[key.strip()] = value.strip()
    start = sections["default"].get("openssl_conf", "")
    modules = sections.get(start, {}).get("ssl_conf", "")
    every = sections.get(modules, {}).get("system_default", "")
    return sections.get(every, {}).get("Groups")


NAMES = st.sampled_from(["default", "a", "b", "c", "openssl_init", "gateway_ssl"])
KEYS = st.sampled_from(["openssl_conf", "ssl_conf", "system_default", "Groups", "CipherString", "x"])
LINES = st.one_of(
    NAMES.map("[ {} ]".format),
    st.builds("{} = {}".format, KEYS, NAMES),
    st.sampled_from(["# openssl_conf = z", "", ".include /etc/more.cnf", "Groups = ffdhe8192", "providers = p"]),
)


@given(st.lists(LINES, max_size=30).map("\n".join))
def test_whatever_is_there_the_groups_are_restricted_and_all_of_it_is_kept(configuration: str) -> None:
    """Whichever sections there are, and in whichever order."""
    assert groups_of(with_groups(configuration)) == GROUPS
    assert with_groups(configuration).startswith(configuration)


@given(st.text())
def test_any_text_is_taken(configuration: str) -> None:
    """A file that is no configuration is OpenSSL's to complain about."""
    assert f"\nGroups = {GROUPS}\n" in with_groups(configuration)


def test_an_empty_configuration_gets_sections_of_its_own() -> None:
    """A system without a file."""
    assert groups_of(with_groups("")) == GROUPS


def test_sections_keep_their_names() -> None:
    """So what else is in them, providers and ciphers, holds as before."""
    debian = (
        "openssl_conf = openssl_init # x\n[openssl_init]\nproviders = p\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n"
    )
    assert with_groups(debian).endswith(
        "[default]\nopenssl_conf = openssl_init\n[openssl_init]\nssl_conf = s\n"
        f"[s]\nsystem_default = d\n[d]\nGroups = {GROUPS}\n"
    )


LOOK = """
from gateway.openssl import arrange, restart_if_late
arrange()
restart_if_late()
import os
def target(name):
    try:
        return os.readlink("/proc/self/fd/" + name)
    except OSError:
        return ""
print(os.environ.get("OPENSSL_CONF"), os.environ.get("GATEWAY_OPENSSL_CONF"), arrange())
print([name for name in os.listdir("/proc/self/fd") if "openssl.cnf" in target(name)])
"""


@pytest.mark.parametrize("own", [None, "/etc/ssl/openssl.cnf", "/nowhere/openssl.cnf"])
@pytest.mark.parametrize("before", ["", "import hashlib", "import ssl"])
def test_the_environment_and_descriptors_are_left_as_they_were(own: str | None, before: str) -> None:
    """Also in a process that had to start again: what it starts, and its libraries, see what they always saw."""
    environment = {key: value for key, value in os.environ.items() if key not in (VARIABLE, MARK)}
    if own is not None:
        environment[VARIABLE] = own
    done = subprocess.run(
        [sys.executable, "-c", before + LOOK], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [f"{own} None True", "[]"], done.stderr
