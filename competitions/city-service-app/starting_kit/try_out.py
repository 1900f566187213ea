"""向正在运行的应用提出公开的问题。 Asks a running app the public questions about delays.

    python try_out.py [http://127.0.0.1:8080]

It needs neither Docker nor the platform, and looks at /health and /delays alone; `shuyu dry-run` asks every public probe.
"""

import csv
import json
import sys
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

TABLES = Path(__file__).resolve().parent / "probes" / "public"
FILTERS = ["carrier", "month", "origin", "dest"]
ANSWERS = ["flights", "arrived", "mean_delay", "median_delay", "late_share"]
SHOWN = 10


def ask(address):
    """Status and document, or why there is none."""
    try:
        with urlopen(address, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")[:200]
    except (URLError, OSError, ValueError) as error:
        return None, str(error)


def main(app):
    status, document = ask(app + "/health")
    if status != 200:
        sys.exit(f"GET /health: {status or 'no answer'} {document}")
    print(f"GET /health: {document}")
    with open(TABLES / "questions.csv", encoding="utf-8", newline="") as file:
        questions = list(csv.DictReader(file))
    wrong = []
    for question in questions:
        target = "/delays?" + urlencode({name: question[name] for name in FILTERS if question[name]})
        status, document = ask(app + target)
        if not isinstance(document, dict):
            wrong.append(f"{target}: {status} {document}")
            continue
        for name in ANSWERS:
            found = document.get(name)
            if not isinstance(found, (int, float)) or abs(found - float(question[name])) > 0.0001:
                wrong.append(f"{target}: {name} is {found} and should be {question[name]}")
    for line in wrong[:SHOWN]:
        print(line)
    if len(wrong) > SHOWN:
        print(f"... and {len(wrong) - SHOWN} more")
    print(f"{len(questions)} questions, {len(wrong)} answers wrong or missing")


if __name__ == "__main__":
    main((sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080").rstrip("/"))
