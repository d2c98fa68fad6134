"""Prints the table of budgets as it would be: ``python -m tests.budgets``."""

import tempfile
from pathlib import Path

from tests.budgets.table import to_text
from tests.budgets.work import STORES, measure


def main() -> None:
    """Count everything."""
    with tempfile.TemporaryDirectory() as folder:
        print(to_text({store: measure(store, Path(folder, str(number))) for number, store in enumerate(STORES)}))


if __name__ == "__main__":
    main()
