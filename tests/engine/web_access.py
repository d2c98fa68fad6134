"""A repository behind a web server: how tests get at it, and what they show it."""

import base64
from pathlib import Path

import pytest

from gitstate.engine.wire.transport import Transport
from tests.engine.repositories import make
from tests.servers import Authority, Web, authority

__all__ = ["at", "basic", "one_authority", "one_repository", "sent"]


def one_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one repository, a.git."""
    folder = tmp_path_factory.mktemp("web") / "root"
    make(folder, "a")
    return folder


def one_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


def at(server: Web, path: str = "/a.git", login: str = "") -> Transport:
    scheme, _, rest = server.url.partition("://")
    return Transport(f"{scheme}://{login + '@' if login else ''}{rest}{path}", timeout=10)


def sent(server: Web) -> list[str]:
    """Return what the server was shown, request by request."""
    return [headers.get("authorization", "") for _, _, headers in server.requests]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
