// The table of runs: rows are fetched where they are looked at, whatever the experiment holds.
import { splitTerms } from "./complete.js";
import { read, remember, say, whenThere } from "./page.js";

const ROW = 34;
const PAGE = 100;
const AROUND = 12;
const DRAWN_MAX = 50;

const list = (text) => (text ? text.split(",").filter(Boolean) : []);
const number = new Intl.NumberFormat("en");

function cell(tag, text, title) {
  const element = document.createElement(tag);
  element.textContent = text ?? "";
  if (title) element.title = title;
  return element;
}

/** A row as the server writes it; `numeric` says which values are numbers. */
function rowElement(run, numeric) {
  const row = document.createElement("tr");
  row.dataset.id = run.id;
  row.dataset.slot = run.slot;
  row.dataset.name = run.name;
  row.tabIndex = -1;
  const head = document.createElement("th");
  head.scope = "row";
  const lead = document.createElement("span");
  lead.className = "lead-cell";
  const box = document.createElement("input");
  box.type = "checkbox";
  box.tabIndex = -1;
  box.dataset.select = "";
  box.setAttribute("aria-label", `Select ${run.name}`);
  const button = (name, className, text, label) => {
    const element = cell("button", text);
    element.type = "button";
    element.tabIndex = -1;
    element.className = className;
    element.dataset[name] = "";
    element.setAttribute("aria-label", label);
    return element;
  };
  const link = cell("a", (run.nested ? "↳ " : "") + run.name, run.name);
  link.href = `/runs/${run.id}`;
  link.tabIndex = -1;
  lead.append(
    box,
    button("hide", `dot c${run.slot}`, "", `Hide ${run.name} in charts`),
    button("pin", "pin", "↑", `Keep ${run.name} on top`),
    link,
  );
  head.append(lead);
  const badge = cell("span", run.status);
  badge.className = `badge ${run.tone}`;
  const status = document.createElement("td");
  status.append(badge);
  const duration = cell("td", run.duration ?? "–");
  duration.className = "n";
  row.append(head, status, cell("td", run.started), duration, cell("td", run.user));
  run.values.forEach((value, index) => {
    const data = cell("td", value, value);
    if (numeric[index]) data.className = "n";
    row.append(data);
  });
  return row;
}

function start(section) {
  const scroller = section.querySelector(".window");
  const table = section.querySelector("table");
  const [pinnedBody, body] = table.tBodies;
  const bulk = section.querySelector("[data-bulk]");
  const problem = section.querySelector("[data-error]");
  const numeric = [...table.tHead.rows[0].cells].slice(5).map((head) => head.classList.contains("n"));
  const pages = new Map();
  const loading = new Map();
  const chosen = new Map();
  const hidden = new Set(list(section.dataset.hide));
  const pins = new Set(list(section.dataset.pin));
  let pinned = [...pinnedBody.rows].map(fromElement);
  let total = Number(section.dataset.total);
  let all = false;
  // Where the keyboard is: a place, and the run that was there. News may move the run; pinned rows have places below 0.
  let active = null;
  let activeId = "";
  let generation = 0;
  const spacers = [document.createElement("tr"), document.createElement("tr")];
  spacers.forEach((spacer) => {
    spacer.className = "spacer";
    spacer.setAttribute("aria-hidden", "true");
    spacer.append(document.createElement("td"));
  });

  function fromElement(row) {
    return { id: row.dataset.id, name: row.dataset.name, slot: Number(row.dataset.slot), element: row };
  }
  const at = (index) => pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  const standing = (place) => (place < 0 ? pinned[pinned.length + place] : at(place));

  async function load(page) {
    if (loading.has(page)) return;
    const own = generation;
    const url = new URL(section.dataset.rows, location.href);
    url.searchParams.set("columns", section.dataset.columns);
    url.searchParams.set("pin", [...pins].join(","));
    url.searchParams.set("offset", page * PAGE);
    url.searchParams.set("limit", PAGE);
    const request = new AbortController();
    loading.set(page, request);
    try {
      const answer = await read(url, request.signal);
      if (own !== generation) return;
      // The server chose other columns: this page was opened before there was anything to choose from.
      if (page === 0 && !section.dataset.columns && answer.columns) {
        location.reload();
        return;
      }
      pages.set(page, answer.rows);
      pinned = answer.pinned;
      total = answer.total;
      say(problem, "");
      render(true);
    } catch (error) {
      if (error.name !== "AbortError") say(problem, error.message);
    } finally {
      if (loading.get(page) === request) loading.delete(page);
    }
  }

  function dress(row, run) {
    const id = run.id;
    const isChosen = all || chosen.has(id);
    row.classList.toggle("chosen", isChosen);
    row.classList.toggle("off", hidden.has(id));
    row.querySelector("[data-select]").checked = isChosen;
    row.querySelector("[data-hide]").setAttribute("aria-pressed", String(hidden.has(id)));
    row.querySelector("[data-pin]").setAttribute("aria-pressed", String(pins.has(id)));
    return row;
  }
  const elementOf = (run) => dress((run.element ??= rowElement(run, numeric)), run);

  /** Finds the run under the keyboard where news or a pin have put it. */
  function follow() {
    if (active === null) return;
    // Its page was not here yet when the keyboard came by.
    activeId ||= standing(active)?.id ?? "";
    if (standing(active)?.id === activeId) return;
    const top = pinned.findIndex((run) => run.id === activeId);
    if (active < 0 && top >= 0) active = top - pinned.length;
    else {
      for (const [page, rows] of pages) {
        const place = rows.findIndex((run) => run?.id === activeId);
        if (place >= 0) active = page * PAGE + place;
      }
    }
    active = Math.max(-pinned.length, Math.min(total - 1, active));
  }

  function render(loaded) {
    const focused = document.activeElement;
    follow();
    pinnedBody.replaceChildren(...pinned.map(elementOf));
    pinned.forEach((run, place) => {
      run.element.id = `pinned-${run.id}`;
      run.element.classList.toggle("active", active === place - pinned.length && run.id === activeId);
    });
    const top = Math.max(0, scroller.scrollTop - pinnedBody.offsetHeight);
    const first = Math.max(0, Math.min(total, Math.floor(top / ROW)) - AROUND);
    const end = Math.min(total, Math.ceil((top + scroller.clientHeight) / ROW) + AROUND);
    const rows = [];
    for (let index = first; index < end; index += 1) {
      const run = at(index);
      if (!run) {
        const empty = document.createElement("tr");
        empty.className = "waiting";
        empty.append(cell("th", "…"));
        rows.push(empty);
        continue;
      }
      const own = elementOf(run);
      own.id = `run-${run.id}`;
      own.classList.toggle("active", index === active && run.id === activeId);
      own.setAttribute("aria-rowindex", index + 2);
      own.dataset.index = index;
      rows.push(own);
    }
    spacers[0].cells[0].style.height = `${first * ROW}px`;
    spacers[1].cells[0].style.height = `${Math.max(0, total - end) * ROW}px`;
    body.replaceChildren(spacers[0], ...rows, spacers[1]);
    table.setAttribute("aria-rowcount", total);
    if (total > 0) {
      for (let page = Math.floor(first / PAGE); page <= Math.floor((Math.max(end, 1) - 1) / PAGE); page += 1) {
        if (!pages.has(page)) load(page);
      }
    }
    forget(Math.floor(first / PAGE));
    // A row that is put in its place anew loses what was focused in it.
    if (focused !== document.activeElement && table.contains(focused)) focused.focus({ preventScroll: true });
    if (loaded) announce();
    describe();
  }

  /** Pages far from the window are dropped: a day of scrolling holds no experiment in memory. */
  function forget(near) {
    if (pages.size <= 40) return;
    for (const page of pages.keys()) if (page !== 0 && Math.abs(page - near) > 10) pages.delete(page);
  }

  function describe() {
    const count = all ? total : chosen.size;
    bulk.querySelector("[data-selected]").textContent =
      count ? `${number.format(count)} of ${number.format(total)} selected` : `${number.format(total)} runs`;
    const compare = bulk.querySelector("[data-compare]");
    compare.hidden = all || count < 2 || count > DRAWN_MAX;
    compare.href = `/runs/compare?runs=${[...chosen.keys()].join(",")}`;
    bulk.querySelector(".when-selected").hidden = count === 0;
    bulk.querySelector("[data-none]").hidden = count === 0;
    bulk.elements.namedItem("runs").value = [...chosen.keys()].join(",");
    bulk.elements.namedItem("select").value = all ? "all" : "";
  }

  let drawn = "";
  /** Tells the charts which runs they show: those selected, else the first ones. */
  function announce() {
    const show = Number(new URL(location.href).searchParams.get("show") ?? section.dataset.show) || 10;
    const seen = new Set();
    const runs = [];
    const first = Array.from({ length: Math.min(total, DRAWN_MAX + hidden.size) }, (_, index) => at(index)).filter(Boolean);
    const from = chosen.size ? [...chosen.values()] : [...pinned, ...first];
    for (const run of from) {
      if (hidden.has(run.id) || seen.has(run.id)) continue;
      seen.add(run.id);
      runs.push({ id: run.id, name: run.name, slot: run.slot });
      if (runs.length >= (chosen.size ? DRAWN_MAX : show)) break;
    }
    const text = JSON.stringify(runs);
    if (text === drawn) return;
    drawn = text;
    document.dispatchEvent(new CustomEvent("runs-drawn", { detail: runs }));
  }

  const known = (id) => {
    for (const rows of pages.values()) {
      const run = rows.find((one) => one?.id === id);
      if (run) return run;
    }
    return pinned.find((run) => run.id === id);
  };
  const toggle = (set, id) => (set.has(id) ? set.delete(id) : set.add(id));
  function select(run) {
    if (all) {
      // Nobody who unticks one of all wants that one alone.
      all = false;
      chosen.clear();
      render(true);
      return;
    }
    if (chosen.has(run.id)) chosen.delete(run.id);
    else chosen.set(run.id, run);
    render(true);
  }
  function hide(run) {
    toggle(hidden, run.id);
    remember({ hide: [...hidden].join(",") });
    render(true);
  }
  function pin(run) {
    toggle(pins, run.id);
    const element = elementOf(run).cloneNode(true);
    element.classList.remove("active");
    element.removeAttribute("id");
    pinned = pins.has(run.id) ? [...pinned, { ...run, element }] : pinned.filter((own) => own.id !== run.id);
    remember({ pin: [...pins].join(",") });
    render(true);
  }

  section.addEventListener("click", (event) => {
    const run = known(event.target.closest("tr[data-id]")?.dataset.id);
    if (run && event.target.closest("[data-select]")) select(run);
    else if (run && event.target.closest("[data-hide]")) hide(run);
    else if (run && event.target.closest("[data-pin]")) pin(run);
    else if (event.target.closest("[data-all]")) {
      all = true;
      chosen.clear();
      render(true);
    } else if (event.target.closest("[data-none]")) {
      all = false;
      chosen.clear();
      render(true);
    } else if (event.shiftKey && event.target.closest("thead a")) {
      event.preventDefault();
      addOrder(event.target.closest("th").dataset.term);
    }
  });

  /** With Shift a column is added to the order, or turned round in it. */
  function addOrder(term) {
    const url = new URL(location.href);
    const terms = splitTerms(url.searchParams.get("order") ?? "");
    const place = terms.findIndex((own) => own.replace(/\s+(?:ASC|DESC)$/i, "") === term);
    const next = place >= 0 && /DESC$/i.test(terms[place]) ? `${term} ASC` : `${term} DESC`;
    if (place >= 0) terms[place] = next;
    else terms.push(next);
    url.searchParams.set("order", terms.join(","));
    url.searchParams.delete("offset");
    location.assign(url);
  }

  bulk.addEventListener("submit", (event) => {
    const count = all ? total : chosen.size;
    const deletes = event.submitter?.value === "delete";
    if (deletes && !confirm(`Delete ${number.format(count)} runs? They can be restored.`)) event.preventDefault();
  });

  function move(to) {
    active = Math.max(-pinned.length, Math.min(total - 1, to));
    const top = active * ROW + pinnedBody.offsetHeight;
    const head = table.tHead.offsetHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = Math.max(0, top);
    const below = top + ROW + head - scroller.clientHeight;
    if (below > scroller.scrollTop) scroller.scrollTop = below;
    const run = standing(active);
    activeId = run?.id ?? "";
    render();
    if (run) scroller.setAttribute("aria-activedescendant", `${active < 0 ? "pinned" : "run"}-${run.id}`);
  }
  scroller.addEventListener("keydown", (event) => {
    if (event.target !== scroller || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(scroller.clientHeight / ROW) - 2);
    const here = active ?? -1;
    const steps = { ArrowDown: here + 1, ArrowUp: here - 1, PageDown: here + page, PageUp: here - page, Home: -pinned.length, End: total - 1 };
    const run = active === null ? undefined : known(activeId);
    if (event.key in steps && total > 0) move(steps[event.key]);
    else if (event.key === " " && run) select(run);
    else if (event.key === "Enter" && run) location.assign(`/runs/${run.id}`);
    else if (event.key.toLowerCase() === "h" && run) hide(run);
    else if (event.key.toLowerCase() === "p" && run) pin(run);
    else return;
    event.preventDefault();
  });

  let frame = 0;
  scroller.addEventListener("scroll", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => render());
  });
  addEventListener("resize", () => render());
  document.addEventListener("runs-shown", announce);
  document.body.addEventListener("live", () => {
    generation += 1;
    loading.forEach((request) => request.abort());
    loading.clear();
    const top = Math.max(0, scroller.scrollTop - pinnedBody.offsetHeight);
    const near = Math.floor(top / ROW / PAGE);
    for (const page of [...pages.keys()]) if (page !== near && page !== 0) pages.delete(page);
    for (const page of new Set([0, near])) load(page);
  });

  // What the server wrote is the first page.
  section.querySelectorAll("nav.pager").forEach((pager) => (pager.hidden = true));
  scroller.classList.add("windowed");
  const offset = Number(section.dataset.offset);
  if (offset % PAGE === 0) pages.set(offset / PAGE, [...body.rows].map(fromElement));
  render(true);
  if (offset) scroller.scrollTop = offset * ROW;
}

whenThere("#runs", start);
