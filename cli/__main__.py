"""`python -m cache_kd.cli` is `kdcache`: for launchers that start a module, as torchrun does."""

from cache_kd.cli.main import main

if __name__ == "__main__":
    main(prog_name="kdcache")
