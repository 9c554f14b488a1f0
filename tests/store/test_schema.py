"""The published schema is the one that the code means, and what stores really hold is valid by it."""

import json
from pathlib import Path

import jsonschema
import pytest

from cache_kd.store.manifest import seal
from cache_kd.store.schema import manifest_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def stored(path):
    return json.loads((path / "zarr.json").read_bytes())["attributes"]["cache_kd"]


def test_the_published_schema_is_current():
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == manifest_schema(), (
        "the manifest has changed: kdcache schema > docs/manifest.schema.json"
    )


def test_what_stores_hold_is_valid(validator, stores, store):
    for path in (*stores.values(), store):
        validator.validate(stored(path))


def test_every_kind_of_manifest_is_valid(validator, describe):
    member = {"path": "/stores/a", "store_id": "0", "teacher": "resnet8", "share": 0.5}
    decode = {"backend": "pillow/13", "orientation": "as stored", "unreadable": "skip"}
    kinds = [
        {}, {"codec": "packed"}, {"alignment": "unproven", "test": None}, {"class_names": None},
        {"decode": decode, "skipped": {"train": ("a.jpg",)}},
        {"ensemble": {"average": "logits", "members": [member, member]}},
    ]  # fmt: skip
    for kind in kinds:
        validator.validate(json.loads(json.dumps(seal(describe(**kind)))))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "0"), ("version", 2), ("surprise", 1), ("digest", "abc"), ("parts", {"train": {"samples": 0}}),
        ("alignment", "perhaps"), ("teacher", None),
    ],
)  # fmt: skip
def test_what_no_store_holds_is_not(validator, describe, field, value):
    sealed = json.loads(json.dumps(seal(describe())))
    validator.validate(sealed)
    assert not validator.is_valid(sealed | {field: value})


@pytest.mark.parametrize("field", ["store_id", "teacher", "digest", "version", "format", "codec"])
def test_what_a_reader_needs_is_required(validator, describe, field):
    sealed = json.loads(json.dumps(seal(describe())))
    del sealed[field]
    assert not validator.is_valid(sealed)
