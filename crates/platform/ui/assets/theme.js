// Remembers light or dark; without a choice the system decides.
const KEY = "loopwright-theme";
const stored = localStorage.getItem(KEY);
if (stored) document.documentElement.dataset.theme = stored;
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-toggle-theme]");
  if (!button) return;
  const dark =
    document.documentElement.dataset.theme === "dark" ||
    (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem(KEY, next);
});
