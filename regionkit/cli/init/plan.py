"""What is to be written, and its text. Pure.

1. No password is written: it becomes `${STORE_PASSWORD}`, and the result says which variable to set.
2. What is not known is written as a comment, with what to say there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from regionkit.errors import ConfigurationError
from regionkit.topology.validation import shown

__all__ = [
    "BOOKMARK_KEY",
    "Place",
    "Plan",
    "backend_of",
    "database_of",
    "hidden",
    "region_in",
    "text_of",
    "usual_namespace",
]

BOOKMARK_KEY = "BOOKMARK_KEY"
SCHEMES = {
    "postgresql": "sql", "postgres": "sql", "mysql": "sql", "mariadb": "sql", "sqlite": "sql",
    "redis": "redis", "rediss": "redis", "valkey": "redis", "valkeys": "redis", "unix": "redis",
    "mongodb": "mongo", "cassandra": "cassandra",
}  # fmt: skip
"""Backend by the scheme of a URL, without its driver."""
CLUSTERS = ("mongo", "cassandra")
"""Backends whose store has one URL."""
_REGION = re.compile(r"(?:^|[^a-z0-9])([a-z]{2}(?:-gov|-iso)?-[a-z]+-\d)(?=$|[^a-z0-9])")
"""As the large clouds call their regions."""


class Place(NamedTuple):
    """An endpoint. `url`: "" where its address is not known; `note`: what is not known of it."""

    region: str
    role: str
    url: str
    note: str = ""


class Plan(NamedTuple):
    """One store.

    Attributes:
        namespace: of the topology.
        store: its name.
        backend: as in TOML.
        places: endpoints, the primary first; of a cluster its regions.
        url: of a cluster.
        datacenters: Cassandra: names of data centres that are not their regions', by region.
        variables: environment variables that the URLs need, and what each is.
    """

    namespace: str
    store: str
    backend: str
    places: tuple[Place, ...]
    url: str = ""
    datacenters: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def backend_of(url: str) -> str:
    """The backend of a URL.

    Raises:
        ConfigurationError: none has this scheme.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    if "://" not in url or scheme not in SCHEMES:
        raise ConfigurationError(
            "the URL names no server that regionkit knows.",
            why=f"its scheme is {shown(scheme)}.",
            fix=f"begin it with one of {', '.join(sorted(SCHEMES))}.",
        )
    return SCHEMES[scheme]


def region_in(host: str) -> str:
    """The name of a region in a host's name; "" where there is none."""
    found = _REGION.search(host)
    return found[1] if found else ""


def hidden(url: str, store: str, known: dict[str, str]) -> str:
    """The URL with a variable in the place of its password. `known`: variables by password, added to."""
    scheme, _, rest = url.partition("://")
    account, at, address = rest.rpartition("@")
    user, colon, password = account.partition(":")
    if not at or not colon or not password or "${" in password:
        return url
    if password not in known:
        number = f"_{len(known) + 1}" if known else ""
        known[password] = f"{store.upper().replace('-', '_')}_PASSWORD{number}"
    return f"{scheme}://{user}:${{{known[password]}}}@{address}"


def database_of(url: str) -> str:
    """A store's name from a URL: its database; "" where that is none."""
    path = url.partition("://")[2].partition("/")[2].partition("?")[0].rpartition("/")[2]
    name = re.sub(r"[^a-z0-9_-]", "-", path.partition(".")[0].lower()).strip("-")
    return name[:48] if re.fullmatch(r"[a-z][a-z0-9_-]*", name) else ""


def usual_namespace(folder: str) -> str:
    """A namespace from a folder's name."""
    name = re.sub(r"[^a-z0-9_]", "_", folder.lower())[:22]
    return name if re.fullmatch(r"[a-z][a-z0-9_]*", name) else "app"


def text_of(plan: Plan) -> str:
    """The file."""
    regions = list(dict.fromkeys(place.region for place in plan.places if place.region))
    lines = [
        "# Written by `regionkit init`; `regionkit doctor` reports what is wrong or risky.",
        "# ${NAME} comes from the environment and is inserted after the URL was parsed: do not percent-encode it.",
        "",
        f'namespace = "{plan.namespace}"  # prefix of every table, key and queue that regionkit makes',
        'profile = "balanced"  # all time-outs at once: "gentle" for far regions, "aggressive" for near ones',
        f'bookmark_keys = ["${{{BOOKMARK_KEY}}}"]  # signs bookmarks: a random text of 32 characters or more; two while rotating',
    ]
    for region in regions:
        lines += ["", f"[regions.{region}]", '# jurisdiction = "US"  # what residency rules may name']
    lines += [
        "",
        f"[stores.{plan.store}]",
        f'backend = "{plan.backend}"',
        'strategy = "local-read-global-write"  # reads go to the nearest copy, writes to the primary'
        if plan.backend != "cassandra"
        else 'strategy = "local-read-global-write"  # any region takes reads and writes, the nearest first',
        '# residency = { allow = ["US"] }  # jurisdictions or regions that may hold the data; default everywhere',
    ]
    if plan.backend in CLUSTERS:
        lines += _cluster(plan)
    else:
        lines += [line for place in plan.places for line in _endpoint(plan.store, place)]
    return "\n".join(lines) + "\n"


def _cluster(plan: Plan) -> list[str]:
    lines = []
    if plan.backend == "mongo":
        lines += ["# every member that may be read or elected; the region of each is its member tag `region`"]
    lines += [f'url = "{plan.url}"']
    if plan.datacenters:
        named = ", ".join(f'"{region}" = "{name}"' for region, name in plan.datacenters)
        lines += [f"datacenters = {{ {named} }}  # data centres whose names differ from their regions"]
    elif plan.backend == "cassandra":
        lines += ['# datacenters = { us-east-1 = "dc1" }  # if a data centre has another name than its region']
    return lines + [f"# {place.region or place.url}: {place.note}" for place in plan.places if place.note]


def _endpoint(store: str, place: Place) -> list[str]:
    if not place.url:
        return ["", f"# a {place.role} exists, but its address is not complete. {place.note}"]
    note = [f"# {place.note}"] if place.note else []
    return [
        "",
        *note,
        f"[[stores.{store}.endpoints]]",
        f'region = "{place.region}"',
        f'role = "{place.role}"  # initial value; the role that the server reports takes precedence',
        f'url = "{place.url}"',
    ]
