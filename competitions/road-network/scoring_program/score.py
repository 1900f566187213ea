"""Scoring: compares estimates with the hidden travel times of one network.

    python score.py INPUT OUTPUT

INPUT/ref holds the answers as NAME.csv, where NAME is the network's, INPUT/res the estimates under the same name. Writes
OUTPUT/scores.json (mape, misleading, p95) and OUTPUT/detailed_results.html, which shows totals only: no answer, and
nothing of the hidden column p95.
"""

import csv
import html
import json
import math
import sys
from pathlib import Path

#: Beyond this relative error an estimate misleads the traveller.
MISLEADING = 0.20
#: Upper ends of the bars of the report, as relative errors.
BARS = [0.02, 0.05, 0.10, 0.15, 0.20, 0.30, 0.50, math.inf]


def minutes_by_query(path):
    """The column `minutes` by `query_id`; ends with a message when the file is not of that form."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        sys.exit(f"{path.name} is missing. Hand in one file for each network, or a solution.py.")
    except (UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"{path.name} is not a CSV file in UTF-8: {error}")
    out = {}
    for line, row in enumerate(rows, 2):
        try:
            query, minutes = int(row["query_id"]), float(row["minutes"])
        except (KeyError, TypeError, ValueError):
            sys.exit(f"{path.name}, line {line}: expected the columns query_id and minutes with numbers.")
        if query in out:
            sys.exit(f"{path.name}, line {line}: query_id {query} occurs twice.")
        if not math.isfinite(minutes):
            sys.exit(f"{path.name}, line {line}: minutes must be finite.")
        out[query] = minutes
    return out


def relative_errors(estimates, answers, name):
    """|estimate − answer| / answer for each query."""
    if missing := answers.keys() - estimates.keys():
        sys.exit(f"{name}.csv lacks {len(missing)} of {len(answers)} queries, the first is {min(missing)}.")
    if unknown := estimates.keys() - answers.keys():
        sys.exit(f"{name}.csv has {len(unknown)} unknown queries, the first is {min(unknown)}.")
    return [abs(estimates[query] - actual) / actual for query, actual in answers.items()]


def report(name, errors, shown):
    """A page with the scores in `shown` and how the errors are spread."""
    counts, low = [], 0.0
    for high in BARS:
        counts.append((low, high, sum(low <= error < high for error in errors)))
        low = high
    longest = max(count for _, _, count in counts)
    bars = []
    for i, (low, high, count) in enumerate(counts):
        label = f"{low:.0%}–{high:.0%}" if math.isfinite(high) else f"≥ {low:.0%}"
        bars.append(f'<text x="86" y="{i * 26 + 18}" text-anchor="end">{label}</text>'
                    f'<rect x="96" y="{i * 26 + 5}" width="{count / longest * 300:.0f}" height="18" fill="#00796b"/>'
                    f'<text x="{count / longest * 300 + 102:.0f}" y="{i * 26 + 18}">{count}</text>')
    cells = "".join(f"<tr><th>{key}</th><td>{value:.4f}</td></tr>" for key, value in shown.items())
    title = html.escape(f"{name}: 误差分布 Spread of errors")
    return (f'<!DOCTYPE html><html lang="zh-CN"><head><meta charset="utf-8"><title>{title}</title></head><body>'
            f"<h1>{title}</h1><table>{cells}</table>"
            f'<svg width="460" height="{len(BARS) * 26 + 8}" font-size="13" role="img"><title>{title}</title>'
            + "".join(bars) + "</svg></body></html>\n")


def main(input_dir, output_dir):
    [reference] = (input_dir / "ref").glob("*.csv")
    name = reference.stem
    answers = minutes_by_query(reference)
    errors = relative_errors(minutes_by_query(input_dir / "res" / f"{name}.csv"), answers, name)
    scores = {
        "mape": 100 * sum(errors) / len(errors),
        "misleading": 100 * sum(error > MISLEADING for error in errors) / len(errors),
        "p95": 100 * sorted(errors)[math.ceil(0.95 * len(errors)) - 1],
    }
    shown = {key: scores[key] for key in ["mape", "misleading"]}
    (output_dir / "scores.json").write_text(json.dumps(scores) + "\n", encoding="utf-8")
    (output_dir / "detailed_results.html").write_text(report(name, errors, shown), encoding="utf-8")
    print(f"{name}: {shown}")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:3]))
