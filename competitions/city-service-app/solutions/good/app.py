"""航班准点查询。 Answers questions about flights over HTTP.

    python3 app.py INPUT

INPUT holds flights.csv, carriers.csv and airports.csv; the port stands in PORT. Python's standard library is enough.
"""

import json
import os
import secrets
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import batch
import page
from flights import FILTERS, Flights, Refused

LARGEST_BODY = 2 << 20
WATCHES = 10_000
JSON = "application/json; charset=utf-8"


class Watches:
    """Questions that are watched, by id, as long as the app runs."""

    def __init__(self):
        self._lock, self._kept = threading.Lock(), {}

    def keep(self, question):
        with self._lock:
            if len(self._kept) >= WATCHES:
                raise Refused("too-many", f"{WATCHES} questions are watched already; delete one")
            name = secrets.token_urlsafe(8)
            self._kept[name] = question
            return name

    def get(self, name):
        with self._lock:
            return self._kept.get(name)

    def delete(self, name):
        with self._lock:
            return self._kept.pop(name, None) is not None


class Handler(BaseHTTPRequestHandler):
    """One request. `flights` and `watches` are set on the class before the server starts."""

    protocol_version = "HTTP/1.1"
    server_version = "FlightsOnTime/1.0"
    timeout = 15

    # what is asked

    def health(self):
        self.say(200, {"status": "ok", "flights": self.flights.count})

    def carriers(self):
        self.say(200, {"carriers": self.flights.carrier_list()})

    def delays(self):
        question = self.flights.question(self.query)
        self.say(200, {**question, **self.flights.answer(question)})

    def top_routes(self):
        self.say(200, self.flights.top_routes(self.query))

    def answer_batch(self):
        questions = batch.read(batch.uploaded(self.headers.get("Content-Type", ""), self.body))
        told = batch.answers(self.flights, questions)
        if "application/json" in self.headers.get("Accept", ""):
            self.say(200, {"answers": told})
        else:
            self.send(200, batch.as_csv(told), "text/csv; charset=utf-8")

    def start_watch(self):
        try:
            given = json.loads(self.body)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise Refused("bad-json", "send a JSON object such as {\"carrier\": \"UA\", \"month\": 3}")
        question = self.flights.question({name: given.get(name) for name in FILTERS})
        name = self.watches.keep(question)
        self.say(201, {"id": name, **question, **self.flights.answer(question)}, {"Location": f"/watch/{name}"})

    def watch(self):
        question = self.watches.get(self.name)
        if question is None:
            self.not_found()
        else:
            self.say(200, {"id": self.name, **question, **self.flights.answer(question)})

    def end_watch(self):
        if self.watches.delete(self.name):
            self.send(204, "", None)
        else:
            self.not_found()

    def show_page(self):
        status, html = page.render(self.flights, self.query, self.headers.get("Accept-Language", ""))
        self.send(status, html, "text/html; charset=utf-8", page.HEADERS)

    # how it is answered

    ROUTES = {
        "/": {"GET": show_page},
        "/health": {"GET": health},
        "/carriers": {"GET": carriers},
        "/delays": {"GET": delays},
        "/delays/batch": {"POST": answer_batch},
        "/routes/top": {"GET": top_routes},
        "/watch": {"POST": start_watch},
        "/watch/": {"GET": watch, "DELETE": end_watch},
    }

    def answer(self):
        target = urlsplit(self.path)
        self.query = dict(parse_qsl(target.query))
        path, self.name = target.path, None
        if path.startswith("/watch/"):
            path, self.name = "/watch/", unquote(path[len("/watch/"):])
        methods = self.ROUTES.get(path)
        if not self.read_body():
            return
        if methods is None:
            return self.not_found()
        method = "GET" if self.command == "HEAD" else self.command
        if method not in methods:
            allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
            return self.fault(405, "method-not-allowed", f"{self.command} is not possible here, only {allowed}", {"Allow": allowed})
        try:
            methods[method](self)
        except Refused as refused:
            self.fault(400, refused.code, refused.message)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_body(self):
        """Reads what the request carries; answers by itself, and says so, where that cannot be done."""
        self.body, length = b"", self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length[:12]) > LARGEST_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.fault(413, "too-large", f"send at most {LARGEST_BODY} bytes, with a Content-Length")
            return False
        self.body = self.rfile.read(int(length))
        return True

    def not_found(self):
        self.fault(404, "not-found", f"there is nothing at {urlsplit(self.path).path}")

    def fault(self, status, code, message, headers=None):
        self.say(status, {"error": code, "message": message}, headers)

    def say(self, status, document, headers=None):
        self.send(status, json.dumps(document, ensure_ascii=False), JSON, headers)

    def send(self, status, text, content_type, headers=None):
        content = text.encode("utf-8")
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        """Keeps quiet: a line for each request tells nobody anything."""


def main(folder):
    Handler.flights, Handler.watches = Flights(folder), Watches()
    port = int(os.environ.get("PORT", "8080"))
    print(f"{Handler.flights.count} flights; listening on 127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: app.py INPUT")
    main(sys.argv[1])
