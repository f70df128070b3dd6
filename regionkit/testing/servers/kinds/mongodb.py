"""MongoDB: one replica set with a member in each region, which the member tag `region` names. No accounts.

Roles move here as the set elects: `primary` and `replicas` are those of now. A set is made anew each time, because one
copied from a template would have the other's replica set id; what an idle set waits for is cut short instead.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from regionkit.testing.servers.nodes import Node, ServerSet, address_of, in_parallel, wait_until
from regionkit.testing.servers.places import make_private
from regionkit.testing.servers.process import ServerProcess
from regionkit.testing.servers.provider import Programs, ServerKind, ServerUnavailable, variable

if TYPE_CHECKING:
    from pymongo import MongoClient

KIND = ServerKind(
    name="mongodb",
    title="MongoDB",
    programs=(("mongod",),),
    folders=("/opt/homebrew/opt/mongodb-community*/bin", "/usr/local/opt/mongodb-community*/bin"),
    wheel="fiftyone:db/bin",
    together=True,
    tree=0,
    package="",
    formula="mongodb/brew/mongodb-community",
    extra="servers-mongo",
    contained=False,  # what a member calls itself is where clients look for it, and a container's port is another one
)
VERSION_PROGRAM = "mongod"

_OPTIONS = (
    "--bind_ip=127.0.0.1",
    "--nounixsocket",
    "--quiet",
    "--wiredTigerCacheSizeGB=0.25",
    "--wiredTigerEngineConfigString=log=(file_max=4MB,prealloc=false)",  # 4 MB a folder, else 300
    "--oplogSize=64",
    "--setParameter=enableTestCommands=1",  # failpoints
    "--setParameter=diagnosticDataCollectionEnabled=false",
    "--setParameter=shutdownTimeoutMillisForSignaledShutdown=0",
    "--setParameter=oplogNetworkTimeoutBufferSeconds=1",  # how long a member listens to a frozen one that it copies
)
_SETTINGS = {
    "electionTimeoutMillis": 500,
    "heartbeatIntervalMillis": 200,
    "heartbeatTimeoutSecs": 1,
    "catchUpTimeoutMillis": 500,
    "chainingAllowed": False,  # who copies from a member that is held stands still with it, and no majority is left
}
_ROLE_TIMEOUT = 30.0  # an election takes 0.5 to 2 s, and on a machine that is busy with other tests many times that
_STEP_DOWN = 10  # seconds in which one that stepped down is not elected again
_HOLD_TIMEOUT_MS = 4000  # an idle applier looks whether it is held once a second; the client hangs up after 5 s


@dataclass(frozen=True, slots=True)
class _Access:
    """What the URLs of a set have in common."""

    userinfo: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def url(self, nodes: Sequence[MongodbNode], database: str, **options: str) -> str:
        hosts = ",".join(node.address for node in nodes)
        return f"mongodb://{self.userinfo}{hosts}/{database}?{urlencode({**self.options, **options})}"


class _Mongod(ServerProcess):
    """A mongod process, which logs forty lines of farewell after the one that says why it ends."""

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-9000:]


class MongodbNode(Node):
    """One member of the replica set. Its name is its region.

    Attributes:
        region: What its member tag `region` says.
    """

    def __init__(self, region: str, access: _Access, programs: Programs | None, workspace: Path | None) -> None:
        super().__init__(region)
        self.region = region
        self._access = access
        self._programs = programs
        self._replica_set = ""
        self._peers: Sequence[MongodbNode] = ()
        if workspace is not None:
            self.data = make_private(workspace / region)
            self._lifecycle = _Mongod(
                f"MongoDB {region}", self._command, home=workspace, log=workspace / f"{region}.log"
            )

    @property
    def address(self) -> str:
        """Host and port, as the replica set calls this member."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL of this member alone, whatever its role, in database "test"."""
        return self.url_for("test")

    def url_for(self, database: str) -> str:
        """Return the URL of this member alone in `database`."""
        return self._access.url([self], database, directConnection="true")

    def client(self, **options: Any) -> MongoClient[dict[str, Any]]:
        """Return a new client of the `pymongo` package for this member alone, with these options; close it."""
        import pymongo

        return pymongo.MongoClient(self.url, **{"serverSelectionTimeoutMS": 2000, "socketTimeoutMS": 5000, **options})

    def admin(self, command: str, value: Any = 1, **arguments: Any) -> dict[str, Any]:
        """Run one command in database "admin", in a connection of its own; return the answer."""
        with self.client() as client:
            return dict(client.admin.command(command, value, **arguments))

    def start(self) -> None:
        """Start a stopped or killed member again, and return when it serves; a held one starts again unheld."""
        super().start()
        self._held = False

    def stop(self) -> None:
        """Shut the server down in order; a held one is let go first, because it cannot end while it is held."""
        if self._held and self.alive:
            self.thaw()
            self.resume_replay()
        super().stop()

    def pause_replay(self) -> None:
        """Hold a secondary at what it has applied, and return when it stands; it goes on receiving."""
        entered = self.admin("configureFailPoint", "rsSyncApplyStop", mode="alwaysOn")["count"]
        self._held = True
        wait_until(lambda: self._stands(entered + 1), f"{self.name} is held")

    def _stands(self, entered: int) -> bool:
        from pymongo.errors import ExecutionTimeout

        if (primary := _primary_of(self._peers)) is not None:
            primary._note()  # an idle member stands only after its next batch, or after a second
        try:
            self.admin("waitForFailPoint", "rsSyncApplyStop", timesEntered=entered, maxTimeMS=_HOLD_TIMEOUT_MS)
        except ExecutionTimeout:  # the machine is busy
            return False
        return True

    def resume_replay(self) -> None:
        """Let a held secondary apply again."""
        self.admin("configureFailPoint", "rsSyncApplyStop", mode="off")
        self._held = False

    def promote(self) -> None:
        """Let this member be elected, and return when it takes writes.

        Raises:
            TimeoutError: The others have not elected it; one that has stepped down cannot be elected for 10 s.
        """
        from pymongo.errors import PyMongoError

        def elected() -> bool:
            try:
                if client.admin.command("hello")["isWritablePrimary"]:
                    return True
                client.admin.command("replSetStepUp")
            except PyMongoError:  # they would not vote for it yet, or the change of roles closed the connection
                time.sleep(0.02)
            return False

        with self.client() as client:
            wait_until(elected, f"{self.name} is the primary", _ROLE_TIMEOUT)

    def _note(self) -> None:
        """Write a no-op to the history, so that the others have something to apply; lost if this is no primary."""
        from pymongo.errors import PyMongoError

        try:
            self.admin("appendOplogNote", data={"note": "regionkit"})
        except PyMongoError:
            pass

    def _hello(self) -> Mapping[str, Any]:
        """Return what this member says of itself; nothing when it does not answer."""
        from pymongo.errors import PyMongoError

        if not self.alive or self._lifecycle.frozen:
            return {}
        try:
            with self.client(serverSelectionTimeoutMS=1000, socketTimeoutMS=1000) as client:
                return dict(client.admin.command("hello"))
        except PyMongoError:
            return {}

    def _applies_from(self, primary: Node) -> bool:
        return self is not primary and not self._held and self.alive and not self._lifecycle.frozen

    def _await_position_of(self, primary: Node, timeout: float) -> None:
        assert isinstance(primary, MongodbNode)
        position = _position(primary.admin("hello"))
        wait_until(lambda: _position(self._hello()) >= position, f"{self.name} has applied {position}", timeout)

    def _command(self) -> list[str]:
        assert self._programs is not None
        words = [f"--port={self.port}", f"--dbpath={self.data}", f"--replSet={self._replica_set}"]
        return [str(self._programs.paths["mongod"]), *words, *_OPTIONS]

    def _answers(self) -> bool:
        socket.create_connection((self.host, self.port), 1).close()  # a driver asks only every half second
        with self.client() as client:
            if self._programs is not None:
                options = client.admin.command("getCmdLineOpts")["parsed"]
                if options["storage"]["dbPath"] != str(self.data):
                    return False
            hello = client.admin.command("hello")
            return not self._peers or hello["secondary"] or hello["isWritablePrimary"]

    def _configure(self) -> None:
        """The command line says it all."""


class MongodbServers(ServerSet[MongodbNode]):
    """A MongoDB replica set; see `servers.mongodb`."""

    kind = KIND

    def __init__(self, regions: Sequence[str]) -> None:
        if not regions or isinstance(regions, str) or len(set(regions)) < len(regions):
            raise ValueError(f"regions must be a list of names that differ, one for each member; it is {regions!r}")
        super().__init__(len(regions) - 1)
        self._regions = list(regions)
        self._access = _Access()
        self._replica_set = f"rs-{secrets.token_hex(4)}"  # no client of an older set takes this one for it

    @property
    def url(self) -> str:
        """The URL of the replica set, in database "test"."""
        return self.url_for("test")

    def url_for(self, database: str) -> str:
        """Return the URL of the replica set in `database`."""
        return self._access.url(self._nodes, database, replicaSet=self._replica_set)

    def node(self, region: str) -> MongodbNode:
        """Return the member in `region`."""
        for node in self._nodes:
            if node.region == region:
                return node
        raise KeyError(f"No member is in {region}; they are in {', '.join(self._regions)}")

    @property
    def primary(self) -> MongodbNode:
        """The member that is the primary now; the first region's at the start. Waits while there is none."""
        return self.wait_for_primary()

    @property
    def replicas(self) -> list[MongodbNode]:
        """The members that are not the primary now."""
        primary = self.primary
        return [node for node in self._nodes if node is not primary]

    def wait_for_primary(self, *, instead_of: MongodbNode | None = None, timeout: float = _ROLE_TIMEOUT) -> MongodbNode:
        """Return the primary as soon as there is one, other than `instead_of`.

        Raises:
            TimeoutError: There was none within `timeout` seconds.
        """
        nodes = [node for node in self._nodes if node is not instead_of]
        found: list[MongodbNode] = []

        def elected() -> bool:
            found.extend(filter(None, [_primary_of(nodes)]))
            return bool(found)

        wait_until(elected, "the replica set has a primary", timeout)
        return found[0]

    def step_down(self) -> MongodbNode:
        """Let the primary give its role up, for at least 10 s, and return the member that has it then.

        Raises:
            pymongo.errors.OperationFailure: No other member has caught up within 5 s; the primary remains.
            TimeoutError: None of the others was elected.
        """
        old = self.primary
        with old.client(socketTimeoutMS=_STEP_DOWN * 1000) as client:
            client.admin.command("replSetStepDown", _STEP_DOWN, secondaryCatchUpPeriodSecs=_STEP_DOWN // 2)
        return self.wait_for_primary(instead_of=old)

    def database(self, name: str | None = None) -> str:
        """Return the name of a database that is empty on the primary and on the replicas that are not held.

        Args:
            name: What to call it (an existing one of that name is dropped); by default a name never used before.
        """
        if name is None:
            return f"test_{secrets.token_hex(6)}"  # the first write makes it
        with self.primary.client() as client:
            client.drop_database(name)
        self.wait_for_replicas()
        return name

    def _boot(self, programs: Programs, workspace: Path) -> None:
        self._nodes = [MongodbNode(region, self._access, programs, workspace) for region in self._regions]
        for node in self._nodes:
            node._replica_set = self._replica_set
        in_parallel([node._launch for node in self._nodes])
        self._initiate()

    def _initiate(self) -> None:
        """Make the members a replica set whose first one is the primary; return when all of them replicate."""
        first, *others = self._nodes
        for node in others:  # each would wait a second for round-trip times before it chose a member to copy
            source = {"hostAndPort": first.address}
            node.admin("configureFailPoint", "forceSyncSourceCandidate", mode="alwaysOn", data=source)
        members = [
            {"_id": number, "host": node.address, "tags": {"region": node.region}}
            for number, node in enumerate(self._nodes)
        ]
        first.admin("replSetInitiate", {"_id": self._replica_set, "members": members, "settings": _SETTINGS})
        for node in self._nodes:
            node._peers = self._nodes

        def serve() -> bool:
            first.promote()  # again, should a busy machine have let another one win
            first._note()  # one that finds nothing new to copy waits a second before it looks again
            return all(node._hello().get("secondary") for node in others)

        wait_until(serve, "all members serve", _ROLE_TIMEOUT)
        for node in others:
            node._await_position_of(first, _ROLE_TIMEOUT)
            node.admin("configureFailPoint", "forceSyncSourceCandidate", mode="off")

    def _contain(self) -> None:
        raise NotImplementedError("this kind of server does not support it")

    def _adopt(self, urls: Sequence[str]) -> None:
        """Use the replica set of a URL that names all its members; its commas have been taken for those of a list."""
        parts = urlsplit(os.environ[variable(KIND)].strip())
        userinfo, at, hosts = parts.netloc.rpartition("@")
        options = dict(parse_qsl(parts.query))
        if userinfo:
            options.setdefault("authSource", parts.path.strip("/") or "admin")
        options.pop("replicaSet", None)
        self._access = _Access(userinfo + at, options)
        found: dict[str, MongodbNode] = {}
        for host in hosts.split(","):
            where = address_of(f"mongodb://{host}", 27017)
            node = MongodbNode("", self._access, None, None)
            node.host, node.port = where.hostname or "", where.port or 27017
            hello = node.admin("hello")
            self._replica_set = hello["setName"]
            node.name = node.region = hello.get("tags", {}).get("region", "")
            node._lifecycle = self._unmanaged(node.url)
            found[node.region] = node
        if missing := [region for region in self._regions if region not in found]:
            raise ServerUnavailable(
                f"{variable(KIND)} names no member with the tag region={' or '.join(missing)}; "
                f"found are {', '.join(sorted(found))}. Tag the members, or leave url out of REGIONKIT_TEST_PROVIDERS."
            )
        self._nodes = [found[region] for region in self._regions]
        for node in self._nodes:
            node._peers = self._nodes


def _primary_of(nodes: Iterable[MongodbNode]) -> MongodbNode | None:
    """Return who is the primary; of two, the later elected one: the other was frozen and has not noticed yet."""
    claims = {node: hello["electionId"] for node in nodes if (hello := node._hello()).get("isWritablePrimary")}
    return max(claims, key=claims.__getitem__, default=None)


def _position(hello: Mapping[str, Any]) -> tuple[int, Any]:
    """Return the term and the time of the last operation that a member has applied; no answer is before all."""
    if "lastWrite" not in hello:
        return -2, None  # terms begin with -1
    last = hello["lastWrite"]["opTime"]
    return last["t"], last["ts"]
