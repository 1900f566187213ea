// A judge's sheet: saved as it is filled in, kept on this device while the connection is away, and never
// written over what another tab or device saved. Digits mark the criterion in focus, j and k go on and back.
const form = document.querySelector("[data-marking]");
const PAUSE = 800; // milliseconds after the last change
const RETRY = 5000;
const DIGITS = 700; // within which "1", "0" is ten

const fields = () => [...new FormData(form)].filter(([name]) => name !== "seen");
const text = () => JSON.stringify(fields());

function fill(wanted) {
  const values = new Map(wanted);
  for (const element of form.elements) {
    if (element.type === "radio") {
      element.checked = values.get(element.name) === element.value;
    } else if (element.name && element.name !== "seen" && "value" in element && element.tagName !== "BUTTON") {
      element.value = values.get(element.name) ?? "";
    }
  }
}

// A sheet as the server tells it, as a form's fields.
function fieldsOf(sheet) {
  const marks = Object.entries(sheet.marks).map(([key, mark]) => [`mark-${key}`, String(mark)]);
  return [...marks, ["to_team", sheet.to_team], ["to_jury", sheet.to_jury]];
}

function kept(place) {
  try {
    return JSON.parse(localStorage.getItem(place));
  } catch {
    return null;
  }
}

function sheet() {
  const words = form.dataset;
  const place = `shuyu-sheet-${words.marking}`;
  const seen = form.elements.seen;
  const status = form.querySelector("[data-status]");
  const differs = form.querySelector("[data-differs]");
  let saved = text();
  let timer;
  let busy = null; // the save that is under way
  let stopped = false;
  let leaving = false;
  let away = false; // whether the last save did not reach the server
  let unsent = false; // whether it was to be submitted meanwhile

  const say = (said) => { status.textContent = said; };
  const keep = () => {
    try {
      localStorage.setItem(place, JSON.stringify({ seen: seen.value, fields: fields() }));
    } catch {
      // a full or forbidden store: the server's copy is what counts
    }
  };
  const settle = (sent) => {
    saved = sent;
    if (text() === sent) localStorage.removeItem(place);
    else later(PAUSE);
  };
  const later = (pause) => {
    clearTimeout(timer);
    timer = setTimeout(() => save(), pause);
  };

  // What another tab or device saved meanwhile: shown beside what is here, and chosen by the judge.
  function conflict({ version, sheet: theirs }) {
    const other = new Map(fieldsOf(theirs));
    const mine = new Map(fields());
    const list = differs.querySelector("ul");
    list.replaceChildren();
    for (const name of new Set([...other.keys(), ...mine.keys()])) {
      const [a, b] = [other.get(name) ?? "", mine.get(name) ?? ""];
      if (a === b || (name.startsWith("mark-") && a !== "" && b !== "" && Number(a) === Number(b))) continue;
      const field = form.elements[name];
      const first = field instanceof RadioNodeList ? field[0] : field;
      const title = first?.closest("fieldset")?.querySelector("legend") ?? first?.labels?.[0];
      const line = document.createElement("li");
      line.textContent = `${title?.firstChild?.textContent.trim() ?? name}: ${words.kept} ${a || "–"}, ${words.sent} ${b || "–"}`;
      list.append(line);
    }
    stopped = true;
    differs.hidden = false;
    differs.querySelector("[data-differs-title]").textContent = words.newer;
    differs.querySelector("[data-take-mine]").onclick = () => resume(version, null);
    differs.querySelector("[data-take-kept]").onclick = () => resume(version, [...other]);
    differs.scrollIntoView({ block: "nearest" });
    say("");
  }

  function resume(version, taken) {
    seen.value = version;
    stopped = false;
    differs.hidden = true;
    if (taken) {
      fill(taken);
      saved = text();
      localStorage.removeItem(place);
    } else {
      save();
    }
  }

  // Whether the server has what is written here.
  async function save(asked = false) {
    while (busy) await busy;
    if (stopped || (!asked && text() === saved)) return text() === saved;
    busy = send();
    try {
      return await busy;
    } finally {
      busy = null;
    }
  }

  async function send() {
    const sent = text();
    say(words.saving);
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(words.draft, { method: "POST", headers: { Accept: "application/json" }, body });
      const told = await answer.json();
      if (answer.ok) {
        seen.value = told.version;
        settle(sent);
        away = false;
        say(unsent ? words.unsent : `${words.saved} ${new Date(told.saved_at).toLocaleTimeString(document.documentElement.lang)}`);
        return true;
      } else if (told.code === "marks-newer") {
        conflict(told);
      } else if (answer.status >= 500 || answer.status === 429) {
        throw new Error("later");
      } else {
        say(told.title ?? words.closed);
      }
    } catch {
      away = true;
      say(unsent ? words.unsentAway : words.offline);
      later(RETRY);
    }
    return false;
  }

  const before = kept(place);
  if (before && JSON.stringify(before.fields) !== saved) {
    // the version it was made from goes with it: if the server has a later one, both are shown
    fill(before.fields);
    seen.value = before.seen;
    say(words.restored);
    later(0);
  }
  form.addEventListener("input", () => {
    keep();
    later(PAUSE);
  });
  // A page that cannot be reached must not take what is written with it: the form leaves once the server has it.
  form.addEventListener("submit", async (event) => {
    if (leaving) return;
    event.preventDefault();
    clearTimeout(timer);
    keep();
    if (!(await save(true))) {
      // a judge who pressed Submit must not take their marks for submitted
      unsent = away && event.submitter?.hasAttribute("formaction");
      if (unsent) say(words.unsentAway);
      status.classList.toggle("fault", unsent);
      return;
    }
    leaving = true;
    stopped = true;
    clearTimeout(timer);
    localStorage.removeItem(place);
    form.requestSubmit(event.submitter);
  });
  // back from the page that it went to: what is written here counts again
  addEventListener("pageshow", () => {
    if (leaving) stopped = false;
    leaving = false;
  });
  addEventListener("online", () => save());
  document.addEventListener("visibilitychange", () => { if (document.hidden) save(); });
}

function keys() {
  let typed = "";
  let last = 0;
  const criteria = [...form.querySelectorAll("[data-criterion]")];
  const here = () => document.activeElement.closest?.("[data-criterion]");
  const focus = (criterion) => (criterion?.querySelector("input:checked") ?? criterion?.querySelector("input"))?.focus();
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("textarea, select, input:not([type=radio])");
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writing) return;
    const at = criteria.indexOf(here());
    if (event.key === "j" || event.key === "k") {
      event.preventDefault();
      focus(criteria[Math.max(0, Math.min(criteria.length - 1, at + (event.key === "j" ? 1 : -1)))]);
    } else if (/^[0-9]$/.test(event.key) && at >= 0) {
      const now = Date.now();
      typed = now - last < DIGITS ? typed + event.key : event.key;
      last = now;
      const radios = [...criteria[at].querySelectorAll("input[type=radio]")];
      const wanted = radios.find((r) => r.value === typed) ?? radios.find((r) => r.value === event.key);
      if (wanted) {
        event.preventDefault();
        wanted.checked = true;
        wanted.focus();
        form.dispatchEvent(new Event("input", { bubbles: true }));
      }
    } else if (event.key === "n" && at >= 0) {
      document.querySelector('[data-key="n"]')?.click();
    }
  });
}

if (form) {
  sheet();
  keys();
}
