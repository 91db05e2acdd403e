"""Checks the Helm chart: `helm lint`, each set of values against Kubernetes' own schemas, and what it has to refuse.

    python -m scripts.chart

helm and kubeconform are built by `go install` into .tools/, Kubernetes' OpenAPI document comes with its Go module, the
definition of ServiceMonitor with that of the Prometheus operator. With CI set a Go that is not there fails the run;
elsewhere it says what was left out.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from gateway.app.settings import examine
from gateway.cli.certs import dev
from scripts.kubernetes_schemas import write, write_custom

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "helm" / "gateway"
TOOLS = ROOT / ".tools"

HELM, KUBECONFORM = "helm.sh/helm/v3/cmd/helm@v3.19.5", "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"

KUBERNETES = "1.34.0"
"""Its OpenAPI document is what the objects are held to."""

OPERATOR = "0.85.0"
"""The Prometheus operator's module has the definition of its ServiceMonitor."""

DEFINITION = "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"

INSTALL_SECONDS = 900
"""For building helm: two minutes of two cores, and its modules have to come first."""

RUN_SECONDS = 120
"""For one run of a tool; they take a second."""

REFUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("replicas", ("replicas=2",)),
    ("url", ("store.kind=postgres",)),
    ("cluster.nats", ("store.kind=postgres", "store.postgres.url=postgresql://db/gateway", "replicas=2")),
    ("cluster.nats", ("cluster.nats={nats://n:1}",)),
    ("certificateSecrets", ("listener.certificateSecrets=null",)),
    ("clientAuthoritySecret", ("listener.securityProfiles={3}",)),
    ("from", ("service.proxyProtocol.enabled=true",)),
    ("control.expose", ("control.expose=true",)),
    (
        "control.expose",
        ("control.expose=true", "control.tlsSecret=t", "control.serverName=n", "control.requireCallers=false"),
    ),
    ("control.serverName", ("control.expose=true", "control.tlsSecret=t")),
    ("networkPolicy.metricsFrom", ("metrics.serviceMonitor.enabled=true",)),
    ("control.clientAuthoritySecret", ("control.clientAuthoritySecret=c",)),
)
"""Words of the refusal, and the values that are refused on top of those of one pod on SQLite."""

SCHEMA_ALONE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("replica", ("replica=1",)),
    ("digest", ("image.digest=latest",)),
    ("kind", ("store.kind=files",)),
)
"""Values that the schema refuses: unknown ones, and those of a wrong form."""


class Failed(Exception):
    """A check of the chart that did not go as it has to; the message says which."""


def run(command: Sequence[str | Path], seconds: float = RUN_SECONDS, **environment: str) -> tuple[int, str]:
    """Run a command; its exit code, and all that it said."""
    done = subprocess.run(
        [str(each) for each in command],
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    return done.returncode, done.stdout


def tool(package: str) -> Path:
    """The program of a Go package at this version; built where it is not there yet. Raises Failed."""
    module, _, version = package.partition("@")
    name = module.rpartition("/")[2]
    program = TOOLS / f"{name}-{version}"
    if not program.exists():
        print(f"Building {name} {version}", flush=True)
        TOOLS.mkdir(exist_ok=True)
        code, said = run(["go", "install", package], INSTALL_SECONDS, GOBIN=str(TOOLS))
        if code:
            raise Failed(f"{package} could not be built:\n{said[-2000:]}")
        (TOOLS / name).rename(program)
    return program


def schemas(name: str, module: str, version: str, document: str, make: Callable[[Path, Path], int]) -> Path:
    """The folder with the schemas of a document in a Go module; made where it is not there yet. Raises Failed."""
    folder = TOOLS / f"{name}-{version}"
    if not folder.exists():
        code, said = run(["go", "mod", "download", "-json", f"{module}@v{version}"], INSTALL_SECONDS)
        if code:
            raise Failed(f"{document} of {module} could not be fetched:\n{said[-2000:]}")
        fetched = json.loads(said[said.index("{") :])
        made = TOOLS / f"{name}-unfinished"
        shutil.rmtree(made, ignore_errors=True)
        count = make(Path(fetched["Dir"]) / document, made)
        made.rename(folder)
        print(f"Made the schemas of {count} kinds of {name} {version}")
    return folder


class Chart:
    """The chart, and the tools that look at it."""

    def __init__(self) -> None:
        self.helm, self.kubeconform = tool(HELM), tool(KUBECONFORM)
        self.schemas = (
            schemas("kubernetes", "k8s.io/kubernetes", KUBERNETES, "api/openapi-spec/swagger.json", write),
            schemas(
                "prometheus-operator",
                "github.com/prometheus-operator/prometheus-operator",
                OPERATOR,
                DEFINITION,
                write_custom,
            ),
        )

    def lint(self, values: Path) -> None:
        """Lint it with these values; a warning fails it. Raises Failed."""
        code, said = run([self.helm, "lint", "--strict", CHART, "--values", values, "--kube-version", KUBERNETES])
        if code:
            raise Failed(f"helm lint, {values.name}:\n{said}")

    def rendered(self, values: Path, *sets: str, schema: bool = True) -> tuple[int, str]:
        """The objects with these values, or the refusal."""
        options = [option for each in sets for option in ("--set", each)]
        more = [] if schema else ["--skip-schema-validation"]
        command: list[str | Path] = [
            self.helm,
            "template",
            "trial",
            CHART,
            "--kube-version",
            KUBERNETES,
            "--values",
            values,
        ]
        return run([*command, *options, *more])

    def validated(self, objects: str) -> tuple[int, str]:
        """Hold objects to Kubernetes' schemas and the operator's; none is passed over."""
        locations = [f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json" for folder in self.schemas]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            file.write(objects)
            file.flush()
            options = ["-strict", "-summary", *(word for each in locations for word in ("-schema-location", each))]
            return run([self.kubeconform, *options, file.name])


def check(chart: Chart) -> int:
    """All checks; returns how many there were. Raises Failed at the first that fails."""
    count = 0
    for values in sorted((CHART / "ci").glob("*.yaml")):
        chart.lint(values)
        code, objects = chart.rendered(values)
        if code:
            raise Failed(f"helm template, {values.name}:\n{objects}")
        code, said = chart.validated(objects)
        if code or "Skipped: 0" not in said or "Valid: 0" in said:
            raise Failed(f"kubeconform, {values.name}:\n{said}")
        print(f"{values.name}: {said.strip()}")
        check_pod(objects, values.name)
        count += 3 + check_broken(chart, objects)
    least = CHART / "ci" / "sqlite-values.yaml"
    for words, sets in REFUSED:
        for schema in (True, False):
            count += check_refused(chart.rendered(least, *sets, schema=schema), words, f"{', '.join(sets)}; {schema=}")
    for words, sets in SCHEMA_ALONE:
        count += check_refused(chart.rendered(least, *sets), words, ", ".join(sets))
    return count


def check_refused(result: tuple[int, str], words: str, what: str) -> int:
    """The values were refused, by name. Raises Failed."""
    code, said = result
    if not code or words not in said:
        raise Failed(f"not refused by the words {words!r}: {what}\n{said[-2000:]}")
    return 1


def check_broken(chart: Chart, objects: str) -> int:
    """A misspelt field and a wrong type are seen in each kind of object, or the schemas would hold nothing."""
    count = 0
    for each in yaml.safe_load_all(objects):
        part = "data" if each["kind"] == "ConfigMap" else "spec"
        for broken in ({**each, "spice": {}}, {**each, part: "text"}, {**each, part: {**each[part], "replicaz": [1]}}):
            code, said = chart.validated(yaml.safe_dump(broken))
            if not code:
                raise Failed(f"a broken {each['kind']} passes:\n{yaml.safe_dump(broken)}\n{said}")
            count += 1
    return count


def check_pod(objects: str, name: str) -> None:
    """The settings are the gateway's own, and what a pod may do and how it ends is as it has to be. Raises Failed."""
    by_kind: dict[str, Any] = {each["kind"]: each for each in yaml.safe_load_all(objects)}
    pod = by_kind["StatefulSet"]["spec"]["template"]["spec"]
    text = by_kind["ConfigMap"]["data"]["gateway.toml"]
    if "initContainers" in pod:
        text = of_third_pod(pod["initContainers"][0]["command"], text)
    settings = tomllib.loads(text)
    [container] = pod["containers"]
    secured = container["securityContext"]
    wanted = {
        "a root file system that is read-only": secured["readOnlyRootFilesystem"] is True,
        "no capabilities": secured["capabilities"] == {"drop": ["ALL"]},
        "no root": pod["securityContext"]["runAsNonRoot"] is True,
        "time to drain": pod["terminationGracePeriodSeconds"]
        >= settings["drain"]["deadline_seconds"] + int(container["lifecycle"]["preStop"]["exec"]["command"][1]) + 10,
        "the slot of the third pod": settings.get("cluster", {}).get("node", 3) == 3,
        "three probes": {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(),
        "no end for a store that is away": all(
            "httpGet" in container[each] for each in ("startupProbe", "livenessProbe")
        ),
        "a volume of one pod": settings["store"].get("url") is not None
        or by_kind["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"],
    }
    if missing := [what for what, there in wanted.items() if not there]:
        raise Failed(f"{name}: not as it has to be: {', '.join(missing)}")
    if problems := problems_of(text, settings):
        raise Failed(f"{name}: the gateway refuses the settings: {problems}")


def of_third_pod(command: list[str], text: str) -> str:
    """The settings that the first container of a pod writes, run here as the pod of number 2."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("all", "own"):
            Path(folder, name).mkdir()
        Path(folder, "all", "gateway.toml").write_text(text, encoding="utf-8")
        code, said = run([each.replace("/etc/gateway/", f"{folder}/") for each in command], HOSTNAME="trial-2")
        if code:
            raise Failed(f"the settings of a node are not written: {said}")
        return Path(folder, "own", "gateway.toml").read_text(encoding="utf-8")


def problems_of(text: str, settings: dict[str, Any]) -> list[str]:
    """The problems that the gateway has with settings; files that they name are put in their places."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with redirect_stdout(io.StringIO()):
            dev(directory=place / "dev")
        for path in _files(settings):
            new = place / path.removeprefix("/")
            new.parent.mkdir(parents=True, exist_ok=True)
            kind = "server-ecdsa.key" if path.endswith(".key") else "ca.pem" if "/ca." in path else "server-ecdsa.pem"
            shutil.copy(place / "dev" / kind, new)
            new.chmod(0o600)
            text = text.replace(f'"{path}"', f'"{new}"')
        file = place / "gateway.toml"
        file.write_text(text, encoding="utf-8")
        return [str(problem) for problem in examine(file)[1]]


def _files(value: Any) -> set[str]:
    """The files that settings name in the folder of the secrets."""
    if isinstance(value, dict):
        return set[str]().union(*map(_files, value.values()))
    if isinstance(value, list):
        return set[str]().union(*map(_files, value))
    return {value} if isinstance(value, str) and value.startswith("/etc/gateway/secrets/") else set()


def main() -> int:
    """Check the chart; the exit code."""
    if shutil.which("go") is None:
        print("Go was not found: the Helm chart was not checked")
        return 1 if os.environ.get("CI") else 0
    try:
        print(f"The chart passed {check(Chart())} checks")
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
