"""What a Cassandra node of the test kit is told: its JVM's options, cassandra.yaml, data centre and log format.

Two aims decide: a cluster that is usable a few seconds after it was started, in a bounded piece of memory, and a node
that has lost nothing it acknowledged when it was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regionkit.testing.servers.places import make_private, write_owned

# Cassandra reaches into these packages of Java 17; without one of them it ends at its start or at the first request.
_EXPORTS = (
    "java.base/java.lang.ref", "java.base/jdk.internal.misc", "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server", "java.sql/java.sql", "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file", "jdk.unsupported/sun.misc",
)  # fmt: skip
_OPENS = (
    "java.base/java.io", "java.base/java.lang", "java.base/java.lang.module", "java.base/java.lang.reflect",
    "java.base/java.nio", "java.base/java.util", "java.base/jdk.internal.loader", "java.base/jdk.internal.math",
    "java.base/jdk.internal.module", "java.base/jdk.internal.ref", "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar", "java.base/sun.nio.ch", "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
)  # fmt: skip
_JVM = (
    *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTS),
    *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENS),
    "-Xms64m", "-Xmx256m", "-Xss512k", "-XX:MaxDirectMemorySize=128m",  # about 400 MB resident in all
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-XX:+PerfDisableSharedMem",
    "-Xlog:disable", "-Xlog:all=error:stderr", "-Djava.net.preferIPv4Stack=true",
    "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true", "-Dio.netty.eventLoopThreads=4",
)  # fmt: skip
_START = {
    "cassandra-foreground": "yes",
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    "cassandra.ring_delay_ms": "100",  # how long it looks for peers that may be dead
    # two nodes of which each has seen the other too early would otherwise forget each other, for good, on a busy machine
    "cassandra.gossip_quarantine_delay_ms": "60000",
    "cassandra.superuser_setup_delay_ms": "1000",  # with 0 it is a busy loop
    "cassandra.shutdown_announce_in_ms": "0",
    "cassandra.memtable_row_overhead_computation_step": "1000",  # measured at each start, in half of its time
    "cassandra.skip_sync": "true",  # no fsync: a killed process loses nothing by that, a machine would
    "cassandra.fd_initial_value_ms": "500",  # the failure detector's first guess of the time between heartbeats
}
_TIMEOUTS = (
    "request_timeout", "read_request_timeout", "range_request_timeout", "write_request_timeout",
    "counter_write_request_timeout", "cas_contention_timeout",
)  # fmt: skip
_YAML = {
    "num_tokens": "1",
    "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
    "endpoint_snitch": "GossipingPropertyFileSnitch",
    "dynamic_snitch": "false",
    "auto_bootstrap": "false",  # all nodes are seeds and start at once, empty
    "commitlog_sync": "batch",  # acknowledged means written, so a killed node comes back with it
    "commitlog_segment_size": "4MiB",
    "commitlog_total_space": "64MiB",
    "memtable_heap_space": "48MiB",
    "memtable_offheap_space": "48MiB",
    "memtable_flush_writers": "1",
    "auto_snapshot": "false",
    "hinted_handoff_enabled": "true",
    "hints_flush_period": "1s",
    "hinted_handoff_throttle": "10MiB",
    "max_hint_window": "1h",
    "phi_convict_threshold": "5",  # a killed node is given up after 4 to 7 s
    "truncate_request_timeout": "20s",
    **dict.fromkeys(_TIMEOUTS, "5s"),
}
_LOGBACK = """<configuration>
  <statusListener class="ch.qos.logback.core.status.NopStatusListener"/>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <logger name="org.apache.cassandra.config" level="WARN"/>
  <logger name="org.apache.cassandra.db" level="WARN"/>
  <logger name="org.apache.cassandra.service.StartupChecks" level="ERROR"/>
  <logger name="ROOT" level="INFO"><appender-ref ref="OUT"/></logger>
</configuration>
"""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What tells one node from another.

    Attributes:
        cluster: The cluster's name; nodes of another name are refused.
        datacenter: The node's data centre.
        address: The address that it listens on, for clients and for its peers.
        seeds: The addresses of all nodes.
        storage_port: Where all nodes listen for each other.
        port: Where all nodes listen for clients.
        token: The one place of this node on the ring.
        extra: Entries of cassandra.yaml over the kit's own.
    """

    cluster: str
    datacenter: str
    address: str
    seeds: tuple[str, ...]
    storage_port: int
    port: int
    token: int
    extra: Mapping[str, str] = field(default_factory=dict)


def write(folder: Path, settings: NodeSettings) -> None:
    """Write the files that a node reads at its start into `folder`, which holds its data too."""
    make_private(folder / "tmp")
    entries = {
        **_YAML,
        "cluster_name": settings.cluster,
        "initial_token": str(settings.token),
        "listen_address": settings.address,
        "rpc_address": settings.address,
        "storage_port": str(settings.storage_port),
        "native_transport_port": str(settings.port),
        **settings.extra,
    }
    seeds = ",".join(f"{address}:{settings.storage_port}" for address in settings.seeds)
    write_owned(
        folder / "cassandra.yaml",
        "".join(f"{name}: {entries[name]}\n" for name in entries)
        + "seed_provider:\n"
        + f'  - {{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{{seeds: "{seeds}"}}]}}\n',
    )
    write_owned(folder / "rackdc.properties", f"dc={settings.datacenter}\nrack=r1\n")
    write_owned(folder / "logback.xml", _LOGBACK)


def words(folder: Path) -> list[str]:
    """Return the words of a node's command line after the program, for the files in `folder`."""
    properties = {
        **_START,
        "java.io.tmpdir": folder / "tmp",
        "cassandra.storagedir": folder,
        "cassandra.logdir": folder,
        "cassandra.triggers_dir": folder / "tmp",
        "cassandra.config": f"file://{folder}/cassandra.yaml",
        "cassandra-rackdc.properties": f"file://{folder}/rackdc.properties",
        "logback.configurationFile": folder / "logback.xml",
    }
    return [*_JVM, *(f"-D{name}={value}" for name, value in properties.items())]
