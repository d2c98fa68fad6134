"""Tests of the store; what asserts beside them says as much as a test where it fails."""

import pytest

pytest.register_assert_rewrite("tests.store.desks", "tests.store.indexed", "tests.store.lagging", "tests.store.worlds")
