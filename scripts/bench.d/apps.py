"""Apps: 25 probes against a small app, POST to score with a run container waiting, against starting the same app by
bare `docker run` and sending the same requests with one curl."""

import io
import json
import shutil
import socket
import statistics
import subprocess
import time
import uuid
import zipfile

SLUG = "bench-app"
PROBES = 25
APP = """\
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = {name: int(values[0]) for name, values in parse_qs(urlparse(self.path).query).items()}
        body = json.dumps({"sum": sum(asked.values())}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
MANIFEST = "name: sums\ncommand: python3 $program/app.py\nport: 8000\nhealth: /\n"


def bundle(folder):
    """A competition whose only task asks 25 probes."""
    root = folder / SLUG
    (root / "probes").mkdir(parents=True)
    for name, text in [("terms.md", "Be kind."), ("page.md", "# Bench")]:
        (root / name).write_text(text)
    (root / "logo.png").write_bytes(b"\x89PNG")
    probes = [f"  - {{name: p{n}, request: {{path: /add, query: {{a: {n}, b: 1}}}}, "
              f"expect: {{status: 200, json: [{{path: $.sum, equals: {n + 1}}}]}}}}" for n in range(PROBES)]
    (root / "probes" / "all.yaml").write_text("visibility: public\nprobes:\n" + "\n".join(probes) + "\n")
    (root / "competition.yaml").write_text(
        "version: 2\ntitle: Bench\nimage: logo.png\nterms: terms.md\ndocker_image: shuyu/python:latest\n"
        "registration_auto_approve: true\npages: [{title: Overview, file: page.md}]\ntasks: [{index: 0, name: app}]\n"
        "phases: [{index: 0, name: open, start: 2020-01-01, tasks: [0], max_submissions_per_day: 0, max_submissions: 0}]\n"
        "leaderboards: [{title: Board, key: main, submission_rule: Force_Best, columns: [{title: P, key: pass_rate, index: 0, sorting: desc}]}]\n"
        "shuyu: {tasks: {0: {probes: probes/all.yaml}}}\n")
    return root


def packed():
    """The app, a little different each time: the same bytes are the same submission."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.yaml", MANIFEST)
        archive.writestr("app.py", f"# {uuid.uuid4()}\n{APP}")
    return content.getvalue()


def bare(image, program, port):
    """The seconds from `docker run` to the last of curl's 25 answers."""
    name = f"shuyu-bench-{uuid.uuid4().hex[:8]}"
    begin = time.perf_counter()
    subprocess.run(["docker", "run", "-d", "--rm", "--name", name, "--network", "host", "-e", f"PORT={port}",
                    "-v", f"{program}:/app/program:ro", image, "python3", "/app/program/app.py"],
                   check=True, capture_output=True)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.002)
    urls = [f"http://127.0.0.1:{port}/add?a={n}&b=1" for n in range(PROBES)]
    answers = subprocess.run(["curl", "-sS", "-w", "\n", *urls], check=True, capture_output=True, text=True).stdout.split("\n")
    took = time.perf_counter() - begin
    assert [json.loads(line)["sum"] for line in answers if line] == [n + 1 for n in range(PROBES)]
    subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)
    return took


def measure(tools, binary, folder, port):
    """Adds the line to the table."""
    if not shutil.which("curl"):
        raise SystemExit("the baseline of apps needs curl: apt-get install curl")
    root, program = bundle(folder), folder / "program"
    program.mkdir()
    (program / "app.py").write_text(APP)
    service = tools.Service(binary, folder, port)
    service.seed([root])
    ours, theirs = [], []
    with service:
        client = service.contestant(SLUG)
        for attempt in range(9):
            if attempt:
                tools.until_counted(client, "shuyu_run_containers_waiting", 2)
            begin = time.perf_counter()
            client.wait(client.submit(SLUG, "app.zip", packed()))
            middle = time.perf_counter()
            took = bare(tools.IMAGE, program, tools.free_port())
            if attempt:
                ours.append(middle - begin)
                theirs.append(took)
    tools.report("apps: 25 probes, POST to score", statistics.median(ours), statistics.median(theirs), "≤ 0.5")
