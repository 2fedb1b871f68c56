// Completion in the filter box, and the chooser of columns.
import { read, say } from "./page.js";

const KINDS = ["metrics.", "params.", "tags.", "min(metrics.", "max(metrics.", "attributes."];
const ATTRIBUTES = ["run_id", "run_name", "status", "user_id", "start_time", "end_time", "artifact_uri"];
const NUMERIC = ["<", "<=", ">", ">=", "=", "!="];
const TEXTUAL = ["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"];

/** What stands before the cursor: `{kind, word, from}`; `word` is the part that a choice replaces. */
export function situation(text) {
  const inside = (text.match(/'/g) ?? []).length % 2 === 1;
  if (inside) return { kind: "none", word: "", from: text.length };
  const [word] = text.match(/(?:[^\s()<>=!,`"]|`[^`]*`?|"[^"]*"?)*$/);
  const from = text.length - word.length;
  const before = text.slice(0, from).trimEnd();
  if (word) {
    const known = /^(?:metrics?|params?|parameters?|tags?|attributes?)\./i.test(word);
    return { kind: known ? "key" : "kind", word, from };
  }
  if (/(?:^|\(|\b(?:AND|OR|NOT))$/i.test(before)) return { kind: "kind", word, from };
  const last = before.match(/(?:[^\s()<>=!,`"]|`[^`]*`|"[^"]*")+\)?$/)?.[0] ?? "";
  if (/^(?:metrics?|attributes?)\.|\)$/i.test(last) && /\s$/.test(text)) return { kind: "numeric", word, from };
  if (/^(?:params?|parameters?|tags?)\./i.test(last) && /\s$/.test(text)) return { kind: "textual", word, from };
  if (/(?:'|\d)$/.test(before) && /\s$/.test(text)) return { kind: "join", word, from };
  return { kind: "none", word, from };
}

async function choices(found, keysUrl, signal) {
  const starts = (list) => list.filter((one) => one.toLowerCase().startsWith(found.word.toLowerCase()));
  switch (found.kind) {
    case "kind":
      return starts(KINDS);
    case "numeric":
      return NUMERIC;
    case "textual":
      return TEXTUAL;
    case "join":
      return ["AND", "OR"];
    case "key": {
      if (/^attributes?\./i.test(found.word)) return starts(ATTRIBUTES.map((name) => `attributes.${name}`));
      const url = new URL(keysUrl, location.href);
      url.searchParams.set("search", found.word.replaceAll(/[`"]/g, ""));
      return (await read(url, signal)).keys.map((key) => key.term).slice(0, 12);
    }
    default:
      return [];
  }
}

function completion(form) {
  const box = form.querySelector("#filter");
  const list = form.querySelector("#filter-choices");
  const problem = document.getElementById("filter-error");
  let shown = [];
  let active = -1;
  let found = null;
  let request = null;

  const close = () => {
    list.hidden = true;
    shown = [];
    active = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const mark = (place) => {
    active = place;
    [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === place)));
    if (place >= 0) {
      box.setAttribute("aria-activedescendant", list.children[place].id);
      list.children[place].scrollIntoView({ block: "nearest" });
    } else box.removeAttribute("aria-activedescendant");
  };
  const take = (place) => {
    const open = shown[place].endsWith(".");
    const rest = box.value.slice(box.selectionStart);
    const head = box.value.slice(0, found.from) + shown[place] + (open ? "" : " ");
    box.value = head + rest.trimStart();
    box.setSelectionRange(head.length, head.length);
    close();
    offer();
  };
  const offer = async () => {
    request?.abort();
    request = new AbortController();
    const { signal } = request;
    found = situation(box.value.slice(0, box.selectionStart));
    try {
      const next = await choices(found, form.dataset.keys, signal);
      if (signal.aborted) return;
      shown = next;
    } catch (error) {
      if (error.name !== "AbortError") problem.textContent = error.message;
      return;
    }
    if (!shown.length || document.activeElement !== box) return close();
    list.replaceChildren(
      ...shown.map((text, index) => {
        const item = document.createElement("li");
        item.id = `filter-choice-${index}`;
        item.setAttribute("role", "option");
        item.textContent = text;
        return item;
      }),
    );
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    mark(-1);
  };

  box.addEventListener("input", offer);
  box.addEventListener("blur", () => setTimeout(close, 100));
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden) {
      event.preventDefault();
      offer();
    } else if (!list.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      mark((active + step + shown.length + (active < 0 && step < 0 ? 1 : 0)) % shown.length);
    } else if (!list.hidden && active >= 0 && (event.key === "Enter" || event.key === "Tab")) {
      event.preventDefault();
      take(active);
    } else if (event.key === "Escape") close();
  });
  list.addEventListener("mousedown", (event) => {
    const item = event.target.closest("li");
    if (!item) return;
    event.preventDefault();
    take([...list.children].indexOf(item));
  });
}

/** Terms between commas; a comma inside quotes belongs to its key. */
export function splitTerms(text) {
  return (text.match(/(?:[^,`"]|`[^`]*`?|"[^"]*"?)+/g) ?? []).map((term) => term.trim()).filter(Boolean);
}

function chooser(form) {
  const place = form.querySelector(".choose");
  const columns = form.elements.namedItem("columns");
  const [find, list, count, problem] = ["[data-find]", ".keys", "[data-count]", ".error"].map((one) => place.querySelector(one));
  place.hidden = false;
  const terms = () => splitTerms(columns.value);
  const variants = (key) =>
    key.kind === "metrics" ? [key.term, `min(${key.term})`, `max(${key.term})`] : [key.term];
  const tick = (term, text) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = terms().includes(term);
    box.addEventListener("change", () => {
      const rest = terms().filter((own) => own !== term);
      columns.value = (box.checked ? [...rest, term] : rest).join(",");
    });
    label.append(box, ` ${text}`);
    return label;
  };
  let request = null;
  const show = async () => {
    request?.abort();
    request = new AbortController();
    const url = new URL(form.dataset.keys, location.href);
    url.searchParams.set("search", find.value);
    try {
      const { keys, total } = await read(url, request.signal);
      say(problem, "");
      count.textContent = total > keys.length ? `${keys.length} of ${total} keys: type to narrow them` : `${total} keys`;
      list.replaceChildren(
        ...keys.map((key) => {
          const item = document.createElement("li");
          const names = key.kind === "metrics" ? [key.term, "min", "max"] : [key.term];
          item.append(...variants(key).map((term, index) => tick(term, names[index])));
          return item;
        }),
      );
    } catch (error) {
      if (error.name !== "AbortError") say(problem, error.message);
    }
  };
  let timer = null;
  find.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 150);
  });
  // Enter in the search box must not send the form.
  find.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  form.querySelector("#chooser").addEventListener("toggle", (event) => event.target.open && show());
}

const form = globalThis.document?.getElementById("ask");
if (form?.dataset.keys) {
  completion(form);
  chooser(form);
}
