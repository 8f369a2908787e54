#!/usr/bin/python3
"""Holds deployment.schema.json to the documents that the C++ parser is tested with.

usage: schema_check.py SCHEMA CASES      CASES has the folders good/ and bad/

Documents of good/ must be accepted. Those of bad/ must be rejected, unless a comment "# beyond-schema: why" says that a
schema cannot see the fault; then it must not reject them, so that the comment cannot go stale.
"""
import json
import pathlib
import re
import sys

import jsonschema
import yaml


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core schema, as editors read it: PyYAML itself would take `no` for false and 22:30 for a number."""


CoreLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
     "-+0123456789."),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    CoreLoader.add_implicit_resolver("tag:yaml.org,2002:" + tag, re.compile(pattern), list(first))


def construct_int(loader, node):
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def construct_float(loader, node):
    return float(loader.construct_scalar(node).replace(".inf", "inf").replace(".nan", "nan"))


CoreLoader.add_constructor("tag:yaml.org,2002:int", construct_int)
CoreLoader.add_constructor("tag:yaml.org,2002:float", construct_float)


def check(path, validator):
    """Returns what is wrong with this case, or None."""
    text = path.read_text(encoding="utf-8")
    beyond = re.search(r"^# beyond-schema: (.+)$", text, re.M)
    should_reject = path.parent.name == "bad" and not beyond
    try:
        document = yaml.load(text, CoreLoader)
    except yaml.YAMLError:
        return None if path.parent.name == "bad" else "is not YAML"
    errors = list(validator.iter_errors(document))
    if should_reject and not errors:
        return "is accepted by the schema, but not by the parser"
    if not should_reject and errors:
        return "is rejected by the schema: " + jsonschema.exceptions.best_match(errors).message[:300]
    return None


def main():
    schema = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    paths = sorted(pathlib.Path(sys.argv[2]).glob("*/*.yaml"))
    faults = [(path, fault) for path in paths if (fault := check(path, validator))]
    for path, fault in faults:
        print(f"{path}: {fault}")
    print(f"{len(paths)} documents, {len(faults)} disagreements")
    return 1 if faults or len(paths) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
