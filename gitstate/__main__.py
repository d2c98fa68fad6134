"""``python -m gitstate``: the command line, where it is known by its interpreter."""

from gitstate.cli import start

if __name__ == "__main__":
    start()
