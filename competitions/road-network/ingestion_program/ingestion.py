"""Ingestion: hands one network to the submitted solution.py and keeps its estimates.

    python ingestion.py INPUT OUTPUT SUBMISSION

INPUT holds task.json, nodes.csv, edges.csv, trips.csv and queries.csv. The estimates of SUBMISSION/solution.py go to
OUTPUT/NAME.csv (query_id, minutes), where NAME is the network's. A submission without solution.py is a result
submission: the platform has copied its files to OUTPUT already, and there is nothing to do.
"""

import csv
import json
import math
import sys
import time
from pathlib import Path


def table(path, **kinds):
    """Rows of a CSV file as dicts; `kinds` says what each column is turned into."""
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: kinds[name](text) for name, text in row.items()} for row in csv.DictReader(file)]


def checked(estimates, queries):
    """The estimates as floats, or a message that says what is wrong with them."""
    estimates = list(estimates)
    if len(estimates) != len(queries):
        sys.exit(f"estimate() gave {len(estimates)} values for {len(queries)} queries. Return one for each, in order.")
    out = []
    for query, value in zip(queries, estimates):
        try:
            value = float(value)
        except (TypeError, ValueError):
            sys.exit(f"estimate() gave {value!r} for query {query['query_id']}. Return a number of minutes.")
        if not math.isfinite(value) or value <= 0:
            sys.exit(f"estimate() gave {value} for query {query['query_id']}. Return a finite number above 0.")
        out.append(value)
    return out


def main(input_dir, output_dir, submission_dir):
    name = json.loads((input_dir / "task.json").read_text(encoding="utf-8"))["name"]
    if not (submission_dir / "solution.py").is_file():
        print(f"{name}: no solution.py in the submission, so it is a result submission; nothing to run.")
        return

    nodes = {row["node"]: (row["x_km"], row["y_km"])
             for row in table(input_dir / "nodes.csv", node=int, x_km=float, y_km=float)}
    edges = table(input_dir / "edges.csv", **{"from": int, "to": int, "km": float, "kind": str, "limit_kmh": float})
    trips = table(input_dir / "trips.csv", **{"from": int, "to": int, "hour": int, "minutes": float})
    queries = table(input_dir / "queries.csv", **{"query_id": int, "from": int, "to": int, "hour": int})
    print(f"{name}: {len(nodes)} crossings, {len(edges)} streets, {len(trips)} trips, {len(queries)} queries")

    sys.path.insert(0, str(submission_dir))
    import solution

    start = time.monotonic()
    estimates = checked(solution.estimate(nodes, edges, trips, queries), queries)
    print(f"{name}: estimate() took {time.monotonic() - start:.2f} s")

    with open(output_dir / f"{name}.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["query_id", "minutes"])
        writer.writerows((query["query_id"], f"{value:.4f}") for query, value in zip(queries, estimates))
    print(f"{name}: wrote {name}.csv")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
