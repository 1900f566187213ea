// Dialogs, questions before destructive actions, and buttons that copy.
export function dialogs() {
  for (const button of document.querySelectorAll("[data-opens]")) {
    const dialog = document.getElementById(button.dataset.opens);
    if (!dialog) continue;
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
  }
  for (const menu of document.querySelectorAll("details.menu")) {
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && menu.open) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    });
  }
}

export function asks() {
  for (const ask of document.querySelectorAll("details.ask")) {
    const cancel = ask.querySelector("[data-ask-cancel]");
    if (!cancel) continue;
    cancel.hidden = false;
    cancel.addEventListener("click", () => {
      ask.open = false;
      ask.querySelector("summary").focus();
    });
  }
}

export function copies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
      button.textContent = button.dataset.done;
    });
  }
}
