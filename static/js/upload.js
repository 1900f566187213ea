// A drop zone with checks before anything is sent, and an upload with progress and rate. Without this
// the form is sent as it is. The answer is JSON {"location": "/…"} on success, problem+json else; a
// redirect that was followed will do.
const mib = (bytes) => bytes < 104858 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;

function fault(zone, file) {
  const cap = Number(zone.dataset.cap);
  const kinds = zone.dataset.accept.split(",").filter(Boolean);
  if (cap > 0 && file.size > cap) return zone.dataset.tooLarge;
  if (zone.dataset.pickle && /\.(pkl|pickle|joblib|pt|pth)$/i.test(file.name)) return zone.dataset.pickle;
  if (kinds.length > 0 && !kinds.some((kind) => file.name.toLowerCase().endsWith(kind))) return zone.dataset.wrongKind;
  return "";
}

// The columns that the header of a CSV lacks, as far as its beginning tells.
async function lacking(form, file) {
  const wanted = (form?.dataset.columns ?? "").split(",").filter(Boolean);
  if (wanted.length === 0 || !file.name.toLowerCase().endsWith(".csv")) return [];
  const start = await file.slice(0, 65536).text();
  const header = start.replace(/^\uFEFF/, "").split(/\r?\n/, 1)[0];
  const found = header.split(",").map((name) => name.trim().replace(/^"(.*)"$/, "$1"));
  return wanted.filter((name) => !found.includes(name));
}

function drop(zone) {
  const input = zone.querySelector("input[type=file]");
  const chosen = zone.querySelector(".drop-chosen");
  const form = input.form;
  const check = async () => {
    const file = input.files[0];
    let problem = file ? fault(zone, file) : "";
    if (file && !problem) {
      const lacks = await lacking(form, file);
      if (lacks.length > 0) problem = `${form.dataset.columnsMissing} ${lacks.join(", ")}`;
      if (input.files[0] !== file) return;
    }
    input.setCustomValidity(problem);
    chosen.classList.toggle("fault", problem !== "");
    chosen.textContent = problem || (file ? `${file.name} · ${mib(file.size)}` : "");
  };
  input.addEventListener("change", check);
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("drop-over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("drop-over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("drop-over");
    if (event.dataTransfer.files.length > 0) {
      input.files = event.dataTransfer.files;
      check();
    }
  });
}

// To where the form's answer says; loaded anew also where that is another place on this page.
function go(to) {
  const there = new URL(to, location.href);
  const here = there.pathname === location.pathname && there.search === location.search;
  // without a fragment that loads the page anew, and no browser fills in again what was there
  if (!here || !there.hash) location.assign(there);
  else {
    location.hash = there.hash;
    location.reload();
  }
}

// The same without a script: the answer is the form beside what it clashes with.
function again(form, button) {
  const named = Object.assign(document.createElement("input"), { type: "hidden", name: button.name, value: button.value });
  form.append(named);
  form.submit();
}

// What a problem says, each part a sentence of its own.
function sentences(parts) {
  const [stop, space] = document.documentElement.lang.startsWith("zh") ? ["。", ""] : [".", " "];
  const ended = parts.filter(Boolean).map((part) => (/[.!?…。！？]$/.test(part) ? part : part + stop));
  return ended.join(space);
}

// Sends a form as its button would, and shows how far it is; `refused` is called when it was not taken.
function upload(form, pressed, refused = () => {}) {
  const box = form.querySelector("[data-upload-progress]");
  const bar = box.querySelector("progress");
  const text = box.querySelector(".upload-text");
  const button = pressed ?? form.querySelector("button.button-primary");
  const request = new XMLHttpRequest();
  const begun = performance.now();
  const failed = (message) => {
    text.textContent = message || box.dataset.failed;
    text.classList.add("fault");
    button.disabled = false;
    refused();
  };
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.value = event.loaded / event.total;
    const seconds = (performance.now() - begun) / 1000;
    const rate = seconds > 0 ? ` · ${mib(event.loaded / seconds)}/s` : "";
    text.textContent = event.loaded < event.total ? `${mib(event.loaded)} / ${mib(event.total)}${rate}` : box.dataset.sent;
  });
  request.addEventListener("load", () => {
    let answer = {};
    try {
      answer = JSON.parse(request.responseText);
    } catch {
      // Not JSON: a proxy's error page.
    }
    const followed = request.responseURL && request.responseURL !== form.action;
    if (request.status < 300 && answer.location) go(answer.location);
    else if (request.status < 300 && followed) go(request.responseURL);
    else if (answer.code === "entry-changed") again(form, button);
    else if (request.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
    else if (!answer.title) failed(`${box.dataset.refused} (HTTP ${request.status})`);
    else failed(sentences([answer.title, answer.detail, answer.mend, ...(answer.errors ?? []).map((e) => e.text)]));
  });
  request.addEventListener("error", () => failed(""));
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  text.classList.remove("fault");
  box.hidden = false;
  button.disabled = true;
  const data = new FormData(form);
  if (pressed?.name) data.set(pressed.name, pressed.value);
  request.send(data);
}

export function uploads() {
  // A page that comes back by the browser's own button still shows the upload of before.
  addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("form[data-upload]")) location.reload();
  });
  for (const zone of document.querySelectorAll("[data-drop]")) drop(zone);
  for (const form of document.querySelectorAll("form[data-upload]")) {
    if (!form.querySelector("[data-upload-progress]") || !form.querySelector("button.button-primary")) continue;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      upload(form);
    });
  }
}

// Keeps the draft of an entry while it is written: two seconds after the last key, and again every five
// while the connection is gone. Files are sent with the form's own buttons alone. When another member has
// changed the entry meanwhile, nothing more is sent: the form's button shows what differs.
const PAUSE = 2000;
const RETRY = 5000;

function keep(form) {
  const status = form.querySelector("[data-entry-status]");
  const seen = form.elements.seen;
  let timer = 0;
  let dirty = false;
  let sending = false;
  let stopped = form.hasAttribute("data-conflict");

  const say = (text, fault = false) => {
    status.textContent = text;
    status.classList.toggle("fault", fault);
  };
  const later = (wait) => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(send, wait);
  };

  async function send() {
    if (sending || !dirty || stopped) return;
    sending = true;
    dirty = false;
    const data = new FormData(form);
    data.delete("new-picture");
    data.delete("new-pdf");
    data.set("do", "auto");
    say(form.dataset.saving);
    try {
      const answer = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json" } });
      const told = await answer.json();
      if (answer.ok && told.revision) {
        seen.value = told.revision;
        if (!dirty) say(`${form.dataset.saved} ${new Date(told.at).toLocaleTimeString(document.documentElement.lang)}`);
      } else if (told.code === "entry-changed") {
        stopped = true;
        dirty = true;
        say(form.dataset.clash, true);
      } else if (answer.status >= 500) {
        throw new Error(told.title);
      } else {
        // What cannot be taken is said once; it is sent again with the next change.
        say([told.title, ...(told.errors ?? []).map((e) => e.text)].join(" "), true);
      }
    } catch {
      dirty = true;
      say(form.dataset.unsaved, true);
      later(RETRY);
    }
    sending = false;
    if (dirty && !stopped) later(PAUSE);
  }

  form.addEventListener("input", (event) => {
    if (event.target.type === "file") return;
    dirty = true;
    later(PAUSE);
  });
  // One request at a time, so that the form's own is not taken for another member's.
  form.addEventListener("submit", (event) => {
    clearTimeout(timer);
    if (sending) {
      event.preventDefault();
      const button = event.submitter;
      const wait = () => (sending ? setTimeout(wait, 50) : form.requestSubmit(button));
      wait();
      return;
    }
    const was = dirty;
    dirty = false;
    stopped = true;
    // Files take time: shown as they go. What is refused stays in the form, chosen files too.
    const files = [...form.querySelectorAll("input[type=file]")].some((input) => input.files.length > 0);
    if (!files || form.hasAttribute("data-conflict")) return;
    event.preventDefault();
    upload(form, event.submitter, () => {
      stopped = false;
      dirty = was;
      if (dirty) later(PAUSE);
    });
  });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

export function drafts() {
  for (const form of document.querySelectorAll("form[data-entry]")) keep(form);
}
