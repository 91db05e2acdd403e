"""OpenSSL's configuration of this process: which groups a TLS handshake may agree on.

A key exchange over a finite field costs a server a hundred times what one over X25519 does: with ``ffdhe8192`` 99 ms of
the loop for 1.1 kB from a stranger. Python's ``ssl`` before 3.15 can name one curve and no list, and one curve would
shut chargers out. So the list is put where OpenSSL looks when it starts: into its configuration, which must be in place
before ``ssl`` or ``hashlib`` is imported. Importing this module has no effect; ``arrange`` is called by the command
line first of all, and ``restart_if_late`` by `gateway serve`.

What the operator has in ``OPENSSL_CONF``, or the system in its own file (providers, crypto policies), stays in force:
the list is added to it. That the list is obeyed is proven by handshakes before a port is opened (``transport.tls``).
"""

import os
import re
import sys

GROUPS = "X25519:P-256:P-384"
"""In the order of preference. Chargers know P-256; P-384 is there for suites of 192 bits, and costs 1 ms. No P-521,
X448 or Brainpool, which are slower and which no charger needs, and no ML-KEM hybrids, which no charger knows yet."""

VARIABLE = "OPENSSL_CONF"

MARK = "GATEWAY_OPENSSL_CONF"
"""In the environment of a process that was started again: the descriptor of its configuration, a colon, and what
``OPENSSL_CONF`` was before, if it was there."""

MAX_BYTES = 1024 * 1024
"""Of the configuration that the list is added to; Debian's has 12 kB. A larger one is taken as none."""

_LATE = ("_ssl", "_hashlib")
"""With one of these modules OpenSSL may have read its configuration."""

_arranged = False


def arrange() -> bool:
    """Let OpenSSL start with ``GROUPS``; False where it has started already with a configuration of its own.

    The environment is as before when this returns. Imports ``ssl``. Repeating it does nothing.
    """
    global _arranged  # noqa: PLW0603 - OpenSSL starts once in a process
    if _arranged:
        return True
    if MARK in os.environ:
        _restore()
        _arranged = True
        return True
    if any(name in sys.modules for name in _LATE):
        return False
    before = os.environ.get(VARIABLE)
    path, file = _written(with_groups(_present(before)))
    os.environ[VARIABLE] = path
    try:
        _start()
    finally:
        _set(before)
        _discard(path, file)
    _arranged = True
    return True


def restart_if_late() -> None:
    """Start the process again with the configuration in place, where OpenSSL was there before ``arrange``: a tool that
    wraps the gateway has imported ``hashlib``, say. Does not return then; otherwise it does nothing."""
    if _arranged or not sys.orig_argv:
        return
    before = os.environ.get(VARIABLE)
    path, file = _written(with_groups(_present(before)))
    os.set_inheritable(file, True)
    os.environ[VARIABLE] = path
    os.environ[MARK] = f"{file}" if before is None else f"{file}:{before}"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program, no shell


def with_groups(configuration: str) -> str:
    """An OpenSSL configuration (config(5)) with the groups of all TLS contexts set to ``GROUPS``; all else stays.

    The sections that lead there keep the names that they have. A later line of a section goes before an earlier one.
    """
    names = _names(configuration)
    start = names.get(("default", "openssl_conf"), "gateway_openssl")
    modules = names.get((start, "ssl_conf"), "gateway_ssl")
    every = names.get((modules, "system_default"), "gateway_tls")
    return (
        f"{configuration}\n\n"
        f"[default]\nopenssl_conf = {start}\n"
        f"[{start}]\nssl_conf = {modules}\n"
        f"[{modules}]\nsystem_default = {every}\n"
        f"[{every}]\nGroups = {GROUPS}\n"
    )


_SECTION = re.compile(r"\s*\[\s*(.*?)\s*\]")
_VALUE = re.compile(r"\s*(?:(\w+)::)?(\w+)\s*=\s*(\w+)\s*(?:#.*)?$")


def _names(configuration: str) -> dict[tuple[str, str], str]:
    """(section, key) → value, where that is a plain name."""
    found: dict[tuple[str, str], str] = {}
    section = "default"
    for line in configuration.splitlines():
        if (head := _SECTION.match(line)) is not None:
            section = head[1]
        elif (value := _VALUE.match(line)) is not None:
            found[value[1] or section, value[2]] = value[3]
    return found


def _present(path: str | None) -> str:
    """The configuration that would be read now; empty where there is none, as for OpenSSL."""
    if path is None:
        import _ssl

        path = os.path.join(os.path.dirname(_ssl.get_default_verify_paths()[1]), "openssl.cnf")
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return ""
    return data.decode("utf-8", "surrogateescape") if len(data) <= MAX_BYTES else ""


def _written(configuration: str) -> tuple[str, int]:
    """The configuration in a file that has no name or is removed: its path, and its descriptor."""
    data = configuration.encode("utf-8", "surrogateescape")
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("openssl.cnf")
        path = f"/proc/self/fd/{file}"
        if os.path.exists(path):
            os.write(file, data)
            return path, file
        os.close(file)
    folder = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - created exclusively, by a name that can't be foreseen
    path = os.path.join(folder, f"gateway-openssl-{os.urandom(8).hex()}.cnf")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, data)
    return path, file


def _start() -> None:
    """Make OpenSSL read its configuration, unless it has. Before Python 3.12 the import does, later a first context."""
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _restore() -> None:
    """In the process that was started again: read the configuration, and put the environment back."""
    _start()
    number, colon, before = os.environ.pop(MARK).partition(":")
    path = os.environ.get(VARIABLE, "")
    _set(before if colon else None)
    if number.isdecimal():
        _discard(path, int(number))


def _set(value: str | None) -> None:
    if value is None:
        os.environ.pop(VARIABLE, None)
    else:
        os.environ[VARIABLE] = value


def _discard(path: str, file: int) -> None:
    try:
        os.close(file)
        if not path.startswith("/proc/"):
            os.unlink(path)
    except OSError:
        pass  # it is gone
