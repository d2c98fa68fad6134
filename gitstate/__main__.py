"""``python -m gitstate``: the command line, where it is known by its interpreter."""

from gitstate.cli.main import main

if __name__ == "__main__":
    main()
