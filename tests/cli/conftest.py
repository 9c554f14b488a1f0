"""The command line, run in this process."""

import pytest
from click.testing import CliRunner

from cache_kd.cli.main import main


@pytest.fixture
def kdcache():
    """Runs a command, given what a user types into it; (exit code, stdout, stderr)."""

    def run(*arguments: object, answer: str = "") -> tuple[int, str, str]:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run
