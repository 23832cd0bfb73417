"""JSON Schemas of Kubernetes' kinds, from its own definitions: as strict as the API server with strict validation."""

import json

import yaml

# Texts or numbers, whatever the definitions say of them.
_EITHER = ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity")
_PREFIX = "#/definitions/"
# Those that describe the schema of a kind by itself hold themselves; no object of ours has them.
_KINDS = "x-kubernetes-group-version-kind"


def write(definitions, folder):
    """Write a schema for each kind, named as kubeconform looks for it.

    Args:
        definitions: The folder with Kubernetes' swagger.json and definitions of further kinds.
        folder: Where to write them.
    """
    known = json.loads((definitions / "swagger.json").read_text())["definitions"]
    for name, one in known.items():
        kinds = one.get(_KINDS, [])
        if len(kinds) == 1 and "metadata" in one.get("properties", {}):
            needed = {}
            _collect(name, known, needed)
            found = {"$ref": _PREFIX + name, "definitions": needed}
            _write(folder, kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"], found)
    for path in definitions.glob("*.yaml"):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            found = _strict(version["schema"]["openAPIV3Schema"])
            # The API server knows it of every object.
            found["properties"]["metadata"] = {"type": "object"}
            _write(folder, spec["group"], version["name"], spec["names"]["kind"], found)


def _write(folder, group, version, kind, schema):
    parts = [kind, *([group.partition(".")[0]] if group else []), version]
    (folder / f"{'-'.join(parts).lower()}.json").write_text(json.dumps(schema))


def _collect(name, known, needed):
    """Add a definition, and those that it refers to."""
    if name in needed:
        return
    needed[name] = {"type": ["string", "number"]} if name in _EITHER else _strict(known[name])
    for reference in _references(known[name]):
        _collect(reference, known, needed)


def _references(part):
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].removeprefix(_PREFIX)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _strict(part):
    """A schema in which what is not named is refused."""
    if isinstance(part, list):
        return [_strict(one) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    found = {key: value for key, value in part.items() if key != "description" and not key.startswith("x-")}
    # Names of properties are no keywords.
    for key in ("properties", "definitions"):
        if key in found:
            found[key] = {name: _strict(value) for name, value in found[key].items()}
    for key in ("items", "additionalProperties", "allOf", "anyOf", "oneOf", "not"):
        if key in found:
            found[key] = _strict(found[key])
    if "properties" in found and not part.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found
