"""``python -m tests.bench``: see :mod:`tests.bench.command`."""

if __name__ == "__main__":
    from tests.bench.command import main  # here: each process that the benchmark starts reads this module anew

    main()
