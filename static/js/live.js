// Live parts of a page. <div id="board" data-live="/…/live" data-live-on="board score"> is fetched
// anew from this page's address when one of its events arrives, and put in place without losing
// the focus; so are elements with an id and data-live-part, wherever they stand; with
// data-live-every="5" also every five seconds. Events come from the address by EventSource, which
// comes back by itself.
import { localTimes } from "./times.js";

async function refresh(region) {
  const answer = await fetch(location.href, { headers: { "X-Live": region.id } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(region.id);
  if (!fresh) return;
  // nothing more will happen: the rest of the page has changed too
  if (!fresh.dataset.live) return location.reload();
  const focused = document.activeElement?.id;
  region.replaceChildren(...fresh.childNodes);
  localTimes(region);
  // what else the event may have changed: the standing in the head, what can be done now
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const renewed = page.getElementById(part.id);
    if (renewed && !region.contains(part)) part.replaceChildren(...renewed.childNodes);
  }
  if (focused && region.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused).focus();
}

// At most one fetch under way for a region, and one more after it.
function refresher(region) {
  let busy = false;
  let again = false;
  return async function run() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await refresh(region);
    } catch {
      // Offline: the next event tries again.
    }
    busy = false;
    if (again) {
      again = false;
      run();
    }
  };
}

// <pre data-live-output="/…/live"> takes the text of "output" events as they come.
function outputs(sources) {
  for (const place of document.querySelectorAll("[data-live-output]")) {
    const address = place.dataset.liveOutput;
    if (!sources.has(address)) sources.set(address, new EventSource(address));
    sources.get(address).addEventListener("output", (event) => {
      const section = place.closest("[data-live-output-section]");
      if (section) section.hidden = false;
      place.append(JSON.parse(event.data).text);
      place.scrollTop = place.scrollHeight;
    });
  }
}

export function liveRegions() {
  const sources = new Map();
  for (const region of document.querySelectorAll("[data-live]")) {
    const address = region.dataset.live;
    if (!sources.has(address)) sources.set(address, new EventSource(address));
    const run = refresher(region);
    // what happened after the page was written and before this, or while the line was down
    sources.get(address).addEventListener("open", run);
    if (region.dataset.liveEvery) setInterval(run, Number(region.dataset.liveEvery) * 1000);
    for (const kind of `${region.dataset.liveOn} reload`.split(/\s+/).filter(Boolean)) {
      sources.get(address).addEventListener(kind, run);
    }
  }
  outputs(sources);
  addEventListener("pagehide", () => sources.forEach((source) => source.close()));
}
