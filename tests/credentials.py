"""Credentials and text without any, made by a seeded generator: no credential stands in the repository as a literal."""

import base64
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from re import _constants as constants  # type: ignore[attr-defined]  # how expressions are parsed is private
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from gitstate.format.secret_formats import FORMATS, is_random

__all__ = ["KINDS", "credential", "every_token", "harmless", "in_context", "ordinary", "putty_key"]

_WORD = string.ascii_letters + string.digits
_URL = _WORD + "-_"
_BASE64 = _WORD + "+/"


def drawn(rng: random.Random, length: int, letters: str = _WORD) -> str:
    """Return random letters that may have been drawn, digits and others among them."""
    while True:
        text = "".join(rng.choices(letters, k=length))
        if (
            is_random(text.encode())
            and re.search("[0-9]", text)
            and re.search("[a-z]", text + "a" * (letters != _WORD))
        ):
            return text


def every_token(rng: random.Random, wanted: str = "") -> Iterator[tuple[str, str]]:
    """Yield the kind and an example of each format, or of each of a kind, with each of its beginnings."""
    for entry in FORMATS:
        for head in entry.heads if wanted in ("", entry.kind) else ():
            while not is_random((rest := _matching(rng, entry.rest)).encode()):
                pass
            yield entry.kind, head + rest


def _matching(rng: random.Random, pattern: str) -> str:
    """Return a text that an expression matches."""
    return "".join(_made(rng, *node) for node in _parsed(pattern))


@cache
def _parsed(pattern: str) -> Any:
    return parser.parse(pattern)


def _made(rng: random.Random, kind: Any, argument: Any) -> str:
    if kind is constants.LITERAL:
        return chr(argument)
    if kind is constants.IN:
        return rng.choice(_letters(tuple(argument)))
    if kind is constants.MAX_REPEAT:
        low, high, nodes = argument
        count = rng.randint(low, min(high, low + 20))
        return "".join(_made(rng, *node) for _ in range(count) for node in nodes)
    if kind is constants.SUBPATTERN:
        return "".join(_made(rng, *node) for node in argument[-1])
    assert kind is constants.BRANCH, kind
    return "".join(_made(rng, *node) for node in rng.choice(argument[1]))


@cache
def _letters(ranges: tuple[Any, ...]) -> str:
    return "".join(
        chr(inner) if kind is constants.LITERAL else "".join(map(chr, range(inner[0], inner[1] + 1)))
        for kind, inner in ranges
    )


def coded(value: object) -> str:
    """Return a value as web tokens have it."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def web_token(rng: random.Random) -> str:
    """Return a JSON web token."""
    header = {"alg": rng.choice(["HS256", "RS256", "ES256"]), "typ": "JWT"}
    payload = {"sub": str(rng.randrange(10**9)), "name": "Ada", "iat": rng.randrange(10**9)}
    return f"{coded(header)}.{coded(payload)}.{drawn(rng, 43, _URL)}"


def key_block(rng: random.Random, name: str = "RSA PRIVATE KEY", lines: int = 12) -> str:
    """Return a private key block of some lines."""
    body = "\n".join("".join(rng.choices(_BASE64, k=64)) for _ in range(lines))
    return f"-----BEGIN {name}-----\n{body}\n{''.join(rng.choices(_BASE64, k=30))}==\n-----END {name}-----"


def putty_key(rng: random.Random, length: int) -> tuple[str, str]:
    """Return a key file of PuTTY's, and the part that is private: so many characters, in lines of 64."""
    secret = "\n".join(re.findall(".{1,64}", "".join(rng.choices(_BASE64, k=length - 1)) + "="))
    public = "".join(rng.choices(_BASE64, k=64))
    head = f"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: ada\nPublic-Lines: 2\n{public}\n{public[:28]}\n"
    return f"{head}Private-Lines: {length // 64 + 1}\n{secret}\nPrivate-MAC: {rng.randbytes(32).hex()}\n", secret


def _aws(rng: random.Random) -> str:
    while True:
        text = "".join(rng.choices(_BASE64, k=40))
        if all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]")):
            return text


def _hook(rng: random.Random) -> str:
    team, app, number = drawn(rng, 8).upper(), drawn(rng, 8).upper(), rng.randrange(10**17, 10**18)
    return rng.choice([f"services/T{team}/B{app}", f"workflows/T{team}/A{app}/{number}", f"triggers/T{team}/{number}"])


KINDS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "aws-secret-key": lambda rng: (f"aws_secret_access_key = {(key := _aws(rng))}", key),
    "azure-storage-key": lambda rng: (
        f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={(key := drawn(rng, 86, _BASE64) + '==')};E=1",
        key,
    ),
    "azure-sas": lambda rng: (
        f"https://x.blob.core.windows.net/c?sv=2022-11-02&se=2030&sig={(sig := drawn(rng, 43) + '%3D')}",
        sig,
    ),
    "azure-client-secret": lambda rng: (f"secret {(key := drawn(rng, 3) + '8Q~' + drawn(rng, 34))}", key),
    "azure-devops-token": lambda rng: ((key := drawn(rng, 52) + "JQQJ99" + drawn(rng, 26)), key),
    "telegram-token": lambda rng: ((key := f"{rng.randrange(10**9, 10**10)}:AA{drawn(rng, 33)}"), key),
    "slack-webhook": lambda rng: (
        f"https://hooks.slack.com/{_hook(rng)}/{(key := drawn(rng, 24))}",
        key,
    ),
    "discord-webhook": lambda rng: (
        f"https://discord.com/api/webhooks/{rng.randrange(10**17, 10**18)}/{(key := drawn(rng, 68, _URL))}",
        key,
    ),
    "private-key": lambda rng: ((block := key_block(rng)), block),
    "jwt": lambda rng: ((token := web_token(rng)), token),
    "bearer-token": lambda rng: (f"Authorization: Bearer {(token := drawn(rng, 24))}", token),
    "authorization": lambda rng: (
        f"authorization: Basic {(told := base64.b64encode(f'me:{drawn(rng, 9)}'.encode()).decode())}",
        told,
    ),
    "url-password": lambda rng: (f"postgres://app:{(word := drawn(rng, 10))}@db.internal:5432/jobs", word),
    "password": lambda rng: (f'"password": "{(word := drawn(rng, 12))}"', word),
}
"""For each kind that is told by more than its beginning: a text that holds one, and the credential in it."""


def credential(kind: str, seed: int) -> tuple[str, str]:
    """Return a text with a credential of a kind, and the credential."""
    rng = random.Random(f"{kind}-{seed}")
    if kind in KINDS:
        return KINDS[kind](rng)
    token = rng.choice([token for _, token in every_token(rng, kind)])
    return token, token


_CONTEXTS = (
    "{}",
    "token={}",
    'export TOKEN="{}"',
    "token: '{}'",
    '{{"auths": {{"x": "{}"}}}}',
    "line one\n{}\nline three\n",
    "ends with a line break\\n{}\\r\\nand goes on",
    "\x1b[32m{}\x1b[0m",
    "\x1b[1;31m{}\x1b[0m",
    "<td>{}</td>",
    "(see {}, or ask)",
    "q=a%20b%3D{}&x=1",
    "grüße an {} – ende",
    "NUL\0{}\0",
    "lone \ud800 {} \udfff",
    "`{}`",
    "prefix-{}",
    "{}.",
    "${{X:-{}}}",
    "+{}\n-old",
    "a,b,{},c",
    "\\u003c{}\\u003e, as some write JSON",
    "caf\\u00e9\\x3d{}\\x3e",
    "/login?to=%2Fx%253D{} HTTP/1.1",
)


def in_context(text: str, rng: random.Random) -> str:
    """Return a text inside of others."""
    return rng.choice(_CONTEXTS).format(text)


def harmless(rng: random.Random, kind: str, size: int) -> str:
    """Return about so many characters of a kind of text that holds no credential."""
    parts: list[str] = []
    length = 0
    while length < size:
        part = HARMLESS[kind](rng)
        parts.append(part)
        length += len(part) + 1
    return "\n".join(parts)


_NAMES = ("user", "session", "retry", "access", "token", "secret", "config", "password", "handler", "batch", "index")


def _identifier(rng: random.Random) -> str:
    return "_".join(rng.choices(_NAMES, k=rng.randint(1, 5)))


def _log(rng: random.Random) -> str:
    return (
        f"2026-03-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:15:02.{rng.randrange(10**6):06d}Z INFO "
        f"{_identifier(rng)}: request {uuid.UUID(int=rng.getrandbits(128))} to https://api.internal:8443/v1/"
        f"{_identifier(rng)}?page={rng.randrange(99)} took {rng.random():.3f}s commit={rng.randbytes(20).hex()}"
    )


def _code(rng: random.Random) -> str:
    one, two = _identifier(rng), _identifier(rng)
    return (
        f"def {one}(password: str, token: str | None = None) -> {two.title().replace('_', '')}:\n"
        f'    if not password or password == "secret":\n        raise ValueError(f"no {{password}}, {one}")\n'
        f'    api_key = os.environ["{one.upper()}_API_KEY"]\n    password={two}.get_password()\n'
        f'    headers = {{"Authorization": f"Bearer {{{two}}}", "X-Id": "{uuid.UUID(int=rng.getrandbits(128))}"}}\n'
        f"    return {two}(password=password, token=token, url='https://{{user}}:{{password}}@host/{one}')\n"
    )


def _script(rng: random.Random) -> str:
    return "".join(
        f'!function(e,t){{"use strict";var n={rng.randrange(999)},r="{_identifier(rng)}";e.exports=t.{_identifier(rng)}'
        f'(n,r?"#"+r:"//x:"+n,{{password:e.password,token:t.token||null,sk:"sk-{_identifier(rng)}"}})}}(this,0);'
        for _ in range(20)
    )


def _certificate(rng: random.Random) -> str:
    return key_block(rng, "CERTIFICATE", 20)


def _ssh(rng: random.Random) -> str:
    return f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{''.join(rng.choices(_BASE64, k=43))} ada@example.org"


def _lock(rng: random.Random) -> str:
    digest = base64.b64encode(rng.randbytes(64)).decode()
    return (
        f'"node_modules/{_identifier(rng)}": {{"version": "1.2.{rng.randrange(99)}", "hash": "sha512-{digest}"}},\n'
        f"/nix/store/{''.join(rng.choices('0123456789abcdfghijklmnpqrsvwxyz', k=32))}-{_identifier(rng)}-1.2/bin\n"
        f"{rng.randbytes(32).hex()}  dist/{_identifier(rng)}.whl"
    )


HARMLESS: dict[str, Callable[[random.Random], str]] = {
    "logs": _log,
    "code": _code,
    "minified": _script,
    "image": lambda rng: f"data:image/png;base64,{base64.b64encode(rng.randbytes(6000)).decode()}",
    "base64url": lambda rng: base64.urlsafe_b64encode(rng.randbytes(600)).decode(),
    "hashes": lambda rng: f"{rng.randbytes(20).hex()} {rng.randbytes(32).hex()} {uuid.UUID(int=rng.getrandbits(128))}",
    "words": lambda rng: "".join(rng.choices(_WORD, k=rng.randint(20, 60))),
    "certificate": _certificate,
    "public key": _ssh,
    "lock file": _lock,
    "json": lambda rng: json.dumps(
        {
            "digest": base64.b64encode(rng.randbytes(32)).decode(),
            "next_page_token": drawn(rng, 40),
            "cursor": drawn(rng, 22),
            "key": _identifier(rng),
            "token_count": rng.randrange(99),
            "password": None,
        }
    ),
}
"""Kinds of text without credentials, some of which look a little as if they held some."""

_ORDINARY = r"""
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
PWD=/home/ada/project-2026-11-abcdef123456
SSH_AUTH_SOCK=/tmp/ssh-XXXXabc123def456/agent.12345
DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus,guid=0f1e2d3c4b5a69788796a5b4c3d2e1f0
SESSION_MANAGER=local/host:@/tmp/.ICE-unix/1234,unix/host:/tmp/.ICE-unix/1234
LS_COLORS=rs=0:di=01;34:ln=01;36:mh=00:pi=40;33:so=01;35:do=01;35:bd=40;33;01
npm_config_user_agent=npm/10.2.4 npm_config_registry=https://registry.npmjs.org npm_lifecycle_event=build
password: none
password = ""
password: changeme
password: ********
password: (unchanged)
password: !vault |
password: &from_above
password=${DB_PASSWORD}
password=%(password)s
password: required
password: Optional[str] = None
password=getpass.getpass("Password 2: ")
password = self._password2
"password": {"type": "string", "minLength": 8}
passwd: password expiry information changed.
[sudo] password for ada:
FATAL: password authentication failed for user "app1"
e.password=t.password1,n.password=r.value2
SELECT * FROM users WHERE password = $1 AND id = 12
https://ada@example.com:8443/x
ssh://git@github.com:22/org/repo.git
git+ssh://git@github.com/org/repo.git@v1.2.3
https://example.com:8443/@scope/package
docker://registry:5000/image@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
https://user:password@example.com/ https://$USER:$PASS@host https://user:***@host
Authorization: Bearer ${TOKEN}
Authorization: Bearer your-api-key-here
"Authorization", "Bearer " + token
authorization = AuthorizationManager2.from_request()
WWW-Authenticate: Bearer realm="api"
apiKey: process.env.NEXT_PUBLIC_GOOGLE_MAPS_API_KEY_V2
api_key=get_secret_from_vault_path_v2
app_key: production-us-east-1-cluster-2026
secret_key: projects/1234567890/secrets/my-secret/versions/12
access_key: arn:aws:iam::123456789012:user/ada
next_page_token: CAoQAA1234567890abcdefGHIJKL
task-1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d disk-0123456789abcdef0123456789abcdef
sk-estimator-container-div-id-1 sk-toggleable__label-arrow sk-8f14e45f
xoxo-hugs-and-kisses-to-everyone-2026
eyJ2ZXJzaW9uIjozLCJzb3VyY2VzIjpbImluZGV4LnRzIl0sIm5hbWVzIjpbXX0= eyJhIjoxLCJiIjoiYyJ9.x.y
sess-0f8fad5b-d9cb-469f-a165-70867728950e key-00000000000000000000000000000000
sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==
SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8 ada@host (ED25519)
arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf
if "-----BEGIN PRIVATE KEY-----" in text: raise ValueError("-----END PRIVATE KEY-----")
x-amz-id-2: eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran
AccountKey=<your-account-key>;EndpointSuffix=core.windows.net
Private-Lines: 8 of them, none of which is to be shown
"""


def ordinary() -> list[str]:
    """Return lines of what programs print every day, none of which holds a credential."""
    return _ORDINARY.strip().split("\n")
