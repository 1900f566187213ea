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
    dirty = false;
    stopped = true;
  });
  addEventListener("beforeunload", (event) => {
    if (dirty) event.preventDefault();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

for (const form of document.querySelectorAll("form[data-entry]")) keep(form);
