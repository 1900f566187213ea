// The bar above a lab: time left, what has been shown and is used, what the organizer has to say, and
// what cannot go on like this: a session near its end, a full home, memory that did not suffice.
const left = document.getElementById("left");
const shown = document.getElementById("shown");
const message = document.getElementById("message");
const memory = document.getElementById("memory");
const home = document.getElementById("home");
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
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
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
  say(words.other);
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
    say(words.over);
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
  left.textContent = state.left_seconds === null ? "" : clock(state.left_seconds);
  shown.textContent = `${(state.shown / 1048576).toFixed(1)} MiB`;
  const now = state.gauges;
  memory.textContent = now ? percent(now.memory / now.memory_limit) : "–";
  home.textContent = now?.home ? percent(now.home.share) : "–";
  const soon = state.left_seconds !== null && state.left_seconds < WARN_SECONDS;
  const said = [state.message, soon && words.warn, warnings[now?.home?.room]];
  said.push(now?.killed_for_memory > 0 && words.killed);
  say(said.filter(Boolean).join(" "));
  return true;
};

const again = async () => {
  const goOn = await look().catch(() => true);
  if (goOn) {
    setTimeout(again, 10000);
  }
};
again();
