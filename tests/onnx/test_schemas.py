"""Rows take what the standard's schemas say, at every opset from 7 to 28."""

import pytest

from tallow.onnx.operators import find
from tallow.onnx.operators.table import REQUIRED

pytestmark = pytest.mark.needs_formats

OPSETS = range(7, 29)
NEEDED = {("RegexFullMatch", "pattern")}  # optional by its schema, without a meaning for none


def schemas():
    """Each version of each operator that is in force at these opsets, but for Constant."""
    from onnx import defs

    names = {s.name for s in defs.get_all_schemas_with_history() if s.domain == ""}
    for name in sorted(names - {"Constant"}):  # the importer's, without a row
        seen = set()
        for opset in OPSETS:
            try:
                schema = defs.get_schema(name, opset, "")
            except defs.SchemaError:
                continue
            if not schema.deprecated and schema.since_version not in seen:
                seen.add(schema.since_version)
                yield opset, schema


def differences(opset, schema):
    """What a row has that its schema has not, or the other way about."""
    from onnx import helper

    row = find(schema.domain, schema.name, opset)
    if row is None:
        yield "no row"
        return
    if any(each.option.name == "Variadic" for each in schema.inputs) != row.variadic:
        yield f"variadic {row.variadic}"
    # A row may serve opsets with more inputs, or with fewer that are needed.
    if not row.variadic and len(row.inputs) < len(schema.inputs):
        yield f"inputs {row.inputs} of {len(schema.inputs)}"
    if row.needed > schema.min_input:
        yield f"{row.needed} inputs needed of {schema.min_input}"
    for name, attribute in schema.attributes.items():
        if name not in row.attributes:
            yield f"no attribute {name}"
            continue
        has = row.attributes[name]
        needed = attribute.required or (schema.name, name) in NEEDED
        if needed != (has is REQUIRED):
            yield f"attribute {name} required {attribute.required}"
        if attribute.default_value.name:
            want = helper.get_attribute_value(attribute.default_value)
            want = want.decode() if isinstance(want, bytes) else want
            has = list(has) if isinstance(has, tuple) else has
            near = isinstance(want, float) and abs(want - has) <= 1e-6 * abs(want)
            if has not in (want, None) and not near:  # None: the row itself knows
                yield f"attribute {name} {has!r} for {want!r}"


def test_rows_are_as_schemas_say():
    found = {f"{schema.name} {opset}": [*differences(opset, schema)] for opset, schema in schemas()}
    assert len(found) > 400
    wrong = {name: what for name, what in found.items() if what}
    assert not wrong
