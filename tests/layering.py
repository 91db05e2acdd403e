"""The import rule of the design, as tables, and the checker that holds a module's syntax tree against them.

Imports are read, not executed: one under `if TYPE_CHECKING`, inside a function, or by a literal
`importlib.import_module` counts like any other, since each makes one package know of another.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

from attrs import frozen

ROOT = "gateway"

# Which packages of the gateway each of them imports, besides itself; lowest first. A package without a row is a
# violation, and so is a permission that nothing uses: the table is what is there.
#   * Sessions, journal and feed are siblings: the composition root introduces them.
#   * Control reaches sessions through the ports that it declares.
#   * Version-neutral packages know `gateway.ocpp`, none of its versions (ONLY_IN below).
#   * cli stands above app: it holds the console script, and `gateway serve` starts the composition root.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    package: frozenset(allowed.split())
    for package, allowed in {
        "errors": "",
        "openssl": "",
        "signals": "",
        "quick_frozen": "",
        "histogram": "",
        "ticks": "",
        "crowds": "",
        "asyncio_listener": "crowds",
        "domain": "errors quick_frozen",
        "energy": "domain",
        "charging": "domain",
        "security": "domain",
        "store": "domain errors quick_frozen",
        "journal": "store domain errors histogram",
        "feed": "store domain errors",
        "ocpp": "domain quick_frozen",
        "framing": "quick_frozen",
        "transport": "crowds framing domain openssl errors",
        "session": "charging security transport ocpp store domain errors histogram",
        "observability": "crowds transport ocpp domain histogram",
        "chargers": "ticks observability security session transport ocpp store domain errors",
        "bridge": "errors",
        "api": "",
        "control": "asyncio_listener api bridge feed store energy charging domain quick_frozen errors",
        "traces": "domain",
        "cluster": "bridge session journal feed store domain errors",
        "app": "signals ticks histogram traces cluster bridge control chargers observability session transport ocpp "
        "journal feed store domain errors",
        "simulator": "",
        "client": "api",
        "console": "asyncio_listener api client",
        "cli": "app client console api simulator openssl signals errors",
        "__main__": "cli",
    }.items()
}

# Modules of others that only some packages may know.
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "asyncio": (
        "gateway.asyncio_listener",
        "gateway.bridge",
        "gateway.control",
        "gateway.client.aio",
        "gateway.console",
    ),
    "ocpp.v16": ("gateway.ocpp.v16",),
    "gateway.ocpp.v16": ("gateway.ocpp.v16", "gateway.app"),
    "websockets": ("gateway.framing",),
    "trio_websocket": ("gateway.simulator",),
    "h11": ("gateway.transport", "gateway.control.http"),
    "psycopg": ("gateway.store.postgres",),
    "textual": ("gateway.cli.top",),
    "opentelemetry": ("gateway.traces",),
    "nats": ("gateway.bridge",),
    "starlette": ("gateway.console",),
    "uvicorn": ("gateway.console",),
    "jinja2": ("gateway.console",),
}

# Of these, a single module holds all that the gateway uses, so that they can be replaced there.
IN_ONE_MODULE = ("websockets", "psycopg")

SANS_IO = (
    "gateway.domain",
    "gateway.charging",
    "gateway.security",
    "gateway.energy",
    "gateway.ocpp",
    "gateway.framing",
)
INPUT_OUTPUT = ("trio", "asyncio", "anyio", "socket", "ssl", "select", "selectors", "subprocess", "threading", "time")

# Who reads a clock of the machine's; everybody else is given the time, so that tests decide what it is. Trio's clock,
# which tests control, is for all who may import Trio.
CLOCK_HOMES = (
    "gateway.app.serve",  # makes the clock that the others are given
    "gateway.app.preflight",  # a command of its own
    "gateway.app.processes",  # makes the clock that the service manager is given
    "gateway.app.stall_clock",  # Trio's clock itself, which leaves out what the process slept through
    "gateway.app.gc_policy",  # processor time of the collector's pauses
    "gateway.app.log_writer",  # a thread's waits, outside Trio
    "gateway.cli",
    "gateway.client",  # deadlines and pauses of calls
    "gateway.console",  # a process of its own
    "gateway.simulator",
    "gateway.store.wall_clock",  # for records without a given time
    "gateway.store.sqlite",  # threads' waits
    "gateway.store.postgres.contraction",  # a thread's wait for leases that run out
    "gateway.store.postgres.lane",  # a thread's wait for its slot
    "gateway.store.postgres.connection",  # a thread's wait for a server's answer
    "gateway.store.postgres.hosts",
    "gateway.store.postgres.patience",
)
CLOCK_EXCEPTIONS = frozenset({("gateway.framing.http_answers", "email.utils.formatdate")})
"""HTTP's Date header, which RFC 9110 §6.6.1 demands of a refusal; nothing is decided by it."""

CLOCK_LIBRARIES = ("time",)
CLOCK_FUNCTIONS = (
    "uuid.uuid1",
    "uuid.uuid6",
    "uuid.uuid7",
    "os.times",
    "email.utils.localtime",
    "email.utils.formatdate",
)
CLOCK_CLASSES = ("datetime", "date")
CLOCK_METHODS = ("now", "utcnow", "today")


@frozen
class Module:
    """A module to check: its full name, its source, and whether it is a package's `__init__`."""

    name: str
    source: str
    is_package: bool = False

    @property
    def package(self) -> str:
        """The package below the root that it belongs to; the root itself for the root's `__init__`."""
        return _package(self.name)


@frozen
class Import:
    """A name that a line imports, in full: `import a.b` gives a.b, `from a import b` gives a.b too."""

    name: str
    line: int


@frozen(order=True)
class Violation:
    """A line that breaks the rule."""

    module: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.reason}"


def modules_of(folder: Path) -> list[Module]:
    """Every module of the package in `folder`."""
    modules = []
    for path in sorted(folder.rglob("*.py")):
        *parents, stem = path.relative_to(folder.parent).with_suffix("").parts
        is_package = stem == "__init__"
        name = ".".join(parents if is_package else [*parents, stem])
        modules.append(Module(name, path.read_text(encoding="utf-8"), is_package))
    return modules


def violations_in(modules: Iterable[Module]) -> list[Violation]:
    """All that breaks the rule in `modules`, in order. Raises SyntaxError for a source that isn't Python."""
    found: set[Violation] = set()
    users: dict[str, str] = {}
    for module in modules:
        tree = ast.parse(module.source, filename=module.name)
        imports = list(_imports(tree, module))
        found.update(_wrong_packages(module, imports), _wrong_libraries(module, imports), _two_loops(module, imports))
        if _is_in(module.name, SANS_IO):
            found.update(_input_output(module, imports))
        if not _is_in(module.name, CLOCK_HOMES):
            found.update(_clock_reads(module, tree))
        for each in imports:
            library = each.name.partition(".")[0]
            if library in IN_ONE_MODULE and users.setdefault(library, module.name) != module.name:
                found.add(Violation(module.name, each.line, f"{library} belongs to {users[library]} alone"))
    return sorted(found)


def unused_permissions(modules: Iterable[Module]) -> list[str]:
    """The permissions of the table that no import of `modules` uses, each as "package: permitted"."""
    used: dict[str, set[str]] = {}
    for module in modules:
        names = {each.name for each in _imports(ast.parse(module.source, filename=module.name), module)}
        used.setdefault(module.package, set()).update(_package(name) for name in names if _is_in(name, [ROOT]))
    return sorted(
        f"{package}: {permitted}"
        for package, allowed in MAY_IMPORT.items()
        for permitted in allowed - used.get(package, set())
    )


def lowest_first(table: Mapping[str, frozenset[str]]) -> list[str]:
    """The packages of a table in an order of building. Raises graphlib.CycleError where it allows a cycle."""
    return list(TopologicalSorter(table).static_order())


def _is_in(name: str, packages: Iterable[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _package(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def _imports(tree: ast.Module, module: Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(names=names):
                base = _base(node, module)
                yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(name, node.lineno)


def _base(node: ast.ImportFrom, module: Module) -> str:
    """The module that `from ... import` reads from, a relative one resolved."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    climbs = node.level - 1 if module.is_package else node.level
    return ".".join([*parts[: len(parts) - climbs], *([node.module] if node.module else [])])


def _wrong_packages(module: Module, imports: Iterable[Import]) -> Iterator[Violation]:
    if module.package == ROOT:
        allowed = frozenset[str]()
    elif module.package in MAY_IMPORT:
        allowed = MAY_IMPORT[module.package] | {module.package}
    else:
        yield Violation(module.name, 1, f"{ROOT}.{module.package} has no row in the table of tests/layering.py")
        return
    for each in imports:
        if _is_in(each.name, [ROOT]) and _package(each.name) not in allowed:
            yield Violation(module.name, each.line, f"{module.package} may not import {ROOT}.{_package(each.name)}")


def _wrong_libraries(module: Module, imports: Iterable[Import]) -> Iterator[Violation]:
    for each in imports:
        for library, homes in ONLY_IN.items():
            if _is_in(each.name, [library]) and not _is_in(module.name, homes):
                yield Violation(module.name, each.line, f"{library} is for {' and '.join(homes)} only")


def _two_loops(module: Module, imports: Iterable[Import]) -> Iterator[Violation]:
    lines = {each.name.partition(".")[0]: each.line for each in imports}
    if {"trio", "asyncio"} <= lines.keys() and not _is_in(module.name, ["gateway.bridge"]):
        yield Violation(module.name, max(lines["trio"], lines["asyncio"]), "only the bridge knows trio and asyncio")


def _input_output(module: Module, imports: Iterable[Import]) -> Iterator[Violation]:
    for each in imports:
        if _is_in(each.name, INPUT_OUTPUT):
            yield Violation(module.name, each.line, f"a sans-I/O module may not import {each.name}")


def _clock_reads(module: Module, tree: ast.Module) -> Iterator[Violation]:
    """Reads of a clock, under whatever name the module imported or gave it."""
    names = _full_names(tree, module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name | ast.Call) and not isinstance(
            getattr(node, "ctx", None), ast.Store
        ):
            name = _resolved(node, names)
            if _clock_read(name) and (module.name, name) not in CLOCK_EXCEPTIONS:
                yield Violation(module.name, node.lineno, f"{ast.unparse(node)}: the clock is injected")
    for each in _imports(tree, module):
        if _is_in(each.name, CLOCK_LIBRARIES) and not _is_in(module.name, SANS_IO):  # there it is input
            yield Violation(module.name, each.line, f"{each.name}: the clock is injected")


def _clock_read(name: str) -> bool:
    *_, owner, last = ("", *name.split("."))
    return name in CLOCK_FUNCTIONS or (last in CLOCK_METHODS and owner in CLOCK_CLASSES)


def _full_names(tree: ast.Module, module: Module) -> dict[str, str]:
    """Names in the module → what they stand for: imports, and plain assignments of what was imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names.update({each.asname: each.name for each in aliases if each.asname})
            case ast.ImportFrom(names=aliases):
                base = _base(node, module)
                names.update({each.asname or each.name: f"{base}.{each.name}" for each in aliases})
    for _ in range(ALIAS_DEPTH):
        for node in ast.walk(tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.NamedExpr(target=ast.Name(id=name), value=value)
                ):
                    full = _resolved(value, names)
                    if full and full != name:
                        names[name] = full
    return names


ALIAS_DEPTH = 3
"""Names that an alias may go through; more are not written by accident."""


def _resolved(node: ast.AST, names: Mapping[str, str]) -> str:
    """A dotted name in full, `getattr` with a literal included; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.Attribute(value=value, attr=attr):
            base = _resolved(value, names)
            return f"{base}.{attr}" if base else ""
        case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(attr)), *_]):
            base = _resolved(value, names)
            return f"{base}.{attr}" if base else ""
    return ""
