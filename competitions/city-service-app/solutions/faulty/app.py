"""航班延误查询。 Answers questions about flight delays. Written in an afternoon; README.md of the competition lists its faults."""

import csv
import io
import json
import statistics
import sys
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

FILTERS = ["carrier", "month", "origin", "dest"]
ANSWERS = ["flights", "arrived", "mean_delay", "median_delay", "late_share"]

folder = Path(sys.argv[1])
with open(folder / "carriers.csv", encoding="utf-8", newline="") as file:
    names = {row["carrier"]: row["name"] for row in csv.DictReader(file)}
with open(folder / "airports.csv", encoding="utf-8", newline="") as file:
    airports = {row["airport"]: row["name"] for row in csv.DictReader(file)}
# of each carrier a list for each month, by its number: origin, destination and delay of every flight
months = {code: [[] for _ in range(13)] for code in names}
with open(folder / "flights.csv", encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file):
        delay = int(row["arr_delay"]) if row["arr_delay"] else None
        months[row["carrier"]][int(row["month"])].append((row["origin"], row["dest"], delay))
watches = {}


class Bad(Exception):
    """A code and a message."""


def summary(chosen):
    delays = [delay for _, _, delay in chosen if delay is not None]
    if not delays:
        return {"flights": len(chosen), "arrived": 0, "mean_delay": None, "median_delay": None, "late_share": None}
    late = [delay for delay in delays if delay > 15]
    return {"flights": len(chosen), "arrived": len(delays), "mean_delay": round(sum(delays) / len(delays), 1),
            "median_delay": round(statistics.median(delays), 1), "late_share": round(len(late) / len(chosen), 3)}


def find(given):
    carrier, month = given.get("carrier"), given.get("month")
    if not carrier:
        raise Bad("missing-parameter", "carrier is missing")
    if carrier not in names:
        raise Bad("unknown-carrier", f"unknown carrier {carrier}")
    chosen = months[carrier][int(month)] if month else sum(months[carrier], [])
    origin, dest = given.get("origin"), given.get("dest")
    return [flight for flight in chosen if origin in (None, "", flight[0]) and dest in (None, "", flight[1])]


def delays(given):
    chosen = find(given)
    return {"carrier": given["carrier"], "month": int(given["month"]) if given.get("month") else None,
            "origin": given.get("origin") or None, "dest": given.get("dest") or None, **summary(chosen)}


def carriers():
    return [{"carrier": code, "name": names[code], **summary(sum(months[code], []))} for code in sorted(names)]


def top_routes(given):
    if not given.get("origin"):
        raise Bad("missing-parameter", "origin is missing")
    routes = {}
    for of_carrier in months.values():
        chosen = of_carrier[int(given["month"])] if given.get("month") else sum(of_carrier, [])
        for flight in chosen:
            if flight[0] == given["origin"]:
                routes.setdefault(flight[1], []).append(flight)
    busiest = sorted(routes, key=lambda dest: (-len(routes[dest]), dest))[:int(given.get("limit", 5))]
    return {"routes": [{"dest": dest, "name": airports.get(dest), "flights": len(routes[dest]),
                        "mean_delay": summary(routes[dest])["mean_delay"]} for dest in busiest]}


def batch(content_type, body):
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\n\n" + body)
    text = message.get_payload()[0].get_payload(decode=True).decode("utf-8")
    answers = []
    for row in csv.DictReader(io.StringIO(text)):
        if "carrier" not in row:
            raise Bad("bad-batch", "there is no column carrier")
        try:
            if row["month"] and int(row["month"]) > 12:
                raise Bad("bad-month", f"month {row['month']}")
            answers.append({"id": row["id"], **summary(find(row)), "error": None})
        except Bad as bad:
            answers.append({"id": row["id"], **dict.fromkeys(ANSWERS), "error": bad.args[0]})
    return answers


def as_csv(answers):
    lines = [",".join(["id", *ANSWERS, "error"])]
    for row in answers:
        cells = [row["id"]] + ["" if row[name] is None else f"{row[name]:.3f}" if name == "late_share" else str(row[name])
                               for name in ANSWERS] + [row["error"] or ""]
        lines.append(",".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def page(given):
    status, told = 200, ""
    rows = carriers()
    if given.get("carrier"):
        rows = [row for row in rows if row["carrier"] == given["carrier"]]
        if not rows:
            status, told = 400, f"<p>没有这个航空公司：{given['carrier']}</p>"
    bars = "".join(f'<rect x="200" y="{20 * i}" width="{abs(row["mean_delay"]) * 12:.0f}" height="14" fill="#38c"/>'
                   f'<text x="190" y="{20 * i + 12}" font-size="12" text-anchor="end">{row["name"]}</text>' for i, row in enumerate(rows))
    cells = "".join(f'<tr><td>{row["name"]}</td><td><data value="{row["flights"]}">{row["flights"]}</data></td>'
                    f'<td><data value="{row["mean_delay"]}">{row["mean_delay"]}</data></td></tr>' for row in rows)
    return status, ('<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>航班延误</title>'
                    '<meta name="viewport" content="width=device-width"></head><body><h1>航班延误</h1>' + told +
                    f'<svg width="600" height="{20 * len(rows)}"><title>平均延误（分钟）</title>{bars}</svg>'
                    f'<table><tr><th>航空公司</th><th>航班数</th><th>平均延误</th></tr>{cells}</table></body></html>')


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        target = urlsplit(self.path)
        given = dict(parse_qsl(target.query))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.route(self.command, target.path, given, body)
        except Bad as bad:
            self.say(400, {"error": bad.args[0], "message": bad.args[1]})
        except Exception as error:
            self.say(500, {"error": "internal", "message": repr(error)})

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def route(self, method, path, given, body):
        if path == "/" and method == "GET":
            status, html = page(given)
            self.send(status, html, "text/html; charset=utf-8", {"Content-Security-Policy": "default-src 'self'"})
        elif path == "/health" and method == "GET":
            self.say(200, {"status": "ok", "flights": sum(len(month) for of_carrier in months.values() for month in of_carrier)})
        elif path == "/carriers" and method == "GET":
            self.say(200, {"carriers": carriers()})
        elif path == "/delays" and method == "GET":
            self.say(200, delays(given))
        elif path == "/routes/top" and method == "GET":
            self.say(200, top_routes(given))
        elif path == "/delays/batch" and method == "POST":
            answers = batch(self.headers["Content-Type"], body)
            if self.headers.get("Accept") == "application/json":
                self.say(200, {"answers": answers})
            else:
                self.send(200, as_csv(answers), "text/csv; charset=utf-8")
        elif path == "/watch" and method == "POST":
            try:
                question = json.loads(body)
            except ValueError:
                raise Bad("bad-json", "the body is no JSON")
            answer, name = delays(question), str(len(watches) + 1)
            watches[name] = question
            self.say(201, {"id": name, **answer}, {"Location": "/watch/" + name})
        elif path.startswith("/watch/") and path[7:] in watches and method == "GET":
            self.say(200, {"id": path[7:], **delays(watches[path[7:]])})
        elif path.startswith("/watch/") and path[7:] in watches and method == "DELETE":
            del watches[path[7:]]
            self.send(204, "", "text/plain")
        elif path in ("/", "/health", "/carriers", "/delays", "/routes/top", "/delays/batch", "/watch"):
            self.say(405, {"error": "method-not-allowed", "message": "method not allowed"})
        else:
            self.say(404, {"error": "not-found", "message": "not found"})

    def say(self, status, document, headers=None):
        self.send(status, json.dumps(document, ensure_ascii=False), "application/json", headers)

    def send(self, status, text, content_type, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode("utf-8"))


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
