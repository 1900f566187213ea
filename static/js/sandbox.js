// The bar above a lab: time left, what has been shown, what the organizer has to say.
const left = document.getElementById("left");
const shown = document.getElementById("shown");
const message = document.getElementById("message");
const WARN_SECONDS = 600;

const clock = (seconds) => {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
};

const say = (text) => {
  message.textContent = text;
  message.hidden = text === "";
};

const look = async () => {
  const answer = await fetch("/shuyu/state", { headers: { accept: "application/json" } });
  if (answer.status === 401) {
    say(document.body.dataset.over);
    return false;
  }
  if (!answer.ok) {
    return true;
  }
  const state = await answer.json();
  left.textContent = state.left_seconds === null ? "" : clock(state.left_seconds);
  shown.textContent = `${(state.shown / 1048576).toFixed(1)} MiB`;
  const soon = state.left_seconds !== null && state.left_seconds < WARN_SECONDS;
  say([state.message, soon ? document.body.dataset.warn : ""].filter(Boolean).join(" "));
  return true;
};

const again = async () => {
  const goOn = await look().catch(() => true);
  if (goOn) {
    setTimeout(again, 10000);
  }
};
setTimeout(again, 10000);
