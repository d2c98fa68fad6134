"""The formats of credentials that issuers gave a beginning of its own, so that it can be told from any other text.

What is known of them is what their issuers publish, and what anybody sees who has one. Each is found by its beginning,
the characters that follow, and how many; a text that only shows where one would stand is none.
"""

import re
from functools import cache
from typing import NamedTuple

__all__ = [
    "BEGINNINGS",
    "FORMATS",
    "OTHERS",
    "TAIL",
    "Format",
    "cut_token",
    "has_head_inside",
    "is_random",
    "looks_drawn",
    "token_at",
    "token_behind",
]


class Format(NamedTuple):
    """The tokens of an issuer: how they begin, and what follows, as a regular expression of bounded length."""

    kind: str
    says: str
    heads: tuple[str, ...]
    rest: str


_HEX = "[0-9a-f]"
_WORD = "[A-Za-z0-9]"
_URL = "[A-Za-z0-9_-]"

FORMATS = (
    Format("aws-access-key-id", "Amazon Web Services: key ids", ("AKIA", "ASIA", "ABIA", "ACCA"), "[A-Z2-7]{16}"),
    Format(
        "aws-session-token",
        "Amazon Web Services: tokens of a session",
        ("IQoJb3JpZ2lu", "FwoGZXIvYXdz"),
        "[A-Za-z0-9]{7}[A-Za-z0-9/+]{70,4000}={0,2}",
    ),
    Format("aws-bedrock-key", "Amazon Bedrock", ("ABSKQmVkcm9ja0FQSUtleS",), "[A-Za-z0-9/+]{20,250}={0,2}"),
    Format("google-api-key", "Google Cloud, Gemini, Firebase", ("AIza",), f"{_URL}{{35}}"),
    Format("google-api-key", "Google Cloud: keys bound to an account", ("AQ.Ab",), f"{_URL}{{40,100}}"),
    Format("google-oauth-token", "Google: access tokens", ("ya29.",), f"{_URL}{{30,2000}}"),
    Format("google-oauth-secret", "Google: secrets of OAuth clients", ("GOCSPX-",), f"{_URL}{{28}}"),
    Format("google-refresh-token", "Google: refresh tokens", ("1//0",), f"{_URL}{{40,250}}"),
    Format("github-token", "GitHub", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), f"{_WORD}{{36,251}}"),
    Format("github-token", "GitHub: fine-grained", ("github_pat_",), f"{_WORD}{{22}}_{_WORD}{{59}}"),
    Format(
        "gitlab-token",
        "GitLab",
        (
            *("glpat-", "gldt-", "glrt-", "glrtr-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-", "glcbt-"),
            *("glffct-", "gloas-", "glwt-", "GR1348941"),
        ),
        rf"{_URL}{{20,300}}(?:\.[0-9a-z]{{2}}\.[0-9a-z]{{9}})?",
    ),
    Format("bitbucket-password", "Bitbucket: app passwords", ("ATBB",), f"{_WORD}{{28,40}}"),
    Format("atlassian-token", "Atlassian", ("ATATT3xFfG", "ATCTT3xFfG"), f"{_URL}{{60,400}}(?:=[0-9A-F]{{8}})?"),
    Format(
        "slack-token",
        "Slack",
        ("xoxa-", "xoxb-", "xoxe-", "xoxe.xoxb-", "xoxe.xoxp-", "xoxp-", "xoxr-", "xoxs-", "xoxc-"),
        "[A-Za-z0-9-]{20,300}",
    ),
    Format("slack-token", "Slack: old tokens", ("xoxo-",), "[0-9][A-Za-z0-9-]{19,300}"),
    Format("slack-token", "Slack: cookies", ("xoxd-",), "[A-Za-z0-9]{14,}[A-Za-z0-9%-]{10,300}"),
    Format("slack-token", "Slack: apps", ("xapp-",), "[0-9]-[A-Z0-9]{8,15}-[0-9]{8,16}-[0-9a-f]{32,80}"),
    Format(
        "stripe-key",
        "Stripe",
        ("sk_live_", "sk_org_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_"),
        f"{_WORD}{{20,250}}",
    ),
    Format("npm-token", "npm", ("npm_",), f"{_WORD}{{36}}"),
    Format("pypi-token", "PyPI", ("pypi-AgE",), f"{_URL}{{60,1000}}"),
    Format("rubygems-token", "RubyGems", ("rubygems_",), f"{_HEX}{{48}}"),
    Format("crates-token", "crates.io", ("cio",), f"{_WORD}{{32}}"),
    Format("docker-token", "Docker Hub", ("dckr_pat_", "dckr_oat_"), f"{_URL}{{27,36}}"),
    Format("huggingface-token", "Hugging Face", ("hf_", "api_org_"), f"{_WORD}{{34,40}}"),
    Format("anthropic-key", "Anthropic", ("sk-ant-",), f"{_URL}{{30,250}}"),
    Format("openai-key", "OpenAI", ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "sess-"), f"{_URL}{{40,250}}"),
    Format("openrouter-key", "OpenRouter", ("sk-or-v1-",), f"{_HEX}{{64}}"),
    Format("langfuse-key", "Langfuse", ("sk-lf-",), f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"),
    Format("model-provider-key", "OpenAI, DeepSeek, Moonshot and others", ("sk-",), f"{_WORD}{{32,64}}"),
    Format("xai-key", "xAI", ("xai-",), f"{_WORD}{{64,100}}"),
    Format("groq-key", "Groq", ("gsk_",), f"{_WORD}{{40,80}}"),
    Format("replicate-token", "Replicate", ("r8_",), f"{_WORD}{{37}}"),
    Format("perplexity-key", "Perplexity", ("pplx-",), f"{_WORD}{{40,60}}"),
    Format("nvidia-key", "NVIDIA", ("nvapi-",), f"{_URL}{{60,80}}"),
    Format("cerebras-key", "Cerebras", ("csk-",), f"{_WORD}{{40,60}}"),
    Format("together-key", "Together", ("tgp_v1_",), f"{_URL}{{43}}"),
    Format("elevenlabs-key", "ElevenLabs", ("sk_",), f"{_HEX}{{48}}"),
    Format("langsmith-key", "LangSmith", ("lsv2_pt_", "lsv2_sk_"), f"{_HEX}{{32}}_{_HEX}{{10}}"),
    Format("pinecone-key", "Pinecone", ("pcsk_",), f"{_WORD}{{4,8}}_{_WORD}{{50,70}}"),
    Format("tavily-key", "Tavily", ("tvly-",), f"(?:dev-|prod-)?{_WORD}{{32,60}}"),
    Format("digitalocean-token", "DigitalOcean", ("dop_v1_", "doo_v1_", "dor_v1_"), f"{_HEX}{{64}}"),
    Format("shopify-token", "Shopify", ("shpat_", "shpca_", "shppa_", "shpss_"), "[0-9a-fA-F]{32}"),
    Format("square-token", "Square", ("sq0atp-", "sq0csp-", "sq0idp-"), f"{_URL}{{22,43}}"),
    Format("sendgrid-key", "SendGrid", ("SG.",), rf"{_URL}{{22}}\.{_URL}{{43}}"),
    Format("twilio-key", "Twilio: ids of keys", ("SK",), f"{_HEX}{{32}}"),
    Format("mailgun-key", "Mailgun", ("key-",), f"{_HEX}{{32}}"),
    Format("new-relic-key", "New Relic", ("NRAK-",), "[A-Z0-9]{27}"),
    Format("grafana-token", "Grafana", ("glsa_",), f"{_WORD}{{32}}_[0-9a-fA-F]{{8}}"),
    Format("grafana-token", "Grafana Cloud", ("glc_eyJ",), "[A-Za-z0-9]{12}[A-Za-z0-9+/]{28,400}={0,2}"),
    Format("sentry-token", "Sentry", ("sntryu_",), f"{_HEX}{{64}}"),
    Format(
        "sentry-token",
        "Sentry: organisations",
        ("sntrys_eyJ",),
        "[A-Za-z0-9]{10}[A-Za-z0-9+/]{30,400}={0,2}_[A-Za-z0-9+/]{43}",
    ),
    Format("linear-key", "Linear", ("lin_api_",), f"{_WORD}{{40}}"),
    Format("notion-token", "Notion", ("ntn_",), f"{_WORD}{{40,60}}"),
    Format("figma-token", "Figma", ("figd_",), f"{_URL}{{40,60}}"),
    Format("postman-key", "Postman", ("PMAK-",), f"{_HEX}{{24}}-{_HEX}{{34}}"),
    Format("airtable-token", "Airtable", ("pat",), rf"{_WORD}{{14}}\.{_HEX}{{64}}"),
    Format(
        "doppler-token",
        "Doppler",
        ("dp.pt.", "dp.st.", "dp.sa.", "dp.ct."),
        r"(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}",
    ),
    Format("vault-token", "HashiCorp Vault", ("hvs.", "hvb.", "hvr."), f"{_URL}{{24,300}}"),
    Format("databricks-token", "Databricks", ("dapi",), f"{_HEX}{{32}}(?:-[0-9])?"),
    Format("supabase-key", "Supabase", ("sbp_",), f"{_HEX}{{40}}"),
    Format("supabase-key", "Supabase: secret keys", ("sb_secret_",), f"{_URL}{{31,45}}"),
    Format("planetscale-key", "PlanetScale", ("pscale_tkn_", "pscale_pw_", "pscale_oauth_"), f"{_URL}{{32,64}}"),
    Format("netlify-token", "Netlify", ("nfp_",), f"{_WORD}{{36}}"),
    Format("heroku-key", "Heroku", ("HRKU-AA",), f"{_URL}{{58}}"),
    Format("apify-token", "Apify", ("apify_api_",), f"{_WORD}{{36}}"),
    Format("tailscale-key", "Tailscale", ("tskey-",), f"[a-z]{{3,10}}-{_WORD}{{8,30}}-{_WORD}{{16,60}}"),
    Format("1password-token", "1Password", ("ops_eyJ",), f"{_URL}{{200,2000}}"),
    Format("age-key", "age: secret keys", ("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1"), "[0-9A-Z]{58}"),
)
"""The formats with a beginning of their own; of two that match, the earlier one counts."""

BEGINNINGS = frozenset(head[:2].encode("ascii") for entry in FORMATS for head in entry.heads) | {b"ey"}
"""The first two characters of each."""

OTHERS = {
    "aws-secret-key": "40 characters beside an AWS key id, or named as a secret (`aws_secret_access_key = ...`)",
    "azure-storage-key": "the key in a connection string (`AccountKey=`, `SharedAccessKey=`)",
    "azure-sas": "the signature in a shared access address (`sig=`)",
    "azure-client-secret": "secrets of Microsoft Entra applications (three characters, a digit and `Q~`)",
    "azure-devops-token": "84 characters with Azure's marks in their places",
    "telegram-token": "a bot's number, a colon and 35 characters",
    "slack-webhook": "the secret end of an incoming webhook's address",
    "discord-webhook": "the secret end of a webhook's address",
    "private-key": "blocks between `BEGIN ... PRIVATE KEY` and `END`: PEM, OpenSSH, PGP, also cut off; files of PuTTY",
    "jwt": "JSON web tokens, signed or encrypted, whose header can be read",
    "bearer-token": "what follows `Bearer`",
    "authorization": "what follows `Authorization:` with Basic and other schemes",
    "url-password": "the password in `scheme://user:password@host`",
    "password": "what is assigned to a name such as `password`, `api_key` or `client_secret`, if it looks like one",
}
"""The kinds that are told by more than their beginning, and what they are."""

_SHOWN = re.compile(
    rb"(?i:example|x{5}|your[-_]|[-_]here|placeholder|redacted|dummy|changeme|0{8}|1234567890|abcdefgh|\*{4})"
)
_WORDS = re.compile(rb"[A-Za-z]*[0-9]{0,4}(?:[_./-][A-Za-z]*[0-9]{0,4})+")  # such as a variable's, or a host's name
_HEX_ONLY = re.compile(rb"[0-9a-fA-F]+")
_MIXED = re.compile(rb"[0-9].*[A-Za-z]|[A-Za-z].*[0-9]", re.DOTALL)
_OF_TOKENS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+-"
_SHORTEST_CUT = 10
TAIL = 300
"""Characters at the end of a text in which a token that was cut off may begin."""

_BEYOND = 120  # characters behind a word that may still be of a token in it
_VAGUE = ("dapi", "key-", "sess-", "csk-")  # heads that begin other words too


def is_random(data: bytes) -> bool:
    """Whether a text may have been drawn: not one letter over and over, nor a word that stands for a token."""
    return len(set(data)) >= min(len(data) // 4 + 1, 8) and not _SHOWN.search(data)


def looks_drawn(data: bytes) -> bool:
    """Whether a text without a beginning of its own is likely to be drawn: letters and digits, and of many kinds."""
    kinds = 10 if _HEX_ONLY.fullmatch(data) else 14  # of sixteen, fewer are there
    is_drawn = is_random(data) and len(set(data)) >= min(len(data) // 3 + 1, kinds) and _MIXED.search(data) is not None
    return is_drawn and not _WORDS.fullmatch(data)


def token_at(data: bytes, place: int) -> tuple[int, str] | None:
    """Return the end and the kind of the token that begins at a place, None if none does."""
    found = _starts().match(data, place)
    return None if found is None else _judged(found)


def has_head_inside(data: bytes, start: int, end: int) -> bool:
    """Whether the beginning of a token stands in the middle of a word, so that one may be there."""
    return _inside().search(data, start, end) is not None


def token_behind(data: bytes, start: int, end: int) -> tuple[int, int, str] | None:
    """Return the start, the end and the kind of the first token that begins behind a ``-`` or ``_``."""
    found = _behind().search(data, start, end + _BEYOND)
    whole = None if found is None or found.start() >= end else token_at(data, found.start() + 1)
    return None if found is None or whole is None else (found.start() + 1, *whole)


def cut_token(data: bytes, end: int) -> tuple[int, str] | None:
    """Return the start and the kind of a token that ends, too early, with a text; None if none does."""
    if not end or data[end - 1] not in _OF_TOKENS:
        return None
    tail = data[max(0, end - TAIL) : end]
    word = len(tail) - len(tail.rstrip(_OF_TOKENS))
    found = _cut_off().search(data, end - word, end) if word >= _SHORTEST_CUT else None
    if found is None:
        return None
    head, rest = found[1].decode("ascii"), found[2]
    is_drawn = is_random(rest) and len(set(rest)) >= min(len(rest) // 2, 8) and _MIXED.search(rest)
    kind = next(entry.kind for entry in FORMATS if head in entry.heads)
    return (found.start(), kind) if is_drawn else None


def _judged(found: "re.Match[bytes]") -> tuple[int, str] | None:
    number = found.lastindex or 1
    return (found.end(), _grouped()[1][number - 1].kind) if is_random(found[number]) else None


@cache
def _grouped() -> tuple[bytes, tuple[Format, ...]]:
    """Return what matches any token, by its first character, and the format that each group stands for."""
    order: list[Format] = []
    letters: dict[str, list[str]] = {head[0]: [] for entry in FORMATS for head in entry.heads}
    for letter, branches in letters.items():
        for entry in FORMATS:
            tails = [re.escape(head[1:]) for head in entry.heads if head[0] == letter]
            if tails:
                order.append(entry)
                branches.append(f"(?:{'|'.join(tails)})({entry.rest})")
    text = "|".join(f"{letter}(?:{'|'.join(branches)})" for letter, branches in letters.items())
    return f"(?:{text})(?![A-Za-z0-9])".encode("ascii"), tuple(order)


@cache
def _starts() -> "re.Pattern[bytes]":
    return re.compile(_grouped()[0])


@cache
def _behind() -> "re.Pattern[bytes]":
    return re.compile(b"[-_]" + _grouped()[0])


@cache
def _inside() -> "re.Pattern[bytes]":
    letters: dict[str, list[str]] = {}
    for head in sorted({head for entry in FORMATS for head in entry.heads} | {"eyJ"}):
        letters.setdefault(head[0], []).append(re.escape(head[1:]))
    text = "|".join(f"{letter}(?:{'|'.join(tails)})" for letter, tails in letters.items())
    return re.compile(rf"[-_](?:(?<=gh[opsur]_)|(?<=npm_)|{text})".encode("ascii"))


@cache
def _cut_off() -> "re.Pattern[bytes]":
    heads = sorted(head for entry in FORMATS for head in entry.heads if len(head) > 3 and head not in _VAGUE)
    text = "|".join(map(re.escape, heads))
    return re.compile(rb"(?<![A-Za-z0-9])(" + text.encode("ascii") + rb")([A-Za-z0-9_./+-]{6,})\Z")
