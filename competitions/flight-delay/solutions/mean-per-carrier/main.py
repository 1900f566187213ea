"""Baseline 1: every flight is as late as its carrier was on average (各航空公司的平均延误).

    python main.py INPUT OUTPUT

INPUT holds train.csv and test.csv; OUTPUT receives predictions.csv (row_id, arr_delay).
Python's standard library is enough.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path


def main(input_dir, output_dir):
    total, count = defaultdict(float), defaultdict(int)
    with open(input_dir / "train.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            total[row["carrier"]] += float(row["arr_delay"])
            count[row["carrier"]] += 1
    overall = sum(total.values()) / sum(count.values())
    mean = {carrier: total[carrier] / count[carrier] for carrier in total}
    for carrier in sorted(mean, key=mean.get):
        print(f"{carrier}: {mean[carrier]:7.2f} min over {count[carrier]} flights")

    written = 0
    with open(input_dir / "test.csv", encoding="utf-8", newline="") as file, \
            open(output_dir / "predictions.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["row_id", "arr_delay"])
        for row in csv.DictReader(file):
            writer.writerow([row["row_id"], f"{mean.get(row['carrier'], overall):.3f}"])
            written += 1
    print(f"predictions.csv: {written} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
