"""Whatever commits a history is made of, the index says what a look at each of them says."""

from hypothesis import given
from hypothesis import strategies as st

from gitstate.engine import graph, trees
from gitstate.engine.memory import MemoryEngine
from gitstate.engine.objects import Commit, Signature
from gitstate.format.version import FormatVersion
from gitstate.store.documents import Collection, Revision
from gitstate.store.index.indexes import Index
from gitstate.store.reader import Reader
from gitstate.store.trails import Trail
from tests.store import indexed
from tests.store.indexed import spans, stand, walked
from tests.stores import NOTES

soon_in_bulk = indexed.soon_in_bulk

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b/c", "nobody's"]),
        st.integers(0, 3) | st.none(),
        st.sampled_from(["true", "lies", "silent", "nothing", "foreign"]),
        st.integers(0, 30),
        st.sampled_from(["after", "after", "merge", "merge", "merged", "reset"]),
        st.sampled_from([0, 0, 1, 1, 5, -3]),
    ),
    max_size=25,
)


@given(_STEPS, st.sets(st.integers(0, 25), max_size=4), st.integers(0, 24))
def test_it_says_what_a_look_at_every_commit_says(
    steps: list[tuple[str, int | None, str, int, str, int]], asked: set[int], reshard: int
) -> None:
    engine = MemoryEngine()
    reader = Reader(engine)
    known = Index(None, reader, NOTES)
    made = [_commit(engine, [], {"gitstate.json": FormatVersion().to_bytes()}, "")]
    time = 0
    for number, (document, text, way, other, kind, tick) in enumerate(steps):
        if number in asked:
            _compare(reader, known, [made[-1], made[number // 2]])
        time += tick
        beside = made[other % len(made)]
        parents = {"after": made[-1:], "merge": [made[-1], beside], "merged": [beside, made[-1]], "reset": [beside]}[
            kind
        ]
        fanout = reader.format(_tree(engine, made[-1])).fanout
        folder = NOTES.folder(document, fanout)
        files: dict[str, bytes | None] = {f"{folder}/job.json": None if text is None else b'{"n": %d}' % text}
        files[f"{folder}/executions/0001/output.txt"] = b"%d" % (other // 2) if other % 3 else None
        if way == "foreign":
            files = {f"{folder}/README": b"%d" % number}
        elif way == "nothing":
            files = {}
        elif number == reshard:
            files["gitstate.json"] = FormatVersion(fanout=1 - fanout).to_bytes()
        says = {"true": document, "nothing": document, "lies": "b/c" if document == "a" else "a"}.get(way, "")
        made.append(_commit(engine, list(dict.fromkeys(parents)), files, says, time))
    _compare(reader, known, [*made[-4:], made[0]])
    if not any(way == "lies" for _, _, way, *_ in steps):
        for document in ("a", "b/c"):
            found = known.revisions.revisions(Trail(NOTES, document, reader.head()))
            assert found is not None
            assert [revision.id for revision in found] == walked(reader, document, reader.head())
    known.database.close()


def _compare(reader: Reader, known: Index, starts: list[str]) -> None:
    for start in starts:
        for document in ("a", "b/c", "nobody's", "never"):
            found = known.revisions.revisions(Trail(NOTES, document, start, attached=True))
            assert found is not None or start != reader.head()
            if found is not None:
                told = list(found)
                assert [revision.id for revision in told] == _exact(reader, document, start)
                for revision in told:
                    stand(reader, document, revision)
                _compare_trailers(reader, known, document, start, [*starts, reader.head()])
    known_gone = known.revisions.deleted()
    if known_gone is not None:
        tellers = {document: _exact(reader, document, reader.head()) for document in ("a", "b/c", "nobody's")}
        gone = [name for name in tellers if tellers[name] and reader.snapshot(NOTES, name, reader.head()) is None]
        assert sorted(name for name, _ in known_gone) == [
            name for name in gone if any(reader.snapshot(NOTES, name, each) for each in tellers[name])
        ]


def _compare_trailers(reader: Reader, known: Index, document: str, start: str, made: list[str]) -> None:
    silent = Reader(reader.engine)
    exact = [Revision.of(each, graph.read(reader.engine, each)) for each in _exact(reader, document, start)]
    removed = any(
        silent.snapshot(NOTES, document, each) is None and _exact(reader, document, each)
        for head in made
        for each, _ in graph.walk(reader.engine, head)
    )
    for until in [None, *(revision.id for revision in exact[1:3])]:
        reached = exact[: 1 + [each.id for each in exact].index(until)] if until else exact
        for key, value in (("Gitstate-Count", None), ("Gitstate-Count", "1"), ("Gitstate-Count", "9"), ("Other", None)):
            trail = Trail(NOTES, document, start, until, key, value)
            saying = [each for each in reached if trail.holds(each.message)]
            found = known.revisions.revisions(trail)
            if found is None:
                assert until is not None
                assert removed
                continue
            assert [each.id for each in found] == [each.id for each in saying]
    last = dict.fromkeys(_exact(reader, document, start, in_one_life=True))
    life = [each for each in exact if each.id in last and silent.snapshot(NOTES, document, each.id) is not None]
    keys = ["Gitstate-Count", "Other"]
    found_lives = known.revisions.lives(Trail(NOTES, document, start), keys)
    if found_lives is None:
        assert removed, "else the order tells where the life began"
        return
    is_there = silent.snapshot(NOTES, document, start) is not None
    assert spans(found_lives) == ([(start if is_there else life[0].id, life[-1].id, not is_there)] if life else [])
    holding = Trail(NOTES, document, start, key=keys[0])
    for each in found_lives:
        assert each.said == [one.message.first(keys) for one in life if holding.holds(one.message)]


def _exact(reader: Reader, document: str, start: str, *, in_one_life: bool = False) -> list[str]:
    """The history without a word believed that a commit says of another document."""
    silent = Collection("notes", NOTES.layout, id_field="id", trailer="Gitstate-Note")
    plain = Reader(reader.engine)
    place = graph.Place(
        lambda root: plain.locate(root, silent, document),
        claims=lambda commit: f"Gitstate-Note: {document}\n".encode() in commit.message,
        in_one_life=in_one_life,
    )
    return [commit_id for commit_id, _ in graph.history(reader.engine, start, place)]


def _tree(engine: MemoryEngine, commit_id: str) -> str:
    return graph.read(engine, commit_id).tree


def _commit(engine: MemoryEngine, parents: list[str], files: dict[str, bytes | None], says: str, time: int = 0) -> str:
    edited = trees.edit(engine, _tree(engine, parents[0]) if parents else None, files)
    who = Signature("a", "a@example.org", 1_700_000_000 + time)
    count = len(engine._objects) % 3
    told = f"change\n\nGitstate-Note: {says}\nGitstate-Count: {count}\nGitstate-Count: 9\n" if says else "change\n"
    made = Commit(edited.id, tuple(parents), who, who, told.encode()).to_object()
    engine.publish([*edited.objects, made], expected=engine.head(), new=made.id, note="")
    return made.id
