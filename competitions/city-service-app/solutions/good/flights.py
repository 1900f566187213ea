"""航班数据与统计。 The flights, and what can be said about them.

Delays are kept in groups of one carrier, month, origin and destination; a question joins the groups that it concerns.
Everything is reckoned in whole numbers, so that rounding is exact.
"""

import csv
from collections import defaultdict
from pathlib import Path

LATE_MINUTES = 15
FILTERS = ("carrier", "month", "origin", "dest")


class Refused(Exception):
    """A question that cannot be answered: a code for programs and a message for people."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def rounded(numerator, denominator, places):
    """A quotient with so many decimals, half away from zero."""
    tenfold = 10**places
    scaled = (2 * abs(numerator) * tenfold + denominator) // (2 * denominator)
    return (-scaled if numerator < 0 else scaled) / tenfold


class Group:
    """Flights counted, and the arrival delays of those that arrived."""

    def __init__(self):
        self.flights, self.delays = 0, []

    def add(self, delay):
        self.flights += 1
        if delay:
            self.delays.append(int(delay))

    def join(self, other):
        self.flights += other.flights
        self.delays.extend(other.delays)

    def answer(self):
        """The five numbers of the contract; nothing where no flight arrived."""
        told = {"flights": self.flights, "arrived": len(self.delays),
                "mean_delay": None, "median_delay": None, "late_share": None}
        if self.delays:
            ordered, count = sorted(self.delays), len(self.delays)
            middle = ordered[(count - 1) // 2] + ordered[count // 2]
            late = sum(delay > LATE_MINUTES for delay in ordered)
            told.update(mean_delay=rounded(sum(ordered), count, 1), median_delay=rounded(middle, 2, 1),
                        late_share=rounded(late, count, 3))
        return told


class Flights:
    """Every flight of the folder with the competition's data."""

    def __init__(self, folder):
        self.carriers = dict(sorted(self._names(Path(folder) / "carriers.csv")))
        self.airports = dict(self._names(Path(folder) / "airports.csv"))
        self.groups, self.count = defaultdict(Group), 0
        with open(Path(folder) / "flights.csv", encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            place = {name: number for number, name in enumerate(next(rows))}
            carrier, month, origin, dest, delay = (place[name] for name in FILTERS + ("arr_delay",))
            for row in rows:
                self.groups[row[carrier], row[month], row[origin], row[dest]].add(row[delay])
                self.count += 1
        self.origins = {key[2] for key in self.groups}
        self.dests = {key[3] for key in self.groups}
        self.by_carrier = defaultdict(list)
        for key, group in self.groups.items():
            self.by_carrier[key[0]].append((key, group))
        self._known = {}

    @staticmethod
    def _names(path):
        with open(path, encoding="utf-8", newline="") as file:
            return [tuple(row) for row in csv.reader(file)][1:]

    def question(self, given):
        """What is asked, checked: carrier, month (a number), origin and dest; nothing for what is left open."""
        text = {name: str(given.get(name) if given.get(name) is not None else "").strip() for name in FILTERS}
        if not text["carrier"]:
            raise Refused("missing-parameter", "say which carrier, such as carrier=UA; /carriers lists them")
        self._one_of(self.carriers, text["carrier"], "carrier", "unknown-carrier")
        if text["origin"]:
            self._one_of(self.origins, text["origin"], "origin", "unknown-origin")
        if text["dest"]:
            self._one_of(self.dests, text["dest"], "dest", "unknown-dest")
        return {"carrier": text["carrier"], "month": self.month(text["month"]),
                "origin": text["origin"] or None, "dest": text["dest"] or None}

    @staticmethod
    def _one_of(known, code, what, error):
        if code not in known:
            raise Refused(error, f"{what} {code} is not in the data")

    @staticmethod
    def month(text):
        """A month as a number, or nothing for an empty text."""
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:3]) <= 12):
            raise Refused("bad-month", f"month is a whole number from 1 to 12, and {text} is none")
        return int(text)

    def answer(self, question):
        """The five numbers for a question that was checked."""
        key = tuple(question[name] for name in FILTERS)
        if key not in self._known:
            wanted = [None if value is None else str(value) for value in key]
            joined = Group()
            for parts, group in self.by_carrier[key[0]]:
                if all(want is None or want == part for want, part in zip(wanted, parts)):
                    joined.join(group)
            # at most as many as there are combinations of codes that exist
            self._known[key] = joined.answer()
        return dict(self._known[key])

    def carrier_list(self):
        """Every carrier with its numbers, by code."""
        listed = []
        for code, name in self.carriers.items():
            told = self.answer({"carrier": code, "month": None, "origin": None, "dest": None})
            listed.append({"carrier": code, "name": name, **{k: told[k] for k in told if k != "median_delay"}})
        return listed

    def top_routes(self, given):
        """The busiest routes from an airport."""
        origin, limit = given.get("origin", ""), given.get("limit", "") or "5"
        if not origin:
            raise Refused("missing-parameter", "say which origin, such as origin=JFK")
        self._one_of(self.origins, origin, "origin", "unknown-origin")
        month = self.month(given.get("month", ""))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:4]) <= 50):
            raise Refused("bad-limit", f"limit is a whole number from 1 to 50, and {limit} is none")
        routes = defaultdict(Group)
        for (_, of_month, start, dest), group in self.groups.items():
            if start == origin and month in (None, int(of_month)):
                routes[dest].join(group)
        busiest = sorted(routes, key=lambda dest: (-routes[dest].flights, dest))[:int(limit)]
        told = [{"dest": dest, "name": self.airports.get(dest), "flights": routes[dest].flights,
                 "mean_delay": routes[dest].answer()["mean_delay"]} for dest in busiest]
        return {"origin": origin, "month": month, "limit": int(limit), "routes": told}
