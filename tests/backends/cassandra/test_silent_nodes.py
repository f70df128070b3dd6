"""Nodes that were silent come last for a while, and one request a while finds out whether they speak again."""

from __future__ import annotations

from typing import NamedTuple

from cassandra import OperationTimedOut
from cassandra.policies import RoundRobinPolicy

from regionkit.backends.cassandra.silent_nodes import SILENT_FOR, SilentNodes, SpeakersFirst


class Node(NamedTuple):
    """As the driver's, as far as is looked at."""

    endpoint: str


A, B, C = (Node(name) for name in "abc")


def test_a_silent_node_comes_last_until_a_trial_is_not_complained_of() -> None:
    """By the table, step by step; a time-out that names no node, and other errors, say nothing."""
    now = [100.0]
    nodes = SilentNodes(lambda: now[0])
    nodes.note(OperationTimedOut())
    nodes.note(ValueError())
    assert not nodes.comes_last(A)
    nodes.note(OperationTimedOut(last_host=A))
    assert nodes.comes_last(A) and not nodes.comes_last(B)
    now[0] += SILENT_FOR
    assert [nodes.comes_last(A) for _ in range(3)] == [False, True, True], "one request tries"
    nodes.note(OperationTimedOut(last_host=A))
    now[0] += SILENT_FOR
    assert [nodes.comes_last(A) for _ in range(3)] == [False, True, True]
    now[0] += SILENT_FOR
    assert [nodes.comes_last(A) for _ in range(3)] == [False] * 3, "nobody complained"


def test_the_drivers_order_is_kept_but_for_silent_nodes() -> None:
    """Where all are silent, all are asked still."""
    silent = SilentNodes()
    child = RoundRobinPolicy()
    policy = SpeakersFirst(child, silent)
    child._live_hosts, child._position = frozenset((A, B, C)), 0
    silent.note(OperationTimedOut(last_host=B))
    for _ in range(6):
        plan = list(policy.make_query_plan())
        assert len(plan) == 3 and plan[-1] is B
    for node in (A, C):
        silent.note(OperationTimedOut(last_host=node))
    assert {node.endpoint for node in policy.make_query_plan()} == set("abc")
