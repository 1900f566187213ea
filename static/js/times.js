// Shows times in the reader's zone; the offset is on hover. Without this the server's zone stands.
const two = (n) => String(n).padStart(2, "0");

function shown(date, form) {
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return form === "day" ? day : `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

function offset(date) {
  const minutes = -date.getTimezoneOffset();
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

export function localTimes(root) {
  for (const element of root.querySelectorAll("time[data-form]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    element.textContent = shown(date, element.dataset.form);
    element.title = `${shown(date, "minute")}:${two(date.getSeconds())} ${offset(date)}`;
  }
}
