"""Values as Hypothesis draws them."""

from hypothesis import strategies as st

from gitstate.values.canonical import Shape

KEYS = st.text("ab/~é\ud800\u2028", max_size=3)
"""Few characters, so that keys meet; with a lone surrogate, and those that pointers escape."""

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2**63, -(2**200), 0.0, -0.0, 1.0, 1e300, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()), max_size=5).filter(lambda text: _has_no_pair(text))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
SHAPES = st.recursive(
    st.builds(Shape, fields=st.lists(KEYS, unique=True, max_size=3).map(tuple)),
    lambda inner: st.builds(
        Shape,
        fields=st.lists(KEYS, unique=True, max_size=3).map(tuple),
        inner=st.dictionaries(KEYS, inner, max_size=2),
        each=st.none() | inner,
    ),
    max_leaves=4,
)


def _has_no_pair(text: str) -> bool:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") == text
