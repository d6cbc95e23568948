"""What can be reached in a graph, and what goes round. Pure; nothing here recurses, however long the ways are."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import TypeAlias

#: Each node, with those that its edges lead to; those are nodes, too.
Graph: TypeAlias = Mapping[str, Collection[str]]


def reachable(graph: Graph, starts: Iterable[str], among: Container[str] | None = None) -> set[str]:
    """`starts`, and all that they lead to; of `among` only, when it is given."""
    reached = set(starts)
    waiting = list(reached)
    while waiting:
        others = graph[waiting.pop()]
        new = {other for other in others if among is None or other in among} - reached
        reached |= new
        waiting += new
    return reached


def reversed_graph(graph: Graph) -> dict[str, list[str]]:
    """The same, with every edge the other way round."""
    back: dict[str, list[str]] = {node: [] for node in graph}
    for node, others in graph.items():
        for other in others:
            back[other].append(node)
    return back


def within(graph: Graph, nodes: Collection[str]) -> dict[str, list[str]]:
    """`graph` without all but `nodes`, in its order."""
    return {
        node: [other for other in others if other in nodes] for node, others in graph.items() if node in nodes
    }


def loops(graph: Graph) -> list[list[str]]:
    """The largest sets of nodes in which each leads to itself through all others; each in the order of `graph`.

    Facts, from Kosaraju: whatever finished last, of those left, leads against the edges to its own set alone.
    """
    back, left = reversed_graph(graph), set(graph)
    found = []
    for node in reversed(_finished(graph)):
        if node in left:
            members = reachable(back, [node], among=left)
            left -= members
            if len(members) > 1 or node in graph[node]:
                found.append([member for member in graph if member in members])
    order = {node: number for number, node in enumerate(graph)}
    return sorted(found, key=lambda members: order[members[0]])


def _finished(graph: Graph) -> list[str]:
    """All nodes, each behind those that were first reached through it."""
    finished, seen = [], set()
    for start in graph:
        stack: list[tuple[str, Iterator[str]]] = [] if start in seen else [(start, iter(graph[start]))]
        seen.add(start)
        while stack:
            node, others = stack[-1]
            if (other := next((other for other in others if other not in seen), None)) is None:
                finished.append(node)
                stack.pop()
            else:
                seen.add(other)
                stack.append((other, iter(graph[other])))
    return finished
