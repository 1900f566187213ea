"""Sample solution: the fastest route at the speed limits, scaled to the observed trips.

示例：按限速求最快路线，再按各时段的观测校正。

The ingestion program calls estimate() once for each network. Python's standard library is enough.
"""

import heapq
from collections import defaultdict


def fastest(near, start):
    """Minutes from `start` to every crossing at the speed limits (Dijkstra)."""
    best, heap = {}, [(0.0, start)]
    while heap:
        minutes, node = heapq.heappop(heap)
        if node in best:
            continue
        best[node] = minutes
        for other, more in near[node]:
            if other not in best:
                heapq.heappush(heap, (minutes + more, other))
    return best


def estimate(nodes, edges, trips, queries):
    """Estimated minutes of each query, in order.

    nodes: {number: (x_km, y_km)}
    edges: [{"from", "to", "km", "kind", "limit_kmh"}], streets open in both directions
    trips: [{"from", "to", "hour", "minutes"}], observed, with noise
    queries: [{"query_id", "from", "to", "hour"}]
    """
    near = defaultdict(list)
    for edge in edges:
        minutes = edge["km"] / edge["limit_kmh"] * 60
        near[edge["from"]].append((edge["to"], minutes))
        near[edge["to"]].append((edge["from"], minutes))
    at_limit = {start: fastest(near, start) for start in {row["from"] for row in trips + queries}}

    observed, expected = defaultdict(float), defaultdict(float)
    for trip in trips:
        observed[trip["hour"]] += trip["minutes"]
        expected[trip["hour"]] += at_limit[trip["from"]][trip["to"]]
    factor = {hour: observed[hour] / expected[hour] for hour in observed}
    for hour in sorted(factor):
        print(f"{hour:2d}:00  {factor[hour]:.3f} times as long as at the speed limits")

    overall = sum(observed.values()) / sum(expected.values())
    return [at_limit[query["from"]][query["to"]] * factor.get(query["hour"], overall) for query in queries]
