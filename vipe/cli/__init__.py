"""The command line: parse, call the function of that name, print."""

__all__ = ["main"]


def main() -> None:
    """Entry point of the `vipe` command."""
    from vipe.cli.app import main as run

    run()
