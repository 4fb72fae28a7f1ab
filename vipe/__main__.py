"""`python -m vipe`: the command line, where scripts are not on the path."""

from vipe.cli import main

if __name__ == "__main__":
    main()
