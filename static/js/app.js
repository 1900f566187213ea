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
document.querySelector("[data-focus]")?.focus();
