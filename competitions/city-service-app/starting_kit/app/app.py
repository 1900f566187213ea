"""起点：两个接口和一个最简单的网页。 A starting point: two paths of the contract and the barest page.

    python3 app.py INPUT        INPUT 是数据文件夹 is the folder with the data; the port stands in PORT

按“接口约定”页补全其余部分。 Add the rest as the page Contract says. Only Python's standard library is used.
"""

import csv
import json
import os
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

JSON = "application/json; charset=utf-8"


def read_flights(folder):
    """Each carrier's flights: month, origin, destination and arrival delay, all as text."""
    flights = defaultdict(list)
    with open(Path(folder) / "flights.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            flights[row["carrier"]].append((row["month"], row["origin"], row["dest"], row["arr_delay"]))
    return flights


def delays(flights, query):
    """The answer to /delays: a status and a document. To be done: origin, dest, median, share, errors, rounding."""
    carrier, month = query.get("carrier", ""), query.get("month", "")
    if carrier not in flights:
        return 400, {"error": "unknown-carrier", "message": f"the carrier {carrier} is not in the data"}
    chosen = [delay for of_month, _, _, delay in flights[carrier] if month in ("", of_month)]
    arrived = [int(delay) for delay in chosen if delay]
    mean = sum(arrived) / len(arrived) if arrived else None
    return 200, {"carrier": carrier, "flights": len(chosen), "arrived": len(arrived), "mean_delay": mean}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        target = urlsplit(self.path)
        query = dict(parse_qsl(target.query))
        if target.path == "/health":
            self.say(200, {"status": "ok", "flights": sum(map(len, self.flights.values()))})
        elif target.path == "/delays":
            self.say(*delays(self.flights, query))
        elif target.path == "/":
            self.send(200, "<!doctype html><html lang=\"zh\"><title>我的航班应用</title><h1>我的航班应用</h1></html>", "text/html; charset=utf-8")
        else:
            self.say(404, {"error": "not-found", "message": f"there is nothing at {target.path}"})

    def say(self, status, document):
        self.send(status, json.dumps(document, ensure_ascii=False), JSON)

    def send(self, status, text, content_type):
        content = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    Handler.flights = read_flights(sys.argv[1])
    port = int(os.environ.get("PORT", "8080"))
    print(f"listening on http://127.0.0.1:{port}/", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
