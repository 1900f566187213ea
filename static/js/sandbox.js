// The bar above a lab: time left, what has been shown and is used, what the organizer has to say, and
// what cannot go on like this: a session near its end, a full home, memory that did not suffice. Over a
// lab that is paused lies a question whether somebody is there.
const left = document.getElementById("left");
const shown = document.getElementById("shown");
const message = document.getElementById("message");
const memory = document.getElementById("memory");
const home = document.getElementById("home");
const cover = document.getElementById("cover");
const coverText = document.getElementById("cover-text");
const goOn = document.getElementById("go-on");
const back = document.getElementById("back");
const WARN_SECONDS = 600;
const words = document.body.dataset;
const warnings = {
  little: words.homeLittle,
  "no-bytes": words.homeNoBytes,
  "no-files": words.homeNoFiles,
};

const clock = (seconds) => {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const short = `${minutes} ${words.minutes}`;
  return hours > 0 ? `${hours} ${words.hours} ${short}` : short;
};

// What lies over the lab while it does not answer, with what can be done about it.
const lay = (text, action) => {
  const fresh = cover.hidden;
  cover.hidden = text === "";
  coverText.textContent = text;
  for (const one of [goOn, back]) {
    one.hidden = one !== action;
  }
  if (fresh && text !== "") {
    action?.focus();
  }
};

const percent = (share) => `${Math.round(share * 100)} %`;

const say = (text) => {
  message.textContent = text;
  message.hidden = text === "";
};

// On a shared origin the newer visit is the only one: what is still open of the older must not go on
// writing into the newer's home.
const replaced = () => {
  document.querySelector(".shell-lab iframe")?.remove();
  lay(words.other, back);
};
const visits = new BroadcastChannel("shuyu-visit");
visits.onmessage = ({ data }) => {
  if (data !== words.sandbox) {
    replaced();
    visits.close();
  }
};
visits.postMessage(words.sandbox);

const look = async () => {
  const answer = await fetch("/shuyu/state", { headers: { accept: "application/json" } });
  if (answer.status === 401) {
    left.textContent = memory.textContent = home.textContent = "–";
    say("");
    lay(words.over, back);
    return false;
  }
  if (!answer.ok) {
    return true;
  }
  const state = await answer.json();
  if (state.id !== words.sandbox) {
    replaced();
    return false;
  }
  show(state);
  return true;
};

const show = (state) => {
  if (state.copying) {
    lay(words.copying, null);
  } else if (state.state === "paused") {
    lay(words.paused, goOn);
  } else {
    lay("", null);
  }
  left.textContent = state.left_seconds === null ? "" : clock(state.left_seconds);
  shown.textContent = `${(state.shown / 1048576).toFixed(1)} MiB`;
  const now = state.gauges;
  memory.textContent = now ? percent(now.memory / now.memory_limit) : "–";
  home.textContent = now?.home ? percent(now.home.share) : "–";
  const soon = state.left_seconds !== null && state.left_seconds < WARN_SECONDS;
  const said = [state.message, soon && words.warn, warnings[now?.home?.room]];
  said.push(now?.killed_for_memory > 0 && words.killed);
  say(said.filter(Boolean).join(" "));
};

goOn.addEventListener("click", async () => {
  goOn.disabled = true;
  const answer = await fetch("/shuyu/wake", { method: "POST", headers: { accept: "application/json" } });
  goOn.disabled = false;
  if (answer.ok) {
    show(await answer.json());
    document.querySelector(".shell-lab iframe")?.focus();
  } else {
    await look();
  }
});

const again = async () => {
  const more = await look().catch(() => true);
  if (more) {
    // what lies over the lab is taken away soon after its reason
    setTimeout(again, cover.hidden ? 10000 : 2000);
  }
};
again();
