"""How the tests call a command."""

import pytest

from vipe.cli.app import main


@pytest.fixture
def run(capsys):
    """Call a command in this process: exit code, standard output and standard error."""

    def call(*arguments):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return call
