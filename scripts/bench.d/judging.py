"""A jury of 30 judges and 300 entries on SQLite, for scripts/bench: rows as the service itself would have
written them, and the pages of judging timed one by one."""

import http.client
import json
import random
import statistics
import time
import urllib.parse
import uuid

ENTRIES, JUDGES, PER_ENTRY = 300, 30, 3
CRITERIA = ["usefulness", "novelty", "craft", "clarity", "reach"]
# the whole server's time for a page, over loopback
TARGET = "≤ 50"

JUDGING = """  judging:
    judges_per_entry: 3
    normalisation: zscore
    disagreement: {threshold: 30}
    ties: [judged, earlier]
    rubric:
      criteria:
""" + "".join(
    f"""        - key: {key}
          title: {{zh: {key}, en: {key.capitalize()}}}
          description: {{zh: 说明, en: What to look at when marking this}}
          anchors: {{0: {{zh: 差, en: poor}}, 5: {{zh: 可用, en: usable}}, 10: {{zh: 很好, en: very good}}}}
"""
    for key in CRITERIA
)


def fill(db):
    """People, teams, entries and judges who accepted; gives the logins of the judges."""
    now = int(time.time() * 1000)
    pick = random.Random(11)
    (competition,) = db.execute("SELECT id FROM competitions WHERE slug = 'bench-judging'").fetchone()
    (password,) = db.execute("SELECT password FROM users WHERE login = 'contestant'").fetchone()
    ids = lambda count: [str(uuid.UUID(int=(now << 80) | (7 << 76) | (2 << 62) | pick.getrandbits(60))) for _ in range(count)]

    def person(identity, login):
        db.execute(
            "INSERT INTO users (id, login, name, email, password, locale, created_at) VALUES (?, ?, ?, ?, ?, 'en', ?)",
            (identity, login, f"Person {login}", f"{login}@example.org", password, now),
        )

    numbers = pick.sample(range(100, 1000), ENTRIES)
    words = "A map of delays by carrier and month, with the weather beside it and a word for each station. "
    for index, (user, team, entry) in enumerate(zip(ids(ENTRIES), ids(ENTRIES), ids(ENTRIES))):
        person(user, f"team{index}")
        db.execute(
            "INSERT INTO participants (competition_id, user_id, state, terms_digest, registered_at) VALUES (?, ?, 'approved', '', ?)",
            (competition, user, now),
        )
        db.execute(
            "INSERT INTO teams (id, competition_id, name, created_at, created_by, touched_at) VALUES (?, ?, ?, ?, ?, ?)",
            (team, competition, f"Team {index}", now, user, now),
        )
        db.execute(
            "INSERT INTO memberships (team_id, competition_id, user_id, joined_at) VALUES (?, ?, ?, ?)",
            (team, competition, user, now),
        )
        content = {"title": f"Delays {index}", "summary": words * 5, "report": ("## Part\n\n" + words * 8 + "\n\n") * 6}
        db.execute(
            "INSERT INTO entries (id, competition_id, team_id, number, state, submitted_version, created_at, created_by, "
            "submitted_at, submitted_by) VALUES (?, ?, ?, ?, 'submitted', 1, ?, ?, ?, ?)",
            (entry, competition, team, numbers[index], now, user, now, user),
        )
        db.execute(
            "INSERT INTO entry_drafts (entry_id, content, revision, changed_by, changed_at) VALUES (?, ?, 1, ?, ?)",
            (entry, json.dumps(content), user, now),
        )
        db.execute(
            "INSERT INTO entry_versions (entry_id, version, cause, title, content, made_at, made_by) VALUES (?, 1, 'submitted', ?, ?, ?, ?)",
            (entry, content["title"], json.dumps(content), now, user),
        )
    panel = db.execute("SELECT id FROM panels WHERE competition_id = ?", (competition,)).fetchone()[0]
    for index, user in enumerate(ids(JUDGES)):
        person(user, f"judge{index}")
        db.execute(
            "INSERT INTO judges (panel_id, user_id, competition_id, chair, state, appointed_at, changed_at) VALUES (?, ?, ?, ?, 'accepted', ?, ?)",
            (panel, user, competition, int(index == 0), now, now),
        )
        db.execute(
            "INSERT INTO roles (user_id, competition_id, role, granted_at, granted_by) VALUES (?, ?, 'judge', ?, '')",
            (user, competition, now),
        )
    db.commit()
    return panel


def mark(db, share):
    """Marks for so much of what was drawn."""
    now = int(time.time() * 1000)
    pick = random.Random(13)
    rows = db.execute("SELECT id FROM assignments WHERE state = 'assigned'").fetchall()
    for (assignment,) in rows[: int(len(rows) * share)]:
        marks = {key: float(pick.randint(2, 10)) for key in CRITERIA}
        sheet = json.dumps({"marks": marks, "to_team": "Well made; say where the data ends. " * 3, "to_jury": "Better than most."})
        db.execute(
            "UPDATE assignments SET state = 'submitted', sheet = ?, version = 2, saved_at = ?, submitted_at = ? WHERE id = ?",
            (sheet, now, now, assignment),
        )
    db.commit()


class Browser:
    """A keep-alive connection with a session."""

    def __init__(self, port, login, password):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.base, self.cookies = f"http://127.0.0.1:{port}", {}
        self.post("/login", {"login": login, "password": password})

    def ask(self, method, path, body=None, headers=()):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.http.request(method, path, body, {"Cookie": cookies, "Accept-Language": "en", **dict(headers)})
        answer = self.http.getresponse()
        content = answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        if answer.status not in (200, 303):
            raise SystemExit(f"{method} {path}: {answer.status} {content[:600].decode(errors='replace')}")
        return content.decode()

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, fields):
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.base, "Sec-Fetch-Site": "same-origin"}
        return self.ask("POST", path, urllib.parse.urlencode(fields), headers)

    def timed(self, path, times=30):
        """The median of a page's time in milliseconds, and its bytes."""
        spent = []
        for _ in range(times):
            begin = time.perf_counter()
            page = self.get(path)
            spent.append((time.perf_counter() - begin) * 1000)
        return statistics.median(spent), len(page.encode())


def pages(report, port, db, password):
    """Draws, marks, and times every page of judging."""
    panel = fill(db)
    chair, judge = Browser(port, "judge0", password), Browser(port, "judge1", password)
    organizer = Browser(port, "organizer", password)
    base, desk = "/competitions/bench-judging/judging", "/competitions/bench-judging/desk/judging"
    begin = time.perf_counter()
    organizer.post(f"{desk}/{panel}/open", {})
    report("judging: drawing 300 entries among 30", time.perf_counter() - begin, None, "")
    mark(db, 0.6)
    numbers = [part.split('"')[0] for part in judge.get(base).split(f'<li><a href="{base}/')[1:]]

    def page(what, browser, path):
        spent, size = browser.timed(path)
        report(f"judging: {what} ({size // 1024} KiB)", spent, None, TARGET, "ms")

    page("where one judges", judge, "/judging")
    page("a judge's list", judge, base)
    page("an entry to mark", judge, f"{base}/{numbers[-1]}")
    page("the desk while marking", organizer, f"{desk}?panel={panel}")
    page("the chair's desk", chair, f"{desk}?panel={panel}")
    page("the rubric", organizer, f"{desk}/rubric")
    mark(db, 1.0)
    chair.post(f"{desk}/{panel}/close", {})
    page("results", organizer, f"{desk}/{panel}/results")
    page("the marks of an entry", chair, f"{desk}/{panel}/entries/{numbers[0]}")
    page("the page to print", organizer, f"{desk}/{panel}/print")
    page("the minutes", organizer, f"{desk}/{panel}/minutes")
    chair.post(f"{desk}/{panel}/sign", {"password": password})
    page("results, signed", organizer, f"{desk}/{panel}/results")
    organizer.post(f"{desk}/{panel}/publish", {"on": "yes"})
    page("the published ranking", Browser(port, "team7", password), "/competitions/bench-judging/judged")
