"""The published JSON schema of a manifest as it stands in a store: `seal`'s output in this release's version."""

from typing import Any

from cache_kd.store.manifest import Manifest


def manifest_schema() -> dict[str, Any]:
    """The schema, in JSON Schema's draft 2020-12, of what `manifest.seal` gives and `manifest.unseal` takes."""
    described = Manifest.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **described,
        "title": f"Manifest of a cache_kd store, version {described['properties']['version']['const']}",
        "properties": {
            **described["properties"],
            "digest": {
                "description": "SHA-256 of all other fields as JSON with sorted keys and no spaces, in UTF-8.",
                "pattern": "^[0-9a-f]{64}$",
                "type": "string",
            },
        },
        "required": ["format", "version", *described["required"], "digest"],
    }
