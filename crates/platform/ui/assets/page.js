// What the islands share, and the buttons that copy a text.

/** JSON of our own server; what it refuses is thrown with its words. */
export async function read(url, signal) {
  const answer = await fetch(url, { signal, headers: { accept: "application/json" } });
  if (answer.ok) return answer.json();
  const text = await answer.text();
  let detail = text;
  try {
    detail = JSON.parse(text).detail ?? text;
  } catch {
    // Not JSON: the text says it.
  }
  throw new Error(detail || `the server answered ${answer.status}`);
}

/** Shows a message in its place, or takes it away. */
export function say(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

/** Starts an island where its element is, now or when the page's refresh brings it. */
export function whenThere(selector, start) {
  const look = () => {
    const element = document.querySelector(selector);
    if (element) start(element);
    return Boolean(element);
  };
  if (look()) return;
  const watcher = new MutationObserver(() => look() && watcher.disconnect());
  watcher.observe(document.body, { childList: true, subtree: true });
}

function withChanges(address, changes) {
  const url = new URL(address, location.href);
  for (const [key, value] of Object.entries(changes)) {
    if (value) url.searchParams.set(key, value);
    else url.searchParams.delete(key);
  }
  return url;
}

/** Keeps a choice in the URL, and in the links and forms that lead on from here. */
export function remember(changes) {
  history.replaceState(history.state, "", withChanges(location.href, changes));
  for (const link of document.querySelectorAll("#runs a[href*='?']")) {
    const url = withChanges(link.href, changes);
    link.setAttribute("href", url.pathname + url.search);
  }
  const back = document.querySelector("[data-bulk] [name=back]");
  if (back) back.value = withChanges(location.pathname + back.value, changes).search || "?";
  const form = document.getElementById("ask");
  if (!form) return;
  for (const [key, value] of Object.entries(changes)) {
    let field = form.elements.namedItem(key);
    if (!field && value) {
      field = document.createElement("input");
      field.type = "hidden";
      field.name = key;
      form.append(field);
    }
    if (field && value) field.value = value;
    else field?.remove();
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.parentElement.querySelector("pre").textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // No clipboard outside of a secure origin: the text is selected instead.
    getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
});
