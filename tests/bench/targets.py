"""What gitstate must reach, and how far it could go."""

from tests.bench import callers, history, jobs, processes, queries, reading, saving, starting, stores, syncing, view
from tests.bench.langgraph import LangGraph
from tests.bench.peers import GitCommand, JsonFile, Sqlite
from tests.bench.results import Figure, Target
from tests.bench.rounds import Sizes

__all__ = ["targets"]


def targets(sizes: Sizes) -> list[Target]:
    """Return the targets of a run."""
    crowd, listed, half = callers.work(sizes.crowd), f"list of {sizes.listed:,} jobs", sizes.queried // 2
    apart, together = processes.work(sizes.crowd), processes.together_in_one(sizes.crowd)
    few, *_, many = map(jobs.work, sizes.jobs)
    _, small, middle, large = (f"save, {sheets:,} sheets" for sheets in sizes.saves)
    return [
        _at_most(small, LangGraph.name, 1.4, 1.0),
        _at_most(small, Sqlite.name, 2.2, 1.3),
        Target(Figure(small, GitCommand.name), Figure(small), 8.0, at_least=True),
        _at_most(middle, LangGraph.name, 0.9),
        _at_most(large, LangGraph.name, 0.3),
        _at_most(saving.LOOKED_INTO, saving.KEPT, 1.05),
        Target(
            Figure(f"throughput, {crowd}"),
            Figure(f"throughput, {crowd}", Sqlite.name),
            1.5,
            at_least=True,
        ),
        Target(Figure(f"throughput, {apart}"), Figure(f"throughput, {together}"), 0.2, 0.4, at_least=True),
        Target(Figure(f"save, {apart}", statistic="p99"), Figure(f"save, {apart}"), 20.0),
        Target(Figure(f"lost by {apart}", statistic="mean"), None, 0.0),
        Target(Figure(many), Figure(few), 1.3),
        _at_most(reading.KNOWN, JsonFile.name, 1.1),
        _at_most(reading.FIRST, JsonFile.name, 2.0),
        _at_most(f"{listed}, known", JsonFile.name, 1.0),
        _at_most(f"{listed}, cold", JsonFile.name, 2.0),
        *(Target(Figure(work), Figure(work, history.ASKED), 3.0) for work in history.WORKS),
        *(_at_most(work, queries.SQL, 3.0) for work in queries.WORKS),
        *(_at_most(work, queries.SQL, 2.0) for work in (queries.PAGE, queries.FIRST_PAGE)),
        _at_most(queries.BUILD, "git log", 3.0),
        _at_most(queries.KEEPING, "the save itself", 0.05),
        *(
            _at_most(syncing.work(transport), syncing.PUSHED, 2.0 if transport == "path" else 1.5)
            for transport in sizes.transports
        ),
        _at_most(syncing.CLONE, syncing.CLONED, 2.0),
        *(_at_most(view.work(files), view.RESET, 1.0) for files in sizes.viewed),
        *(_at_most(f"git status, {files:,} files", view.AFTER, 1.1) for files in sizes.viewed),
        Target(Figure(starting.HELP), None, 100.0),
        Target(Figure(stores.memory_after(sizes.queried)), Figure(stores.memory_after(half)), 1.1),
        Target(Figure("disk", statistic="mean"), None, 6.0),
        Target(Figure("disk after gc", statistic="mean"), None, 2.0),
    ]


def _at_most(work: str, peer: str, limit: float, stretch: float | None = None) -> Target:
    return Target(Figure(work), Figure(work, peer), limit, stretch)
