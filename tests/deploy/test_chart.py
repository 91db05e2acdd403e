"""The Helm chart, as far as no tool is needed (`make chart` has them): its versions, and the schemas made for it."""

import json
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from gateway.app.settings import DrainSettings, ListenerSettings
from scripts.chart import REFUSED, SCHEMA_ALONE, Failed, check_refused
from scripts.dist import version
from scripts.kubernetes_schemas import custom, schemas, write, write_custom

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "gateway"

DOCUMENT = {
    "definitions": {
        "io.k8s.api.apps.v1.Thing": {
            "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Thing", "version": "v1"}],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "spec": {"$ref": "#/definitions/Spec"},
            },
        },
        "Spec": {
            "properties": {
                "inner": {"type": "array", "items": {"$ref": "#/definitions/Spec"}},
                "port": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }
        },
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
        "Options": {
            "x-kubernetes-group-version-kind": [{"group": "", "kind": "Options", "version": "v1"}],
            "type": "object",
        },
        "Other": {"properties": {"a": {"type": "string"}}},
    }
}


def test_the_chart_is_of_the_version_of_the_program() -> None:
    """Its image is by default the one of this version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == version()


def test_the_chart_and_the_gateway_have_the_same_defaults() -> None:
    """Values that are left out are those of docs/gateway.example.toml."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["drain"]["deadlineSeconds"] == DrainSettings().deadline_seconds
    listener = ListenerSettings(certificates=())
    assert (values["listener"]["port"], values["listener"]["pathPrefix"]) == (listener.port, listener.path_prefix)
    assert values["listener"]["securityProfiles"] == list(listener.security_profiles)


def test_every_value_of_the_chart_is_in_its_schema() -> None:
    """And nothing else is taken."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert values.keys() == schema["properties"].keys() - {"global"}
    for name, each in schema["properties"].items():
        if "properties" in each:
            assert each["additionalProperties"] is False
            assert values[name].keys() == each["properties"].keys(), name


def test_schemas_allow_no_field_but_those_of_the_document(tmp_path: Path) -> None:
    """A kind comes with all that it refers to, itself included; free names stay free."""
    [(name, schema)] = schemas(DOCUMENT)
    assert name == "thing-apps-v1.json"
    assert schema["definitions"].keys() == DOCUMENT["definitions"].keys() - {"Other", "Options"}
    spec = schema["definitions"]["Spec"]
    assert spec["additionalProperties"] is False
    assert spec["properties"]["labels"]["additionalProperties"] == {"type": "string"}
    port = schema["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert port == {"type": ["integer", "string"]}
    document = tmp_path / "swagger.json"
    document.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    assert write(document, tmp_path / "made") == 1
    assert json.loads((tmp_path / "made" / name).read_text(encoding="utf-8")) == schema


def test_a_definition_of_another_kind_allows_no_field_but_its_own(tmp_path: Path) -> None:
    """At any depth; metadata are Kubernetes' own, and free names stay free."""
    inner = {"type": "object", "properties": {"port": {"anyOf": [], "x-kubernetes-int-or-string": True}}}
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    fields = {"ends": {"type": "array", "items": inner}, "labels": labels}
    schema = {
        "type": "object",
        "properties": {"metadata": {"type": "object"}, "spec": {"type": "object", "properties": fields}},
    }
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": schema}}]
    spec = {"group": "monitoring.example.com", "names": {"kind": "Thing"}, "versions": versions}
    [(name, made)] = custom({"spec": spec})
    assert name == "thing-monitoring-v1.json"
    assert made["additionalProperties"] is False
    assert made["properties"]["metadata"] == {"type": "object"}
    of = made["properties"]["spec"]["properties"]
    assert of["labels"] == labels
    assert of["ends"]["items"]["additionalProperties"] is False
    assert of["ends"]["items"]["properties"]["port"] == {"type": ["integer", "string"]}
    document = tmp_path / "definition.yaml"
    document.write_text(yaml.safe_dump({"spec": spec}), encoding="utf-8")
    assert write_custom(document, tmp_path / "made") == 1
    assert json.loads((tmp_path / "made" / name).read_text(encoding="utf-8")) == made


def test_a_refusal_has_to_be_one_and_to_say_of_what() -> None:
    """Values that pass, and those that are refused for something else, fail the check."""
    assert check_refused((1, "Error: replicas: one pod at most"), "replicas", "replicas=2") == 1
    for result in ((0, "replicas: 2"), (1, "Error: no chart")):
        with pytest.raises(Failed, match="replicas=2"):
            check_refused(result, "replicas", "replicas=2")
    assert ("replicas", ("replicas=2",)) in REFUSED
    assert SCHEMA_ALONE
