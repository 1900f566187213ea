// Live parts of a page. <div id="board" data-live="/…/live" data-live-on="board score"> is fetched
// anew from this page's address when one of its events arrives, and put in place without losing
// the focus; so are elements with an id and data-live-part, wherever they stand; with
// data-live-every="5" also every five seconds, or, without an address, then alone. Events come from
// the address by EventSource, which comes back by itself. While a question in a region is open
// (details.ask), the region waits until it is answered.
import { localTimes } from "./times.js";

// What each region showed when it was last put in place: the same again is left alone, with its focus.
const shown = new WeakMap();

async function refresh(region) {
  const answer = await fetch(location.href, { headers: { "X-Live": region.id } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(region.id);
  if (!fresh) return;
  // nothing more will happen: the rest of the page has changed too
  if (region.dataset.live && !fresh.dataset.live) return location.reload();
  if (region.querySelector("details.ask[open]")) return;
  if (shown.get(region) !== fresh.innerHTML) {
    shown.set(region, fresh.innerHTML);
    putInPlace(region, fresh);
  }
  // what else the event may have changed: the standing in the head, what can be done now
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const renewed = page.getElementById(part.id);
    if (!renewed || region.contains(part)) continue;
    part.replaceChildren(...renewed.childNodes);
    localTimes(part);
  }
}

function putInPlace(region, fresh) {
  const focused = document.activeElement?.id;
  const aside = [...region.querySelectorAll(".table-frame")].map((frame) => frame.scrollLeft);
  region.replaceChildren(...fresh.childNodes);
  localTimes(region);
  region.querySelectorAll(".table-frame").forEach((frame, i) => (frame.scrollLeft = aside[i] ?? 0));
  if (focused && region.querySelector(`#${CSS.escape(focused)}`)) document.getElementById(focused).focus();
}

// Refreshes by the clock while somebody looks, and once a question in the region is answered.
function byTheClock(region, run) {
  const seconds = Number(region.dataset.liveEvery);
  if (!seconds) return;
  setInterval(() => document.hidden || run(), seconds * 1000);
  region.addEventListener("toggle", (event) => event.target.open || run(), true);
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
    byTheClock(region, run);
    for (const kind of `${region.dataset.liveOn} reload`.split(/\s+/).filter(Boolean)) {
      sources.get(address).addEventListener(kind, run);
    }
  }
  for (const region of document.querySelectorAll("[data-live-every]:not([data-live])")) {
    byTheClock(region, refresher(region));
  }
  outputs(sources);
  addEventListener("pagehide", () => sources.forEach((source) => source.close()));
}
