// Every page loads this; each module does nothing where its elements are missing.
import { localTimes } from "./times.js";
import { themeSwitch } from "./theme.js";
import { keyboard } from "./keyboard.js";
import { asks, dialogs, copies } from "./dialogs.js";
import { drafts, uploads } from "./upload.js";
import { liveRegions } from "./live.js";

document.documentElement.classList.add("script");
localTimes(document);
themeSwitch();
keyboard();
dialogs();
asks();
copies();
uploads();
drafts();
liveRegions();
named();
centred();
document.querySelector("[data-focus]")?.focus();

// What is wrong with a form names the field it is about.
function named() {
  for (const link of document.querySelectorAll(".notice-bad a[href^='#f-']")) {
    const field = document.getElementById(link.hash.slice(1));
    const label = field?.labels?.[0] ?? field?.closest("fieldset")?.querySelector("legend");
    const name = label?.firstChild?.textContent.trim();
    if (name) link.prepend(`${name}${document.documentElement.lang.startsWith("zh") ? "：" : ": "}`);
  }
}

// Where tabs do not fit, the one that is open is in sight.
function centred() {
  for (const open of document.querySelectorAll(".tabs [aria-current]")) {
    const tabs = open.closest(".tabs");
    tabs.scrollLeft = open.offsetLeft - (tabs.clientWidth - open.offsetWidth) / 2;
  }
}
