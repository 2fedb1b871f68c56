// Charts of metrics: bands from the server, drawn by uPlot (a global of its own script). Dragging asks for the range again, so a
// picture never shows less than its pixels can.
import { read, remember, say, whenThere } from "./page.js";

const HEIGHT = 240;
const READOUT = 12;
/** Points are no news on the stream: while a run is under way its histories are read again this often. */
const REFRESH_MS = 3000;

/** A time, or the number when it is none. */
function clock(value) {
  const at = new Date(value * 1000);
  return Number.isNaN(at.getTime()) ? String(value) : at.toISOString().slice(0, 19).replace("T", " ");
}

/** Steps that are there twice become one with both values in its band. */
export function merged(run) {
  const out = { x: [], last: [], min: [], max: [] };
  run.x.forEach((x, index) => {
    const end = out.x.length - 1;
    const [last, min, max] = [run.last[index], run.min[index], run.max[index]];
    if (end >= 0 && out.x[end] === x) {
      out.last[end] = last ?? out.last[end];
      out.min[end] = min === null ? out.min[end] : Math.min(min, out.min[end] ?? min);
      out.max[end] = max === null ? out.max[end] : Math.max(max, out.max[end] ?? max);
    } else {
      out.x.push(x);
      out.last.push(last);
      out.min.push(min);
      out.max.push(max);
    }
  });
  return out;
}

/** Exponential moving average without the pull to zero at the beginning; gaps stay. */
export function smoothed(values, weight) {
  let sum = 0;
  let share = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return sum / share;
  });
}

export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
}

export function elapsed(seconds) {
  const size = Math.abs(seconds);
  if (size < 120) return `${short(seconds)} s`;
  if (size < 7200) return `${short(seconds / 60)} min`;
  return size < 172800 ? `${short(seconds / 3600)} h` : `${short(seconds / 86400)} d`;
}

function start(area) {
  const box = area.querySelector("[data-charts]");
  const tools = area.querySelector("[data-chart-tools]");
  const field = (name) => tools.elements.namedItem(name);
  const asked = new URL(location.href).searchParams;
  for (const name of ["x", "smooth"]) if (asked.has(name)) field(name).value = asked.get(name);
  if (!field("x").value) field("x").value = "step";
  field("log").checked = Boolean(asked.get("log"));
  let runs = JSON.parse(box.dataset.runs || "[]");
  const cards = [...box.querySelectorAll("[data-chart]")].map((element) => ({
    element,
    key: element.dataset.chart,
    place: element.querySelector(".plot"),
    problem: element.querySelector(".error"),
    link: element.querySelector("[data-svg]"),
    readout: element.appendChild(document.createElement("ul")),
    seen: false,
    range: null,
    plot: null,
    answer: null,
    request: null,
  }));
  cards.forEach((card) => {
    card.readout.className = "readout";
    card.readout.setAttribute("aria-hidden", "true");
  });

  const probe = document.createElement("i");
  probe.hidden = true;
  area.append(probe);
  const colour = (slot) => {
    probe.className = `c${slot}`;
    return getComputedStyle(probe).getPropertyValue("--run").trim();
  };
  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function address(card, path) {
    const url = new URL(path, location.href);
    url.searchParams.set("runs", runs.map((run) => run.id).join(","));
    url.searchParams.set("key", card.key);
    url.searchParams.set("x", field("x").value);
    if (card.range) {
      url.searchParams.set("from", card.range[0]);
      url.searchParams.set("to", card.range[1]);
    }
    return url;
  }

  async function fetchCard(card) {
    card.request?.abort();
    if (!runs.length) {
      card.answer = { runs: [] };
      draw(card);
      return;
    }
    const request = new AbortController();
    card.request = request;
    const save = address(card, "/api/v1/runs/chart.svg");
    save.searchParams.set("save", "1");
    card.link.href = save.pathname + save.search;
    const url = address(card, "/api/v1/runs/series");
    url.searchParams.set("width", Math.max(64, Math.round(card.place.clientWidth)));
    try {
      card.answer = await read(url, request.signal);
      say(card.problem, "");
      draw(card);
    } catch (error) {
      if (error.name !== "AbortError") say(card.problem, error.message);
    }
  }

  /** Per run: upper edge, lower edge, the values when they are smoothed, and the line. */
  function content(card, weight, log) {
    const usable = (values) => (log ? values.map((value) => (value > 0 ? value : null)) : values);
    const tables = card.answer.runs.map((run) => {
      const { x, last, min, max } = merged(run);
      const table = [x, usable(max), usable(min)];
      if (weight > 0) table.push(usable(last));
      table.push(weight > 0 ? smoothed(usable(last), weight) : usable(last));
      return table;
    });
    const width = weight > 0 ? 4 : 3;
    const series = [{}];
    const bands = [];
    card.answer.runs.forEach((run, index) => {
      const stroke = colour(run.slot);
      const first = 1 + index * width;
      const quiet = { points: { show: false } };
      series.push({ ...quiet, stroke: "transparent" }, { ...quiet, stroke: "transparent" });
      if (weight > 0) series.push({ ...quiet, stroke: `${stroke}55`, width: 1 });
      series.push({ stroke, width: 1.6, points: { show: tables[index][0].length < 40, size: 4 } });
      bands.push({ series: [first, first + 1], fill: `${stroke}2e` });
    });
    return { data: tables.length === 1 ? tables[0] : uPlot.join(tables), series, bands, width };
  }

  function draw(card) {
    card.plot?.destroy();
    card.plot = null;
    card.readout.replaceChildren();
    if (!card.answer) return;
    if (!card.answer.runs.some((run) => run.x.length)) {
      const none = document.createElement("p");
      none.className = "empty";
      none.textContent = runs.length ? "None of these runs has points of it here." : "No run is shown.";
      card.place.replaceChildren(none);
      return;
    }
    card.place.replaceChildren();
    const across = field("x").value;
    const log = field("log").checked;
    const { data, series, bands, width } = content(card, Number(field("smooth").value), log);
    const axis = { stroke: variable("--muted"), grid: { stroke: variable("--line"), width: 1 }, ticks: { stroke: variable("--line"), width: 1 } };
    const label = { step: (value) => short(value), relative: elapsed, time: clock }[across];
    const scaleX = { time: across === "time" };
    if (card.range) scaleX.range = [...card.range];
    card.plot = new uPlot(
      {
        width: Math.max(160, card.place.clientWidth),
        height: HEIGHT,
        series,
        bands,
        legend: { show: false },
        scales: { x: scaleX, y: log ? { distr: 3 } : {} },
        axes: [
          across === "relative" ? { ...axis, values: (_, places) => places.map(elapsed) } : axis,
          { ...axis, size: 64, values: (_, places) => places.map((value) => (value === null ? "" : short(value))) },
        ],
        cursor: {
          drag: { x: true, y: false, setScale: false },
          bind: { dblclick: () => () => zoom(card, null) },
        },
        hooks: {
          setSelect: [
            (plot) => {
              if (plot.select.width < 4) return;
              const from = plot.posToVal(plot.select.left, "x");
              zoom(card, [from, plot.posToVal(plot.select.left + plot.select.width, "x")]);
            },
          ],
          setCursor: [(plot) => tell(card, plot, width, label)],
        },
      },
      data,
      card.place,
    );
  }

  function zoom(card, range) {
    card.range = range;
    card.element.classList.toggle("zoomed", Boolean(range));
    fetchCard(card);
  }

  /** Values of the runs under the pointer, largest first. */
  function tell(card, plot, width, label) {
    const { idx } = plot.cursor;
    if (idx === null || idx === undefined) return card.readout.replaceChildren();
    const lines = card.answer.runs.map((run, index) => {
      const values = plot.data[(index + 1) * width];
      let place = idx;
      while (place > 0 && values[place] === undefined) place -= 1;
      return { run, value: values[place] };
    });
    const numbers = lines.filter(({ value }) => Number.isFinite(value)).sort((a, b) => b.value - a.value);
    const head = document.createElement("li");
    head.textContent = label(plot.data[0][idx]);
    const items = numbers.slice(0, READOUT).map(({ run, value }) => {
      const item = document.createElement("li");
      const dot = document.createElement("i");
      dot.className = `dot c${run.slot}`;
      item.append(dot, `${run.name} `, Object.assign(document.createElement("b"), { textContent: short(value) }));
      return item;
    });
    card.readout.replaceChildren(head, ...items);
  }

  const visible = () => cards.filter((card) => card.seen);
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const card = cards.find((one) => one.element === entry.target);
        if (entry.isIntersecting && !card.seen) {
          card.seen = true;
          fetchCard(card);
        }
      }
    },
    { rootMargin: "200px" },
  );
  cards.forEach((card) => watcher.observe(card.element));
  const sizes = new ResizeObserver((entries) => {
    for (const entry of entries) {
      const card = cards.find((one) => one.place === entry.target);
      const width = Math.max(160, Math.floor(entry.contentRect.width));
      if (card.plot && card.plot.width !== width) card.plot.setSize({ width, height: HEIGHT });
    }
  });
  cards.forEach((card) => sizes.observe(card.place));
  // Without a pointer: plus and minus zoom, arrows move, Escape shows all.
  area.addEventListener("keydown", (event) => {
    const card = cards.find((one) => one.place === event.target);
    const scale = card?.plot?.scales.x;
    if (!scale || event.ctrlKey || event.metaKey || event.altKey) return;
    const span = scale.max - scale.min;
    const by = { "+": [0.25, -0.25], "-": [-0.5, 0.5], ArrowLeft: [-0.25, -0.25], ArrowRight: [0.25, 0.25] }[event.key];
    if (event.key === "Escape") zoom(card, null);
    else if (by && span > 0) zoom(card, [scale.min + by[0] * span, scale.max + by[1] * span]);
    else return;
    event.preventDefault();
  });

  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", (event) => {
    const { name } = event.target;
    if (name === "smooth" || name === "log") visible().forEach(draw);
  });
  tools.addEventListener("change", (event) => {
    const { name, value, type, checked } = event.target;
    const kept = type === "checkbox" ? (checked ? value : "") : value;
    remember({ [name]: { x: "step", smooth: "0", show: "10" }[name] === kept ? "" : kept });
    if (name === "x") {
      cards.forEach((card) => (card.range = null));
      visible().forEach(fetchCard);
    }
    if (name === "show") document.dispatchEvent(new Event("runs-shown"));
  });
  document.addEventListener("runs-drawn", (event) => {
    if (JSON.stringify(event.detail) === JSON.stringify(runs)) return;
    runs = event.detail;
    visible().forEach(fetchCard);
  });
  let refresh = null;
  document.body.addEventListener("live", () => {
    refresh ??= setTimeout(() => {
      refresh = null;
      if (!document.hidden) visible().forEach(fetchCard);
    }, REFRESH_MS);
  });
  setInterval(() => {
    if (document.hidden) return;
    for (const card of visible()) if (card.answer?.runs.some((run) => run.running)) fetchCard(card);
  }, REFRESH_MS);
  const redraw = () => visible().forEach(draw);
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

whenThere("#charts", start);
