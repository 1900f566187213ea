"""成批的问题。 Files of questions: taken out of an upload, answered, written as CSV."""

import csv
import io
from email.parser import BytesParser
from email.policy import HTTP

from flights import FILTERS, Refused

ANSWERS = ("flights", "arrived", "mean_delay", "median_delay", "late_share")
MOST = 1000


def uploaded(content_type, body):
    """The text of the field `questions` of a multipart upload."""
    if not content_type.lower().startswith("multipart/form-data"):
        raise Refused("bad-batch", "upload the file as multipart/form-data, in the field questions")
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "questions":
            try:
                return (part.get_payload(decode=True) or b"").decode("utf-8-sig")
            except UnicodeDecodeError:
                raise Refused("bad-batch", "save the file as CSV in UTF-8")
    raise Refused("bad-batch", "the upload has no field questions")


def read(text):
    """The rows of a file of questions, as dicts."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in ("id", "carrier") if name not in (rows.fieldnames or [])]
    if missing:
        raise Refused("bad-batch", f"the file lacks the column {missing[0]}; the first line names the columns")
    questions = [row for _, row in zip(range(MOST + 1), rows)]
    if len(questions) > MOST:
        raise Refused("bad-batch", f"{MOST} questions are the most in one file")
    return questions


def answers(flights, questions):
    """An answer for each question, in order; a question that cannot be answered has an error instead."""
    told = []
    for row in questions:
        try:
            question = flights.question({name: row.get(name) for name in FILTERS})
            told.append({"id": row["id"], **flights.answer(question), "error": None})
        except Refused as refused:
            told.append({"id": row["id"], **dict.fromkeys(ANSWERS), "error": refused.code})
    return told


def as_csv(told):
    """The answers as CSV, numbers with the decimals of the contract."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("id",) + ANSWERS + ("error",))
    for row in told:
        numbers = [number(row[name], name) for name in ANSWERS]
        writer.writerow([row["id"], *numbers, row["error"] or ""])
    return out.getvalue()


def number(value, name):
    """A number of an answer as text; empty for none."""
    if value is None:
        return ""
    places = {"mean_delay": 1, "median_delay": 1, "late_share": 3}.get(name, 0)
    return f"{value:.{places}f}"
