"""Makes JSON schemas of Kubernetes' objects from its OpenAPI document, of other kinds from their definitions: a file
for each kind, no unknown field allowed.

The document is `api/openapi-spec/swagger.json` of the Go module k8s.io/kubernetes. The files are named as kubeconform
looks for them ("{{ .ResourceKind }}{{ .KindSuffix }}.json").
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

PREFIX = "#/definitions/"

SPECIAL: Mapping[str, Mapping[str, Any]] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
}
"""Types that the document calls strings, and that may be written as numbers."""


def schemas(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file name and the schema of each kind of the document, with all that it refers to."""
    definitions = {name: _strict(name, each) for name, each in document["definitions"].items()}
    for name, definition in definitions.items():
        for kind in document["definitions"][name].get("x-kubernetes-group-version-kind", ()):
            needed = _needed(name, definitions)
            group = kind["group"].split(".")[0]
            suffix = f"-{group}-{kind['version']}" if group else f"-{kind['version']}"
            schema = {"$ref": f"{PREFIX}{name}", "definitions": {each: definitions[each] for each in sorted(needed)}}
            properties = definition.get("properties", {})
            if "kind" in properties and "apiVersion" in properties:
                yield f"{kind['kind'].lower()}{suffix}.json", schema


def write(document: Path, folder: Path) -> int:
    """Write the schemas of a document into a folder; returns how many."""
    count = 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas(json.loads(document.read_text(encoding="utf-8"))):
        folder.joinpath(name).write_text(json.dumps(schema), encoding="utf-8")
        count += 1
    return count


def custom(definition: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file name and the schema of each version of a CustomResourceDefinition, no unknown field allowed but in the
    metadata, which are Kubernetes' own."""
    spec = definition["spec"]
    for version in spec["versions"]:
        name = f"{spec['names']['kind'].lower()}-{spec['group'].split('.')[0]}-{version['name']}.json"
        yield name, _closed(version["schema"]["openAPIV3Schema"])


def write_custom(definition: Path, folder: Path) -> int:
    """Write the schemas of a file with a CustomResourceDefinition into a folder; returns how many."""
    made = list(custom(yaml.safe_load(definition.read_text(encoding="utf-8"))))
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in made:
        folder.joinpath(name).write_text(json.dumps(schema), encoding="utf-8")
    return len(made)


def _closed(value: Any) -> Any:
    """A schema, with all that is in it, that allows no field but its own."""
    if isinstance(value, list):
        return [_closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    closed = {name: _closed(each) for name, each in value.items()}
    if isinstance(value.get("properties"), dict) and value.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _strict(name: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition that allows no field but its own."""
    if name in SPECIAL:
        return dict(SPECIAL[name])
    strict = dict(definition)
    if "properties" in strict:
        strict.setdefault("additionalProperties", False)
    return strict


def _needed(name: str, definitions: Mapping[str, Any]) -> set[str]:
    """The names of a definition and of all that it refers to, however far."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(_references(definitions[each]))
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(PREFIX)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
