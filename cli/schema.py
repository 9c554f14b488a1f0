"""`kdcache schema`: what a store's manifest may hold, for other programs."""

import click


@click.command()
def schema() -> None:
    """Print the JSON schema of a store's manifest, which is the attribute `cache_kd` of its root group.

    \b
    Example:
      kdcache schema > docs/manifest.schema.json
    """
    from cache_kd.cli.console import print_json
    from cache_kd.store.schema import manifest_schema

    print_json(manifest_schema())
