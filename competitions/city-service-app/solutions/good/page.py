"""网页：一张图、一张表、一句话。 The page: a chart, the table behind it, and a sentence.

Drawn on the server as SVG; without scripts and without the network. Colours keep a contrast of 4.5 to 1 in light and dark.
"""

from html import escape

from batch import number
from flights import Refused

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"}

WORDS = {
    "zh": dict(
        lang="zh-CN", other="en", switch="English", title="航班准点查询", all="全部航空公司", carrier="航空公司", month="月份", any="全部",
        show="查询", months=[f"{number} 月" for number in range(1, 13)], numbers="图中的数字", lead="2013 年 1–8 月从纽约三个机场出发的航班，到达时比计划晚多少分钟。", flights="航班数", arrived="到达数",
        mean="平均晚到（分钟）", median="中位数（分钟）", late="晚到 15 分钟以上的比例", chart_all="各航空公司平均晚到分钟数",
        chart_one="{0} 各月平均晚到分钟数", none="没有航班", skip="跳到结果", note="晚到为负数表示提前。取消和改降的航班计入航班数，不计入到达数和平均值。",
        sentence="{0}：共 {1} 个航班，{2} 个到达，平均晚到 {3} 分钟，{4} 的航班晚到超过 15 分钟。", empty="{0} 在所选月份没有到达的航班（计划 {1} 个）。",
        sorry="无法回答这个问题", unknown="数据中没有所填的航空公司、机场或月份。请在下面重新选择。"),
    "en": dict(
        lang="en", other="zh", switch="中文", title="Flights on time", all="All carriers", carrier="Carrier", month="Month", any="All",
        show="Show", numbers="The numbers of the chart",
        months="January February March April May June July August September October November December".split(), lead="How many minutes late flights from New York's three airports arrived, January to August 2013.",
        flights="Flights", arrived="Arrived", mean="Mean delay (min)", median="Median (min)", late="More than 15 min late",
        chart_all="Mean arrival delay of each carrier, in minutes", chart_one="Mean arrival delay of {0} by month, in minutes", none="no flights",
        skip="Skip to the result", note="A negative delay is an early arrival. Cancelled and diverted flights count as flights, not as arrivals, and enter no mean.",
        sentence="{0}: {1} flights, {2} arrived, {3} minutes late on average; {4} of them more than 15 minutes late.",
        empty="{0} has no flight that arrived in the chosen month ({1} were planned).",
        sorry="This question cannot be answered", unknown="The data has no such carrier, airport or month. Please choose again below."),
}

STYLE = """
:root{color-scheme:light dark;--ink:#1c2733;--soft:#51606e;--paper:#fff;--line:#c9d2da;--late:#a8471b;--early:#1b6a4b;--accent:#0b5a8c}
@media(prefers-color-scheme:dark){:root{--ink:#e8eef3;--soft:#a9b6c1;--paper:#14191e;--line:#3b4650;--late:#f0a27c;--early:#7fd0ac;--accent:#8cc7f0}}
body{font:1rem/1.6 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;max-width:56rem;padding:1rem}
a{color:var(--accent)}.skip{position:absolute;left:-99rem}.skip:focus{left:1rem}header{display:flex;justify-content:space-between;align-items:baseline;gap:1rem}
h1{font-size:1.6rem;margin:.4rem 0}form{display:flex;flex-wrap:wrap;gap:1rem;align-items:end;margin:1rem 0}label{display:grid;gap:.2rem;max-width:100%}
select,button{font:inherit;min-height:2.75rem;padding:0 .8rem;max-width:100%}button{background:var(--accent);color:var(--paper);border:0;border-radius:.3rem}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}.answer{font-size:1.15rem}figure{margin:1.5rem 0}figcaption{font-weight:600}
svg{width:100%;max-width:38rem;height:auto}svg text{font:14px system-ui,sans-serif;fill:var(--ink)}.late{fill:var(--late)}.early{fill:var(--early)}.axis{stroke:var(--soft)}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}caption{text-align:start;font-weight:600}
th,td{padding:.4rem .6rem;border-bottom:1px solid var(--line);text-align:end}th:first-child,td:first-child{text-align:start}.note{color:var(--soft)}
"""


def render(flights, query, accepted):
    """Status and HTML for what was chosen."""
    tongue = query.get("lang") if query.get("lang") in WORDS else "zh" if "zh" in accepted.lower() or "en" not in accepted.lower() else "en"
    words = WORDS[tongue]
    status, chosen, said = 200, None, ""
    if query.get("carrier"):
        try:
            chosen = flights.question(query)
        except Refused:
            status, said = 400, f'<p class="answer" role="alert"><strong>{words["sorry"]}</strong> {words["unknown"]}</p>'
    if chosen:
        name = flights.carriers[chosen["carrier"]]
        said = sentence(words, name, flights.answer(chosen))
        rows = [(words["months"][month - 1], flights.answer({**chosen, "month": month})) for month in range(1, 9)]
        rows, title, first = [(label, told) for label, told in rows if told["flights"]], words["chart_one"].format(name), words["month"]
    else:
        everything = {"month": None, "origin": None, "dest": None}
        rows = [(name, flights.answer({"carrier": code, **everything})) for code, name in flights.carriers.items()]
        rows.sort(key=lambda row: (row[1]["mean_delay"] is None, row[1]["mean_delay"]))
        title, first = words["chart_all"], words["carrier"]
    return status, document(words, form(words, flights, chosen), said, chart(words, title, rows), table(words, first, rows), chosen)


def data(value, name, shown=None):
    """A number of an answer, for people and for programs."""
    text = number(value, name)
    return f'<data value="{text}">{shown or text}</data>' if text else "—"


def percent(value):
    return None if value is None else f"{value:.1%}"


def sentence(words, name, told):
    if not told["arrived"]:
        return f'<p class="answer">{words["empty"].format(escape(name), data(told["flights"], "flights"))}</p>'
    filled = words["sentence"].format(
        f"<strong>{escape(name)}</strong>", data(told["flights"], "flights"), data(told["arrived"], "arrived"),
        data(told["mean_delay"], "mean_delay"), data(told["late_share"], "late_share", percent(told["late_share"])))
    return f'<p class="answer">{filled}</p>'


def form(words, flights, chosen):
    def options(pairs, now):
        return "".join(f'<option value="{escape(value)}"{" selected" if value == now else ""}>{escape(label)}</option>' for value, label in pairs)

    carrier = (chosen or {}).get("carrier") or ""
    now = str((chosen or {}).get("month") or "")
    carriers = [("", words["all"])] + [(code, f"{name} ({code})") for code, name in flights.carriers.items()]
    months = [("", words["any"])] + [(str(month), name) for month, name in enumerate(words["months"][:8], 1)]
    tongue = words["lang"][:2]
    return (f'<form method="get" action="/"><input type="hidden" name="lang" value="{tongue}">'
            f'<label>{words["carrier"]}<select name="carrier">{options(carriers, carrier)}</select></label>'
            f'<label>{words["month"]}<select name="month">{options(months, now)}</select></label>'
            f'<button type="submit">{words["show"]}</button></form>')


def chart(words, title, rows):
    """Bars to the right of zero for late, to the left for early."""
    values = [told["mean_delay"] for _, told in rows if told["mean_delay"] is not None]
    least, most = min([0.0, *values]), max([1.0, *values])
    left, width, step = 172, 160, 28
    scale = width / (most - least)
    zero, height = left + 46 - least * scale, step * len(rows) + 12
    bars = []
    for place, (label, told) in enumerate(rows):
        y, mean = 6 + place * step, told["mean_delay"]
        bars.append(f'<text x="{left}" y="{y + 18}" text-anchor="end">{escape(short(label))}</text>')
        if mean is None:
            bars.append(f'<text x="{zero + 6:.1f}" y="{y + 18}">{words["none"]}</text>')
            continue
        length, late = abs(mean) * scale, mean >= 0
        start = zero if late else zero - length
        bars.append(f'<rect class="{"late" if late else "early"}" x="{start:.1f}" y="{y + 3}" width="{length:.1f}" height="{step - 8}"/>')
        text, anchor = (zero + length + 5, "start") if late else (start - 5, "end")
        bars.append(f'<text x="{text:.1f}" y="{y + 18}" text-anchor="{anchor}">{mean:.1f}</text>')
    bars.append(f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="4" y2="{height - 4}"/>')
    return (f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 424 {height}" role="img" aria-labelledby="chart">'
            f'<title id="chart">{escape(title)}</title>{"".join(bars)}</svg></figure>')


def short(label):
    return label if len(label) <= 22 else label[:21] + "…"


def table(words, first, rows):
    heads = "".join(f'<th scope="col">{words[key]}</th>' for key in ("flights", "arrived", "mean", "median", "late"))
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(f"<td>{data(told[key], key)}</td>" for key in ("flights", "arrived", "mean_delay", "median_delay"))
        + f'<td>{data(told["late_share"], "late_share", percent(told["late_share"]))}</td></tr>' for label, told in rows)
    return (f'<div class="table" tabindex="0" role="region" aria-label="{words["numbers"]}"><table><caption>{words["numbers"]}</caption>'
            f'<thead><tr><th scope="col">{escape(first)}</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>')


def document(words, choice, said, figure, numbers, chosen):
    stay = "".join(f"&amp;{key}={escape(str(chosen[key]))}" for key in ("carrier", "month") if chosen and chosen[key])
    return (f'<!doctype html><html lang="{words["lang"]}"><head><meta charset="utf-8"><title>{words["title"]}</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
            f'<a class="skip" href="#result">{words["skip"]}</a><header><h1>{words["title"]}</h1>'
            f'<a href="/?lang={words["other"]}{stay}" lang="{words["other"]}">{words["switch"]}</a></header>'
            f'<main><p>{words["lead"]}</p>{choice}<div id="result">{said}</div>{figure}{numbers}<p class="note">{words["note"]}</p></main></body></html>\n')
