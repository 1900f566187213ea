"""Try solution.py on the published data: learn from four fifths of the trips, estimate the rest.

    python try_out.py INPUT_DATA

INPUT_DATA is the folder with old-town and new-district. Observed trips carry noise of about 8 %, so even a perfect
estimate shows a mean error of about 6 % here, and a smaller one on the leaderboard.
"""

import csv
import sys
from pathlib import Path

import solution


def table(path, **kinds):
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: kinds[name](text) for name, text in row.items()} for row in csv.DictReader(file)]


def main(folder):
    nodes = {row["node"]: (row["x_km"], row["y_km"])
             for row in table(folder / "nodes.csv", node=int, x_km=float, y_km=float)}
    edges = table(folder / "edges.csv", **{"from": int, "to": int, "km": float, "kind": str, "limit_kmh": float})
    trips = table(folder / "trips.csv", **{"from": int, "to": int, "hour": int, "minutes": float})
    known = [trip for i, trip in enumerate(trips) if i % 5]
    held_out = trips[::5]
    queries = [{"query_id": i, "from": t["from"], "to": t["to"], "hour": t["hour"]} for i, t in enumerate(held_out, 1)]
    errors = [abs(estimate - trip["minutes"]) / trip["minutes"]
              for estimate, trip in zip(solution.estimate(nodes, edges, known, queries), held_out)]
    print(f"{folder.name}: mean error {sum(errors) / len(errors):.1%}, "
          f"misleading {sum(error > 0.2 for error in errors) / len(errors):.1%}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python try_out.py INPUT_DATA")
    for name in ["old-town", "new-district"]:
        main(Path(sys.argv[1]) / name)
