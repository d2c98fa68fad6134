"""What the answers of an HTTP server that are no success mean."""

import http.client
from contextlib import suppress

from gitstate.engine.wire.remote_words import visible
from gitstate.errors import AccessDeniedError, NoRepositoryError, SyncError, TooLargeError, UnreachableError

__all__ = ["of_status", "text_of", "unauthorized"]

_MOST = 4096  # bytes of an answer that are read for its text
_LATER = {408, 425, 429, 502, 503, 504}


def text_of(response: http.client.HTTPResponse) -> str:
    """Return the text that a failure comes with, if it is plain."""
    if response.headers.get_content_type() != "text/plain":
        return ""
    with suppress(OSError, http.client.HTTPException, ValueError):
        return visible(" ".join(response.read(_MOST).decode("utf-8", "replace").split()))
    return ""


def of_status(name: str, response: http.client.HTTPResponse) -> SyncError:
    """Return the error that a status of 300 or more stands for."""
    text = text_of(response)
    status, told = response.status, f": {text}" if text else ""
    if status == 403:
        return AccessDeniedError(
            f"{name} does not let you do this (HTTP 403){told}", hint="give other credentials, or ask for access"
        )
    if status == 407:
        return AccessDeniedError(
            f"the proxy on the way to {name} wants credentials (HTTP 407){told}", hint="put them into http.proxy"
        )
    if status in {404, 410}:
        return NoRepositoryError(
            f"{name}: there is no repository, or none that you may see (HTTP {status}){told}",
            hint="correct the address, make the repository first, or give credentials",
        )
    if status == 413:
        return TooLargeError(
            f"it takes no pack of this size (HTTP 413){told}",  # the transport says who
            hint="push fewer commits at once, or raise the limit of the server, or of the proxy before it",
        )
    if status in _LATER:
        after = response.headers.get("Retry-After", "")
        wait = f" in {int(after):,} s" if after.isdecimal() and len(after) < 8 else " later"
        return UnreachableError(f"{name} has no time (HTTP {status}){told}", hint=f"try again{wait}")
    if 300 <= status < 400:
        where = visible(response.headers.get("Location", ""))
        return SyncError(f"{name} sends elsewhere in the middle: {where}", hint="use the address that it names")
    return SyncError(f"{name} answers HTTP {status}{told}", hint="what is here stays; look at the remote")


def unauthorized(name: str, tried: bool, held_back: str, text: str) -> AccessDeniedError:
    """Return what a server's 401 comes to in the end.

    Args:
        name: Its address, as it may be shown.
        tried: Whether it was shown credentials.
        held_back: What is to be done where there is a token that it was not shown.
        text: What it said.
    """
    what = "does not take the credentials that it got" if tried else "wants credentials, and there are none for it"
    hint = held_back or "store them with git's credential helper or in ~/.netrc, or set GITSTATE_TOKEN"
    return AccessDeniedError(f"{name} {what} (HTTP 401)" + (f": {text}" if text else ""), hint=hint)
