// "/" goes to the page's search field, "?" shows the keys. A page adds its own with data-key="x" on
// a link or button.
const typing = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;

export function keyboard() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    } else if (event.key === "?") {
      document.getElementById("keys")?.showModal();
    } else {
      const wanted = [...document.querySelectorAll("[data-key]")].find((e) => e.dataset.key === event.key);
      if (wanted) {
        event.preventDefault();
        wanted.click();
      }
    }
  });
}
