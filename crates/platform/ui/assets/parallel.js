// Parallel coordinates: one line a run, one axis a column. Dragging along an axis keeps the runs in that range.
import { read, say, whenThere } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 340;
const TOP = 58;
const BOTTOM = 24;
const GAP = 150;
const SHADES = 5;

/** Where values lie between 0 and 1: numbers by size, texts evenly. */
export function scaleOf(values) {
  const given = values.filter((value) => value !== null);
  if (given.every((value) => typeof value === "number")) {
    const low = Math.min(...given);
    const high = Math.max(...given);
    const span = high > low ? high - low : 1;
    return { place: (value) => (value === null ? null : (value - low) / span), ticks: given.length ? [low, high] : [] };
  }
  const texts = [...new Set(given.map(String))].sort();
  return {
    place: (value) => (value === null ? null : (texts.indexOf(String(value)) + 0.5) / texts.length),
    ticks: texts.length <= 12 ? texts : [texts[0], texts.at(-1)],
  };
}

const text = (value) => (typeof value === "number" ? String(Number(value.toPrecision(5))) : String(value));

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function start(section) {
  const place = section.querySelector(".plot");
  const problem = section.querySelector(".error");
  const count = section.querySelector("[data-count]");
  const brushes = new Map();
  let order = [];
  let answer = null;
  let scales = [];
  let lines = [];

  const left = (position) => 70 + position * GAP;
  const down = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);

  function draw() {
    const width = left(order.length - 1) + 90;
    const svg = element("svg", { class: "chart parallel", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "group", "aria-label": "Parallel coordinates" });
    const shading = answer.columns.findIndex((column) => column.term === section.dataset.colour);
    const by = shading >= 0 ? shading : answer.columns.findIndex((column) => column.kind === "metrics");
    lines = answer.rows.map((row) => {
      const points = order
        .map((column, position) => [left(position), scales[column].place(row.values[column])])
        .filter(([, share]) => share !== null)
        .map(([x, share]) => `${x},${down(share).toFixed(1)}`);
      const share = by >= 0 ? scales[by].place(row.values[by]) : null;
      const shade = share === null ? `c${row.slot}` : `q${Math.min(SHADES - 1, Math.floor(share * SHADES))}`;
      const line = element("polyline", { points: points.join(" "), class: shade }, element("title", {}, row.name));
      line.addEventListener("click", () => location.assign(`/runs/${row.id}`));
      return line;
    });
    svg.append(...lines);
    order.forEach((column, position) => svg.append(axis(column, position)));
    place.replaceChildren(svg);
    sift();
  }

  function axis(column, position) {
    const x = left(position);
    const { label, term } = answer.columns[column];
    const group = element("g", { class: "axis-group" });
    group.append(element("line", { class: "axis", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
    group.append(element("text", { x, y: 20, "text-anchor": "middle" }, element("title", {}, term), label.length > 20 ? `${label.slice(0, 19)}…` : label));
    for (const tick of scales[column].ticks) {
      group.append(element("text", { x: x + 6, y: down(scales[column].place(tick)) + 4, class: "tick" }, text(tick).slice(0, 16)));
    }
    const turn = (by, sign, name) => {
      const button = element("g", { role: "button", tabindex: "0", class: "turn", "aria-label": `Move ${label} ${name}` }, element("text", { x: x + by * 14, y: 40, "text-anchor": "middle" }, sign));
      const act = () => move(position, by);
      button.addEventListener("click", act);
      button.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), act()));
      return button;
    };
    if (position > 0) group.append(turn(-1, "◂", "left"));
    if (position < order.length - 1) group.append(turn(1, "▸", "right"));
    const brush = element("rect", { class: "brush", x: x - 9, width: 18, y: 0, height: 0 });
    const hold = element("rect", {
      class: "hold", x: x - 14, width: 28, y: TOP - 6, height: HEIGHT - TOP - BOTTOM + 12, tabindex: "0", role: "slider",
      "aria-label": `Range of ${label}`, "aria-orientation": "vertical", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "100",
    });
    const show = () => {
      const range = brushes.get(column);
      brush.setAttribute("height", range ? Math.max(1, down(range[0]) - down(range[1])) : 0);
      brush.setAttribute("y", range ? down(range[1]) : 0);
      const [low, high] = range ?? [0, 1];
      hold.setAttribute("aria-valuenow", Math.round(high * 100));
      hold.setAttribute("aria-valuetext", range ? `from ${Math.round(low * 100)} to ${Math.round(high * 100)} percent` : "all");
      sift();
    };
    const shareAt = (event) => {
      const box = hold.getBoundingClientRect();
      const scale = box.height / (HEIGHT - TOP - BOTTOM + 12);
      const y = (event.clientY - box.top) / scale - 6;
      return Math.max(0, Math.min(1, 1 - y / (HEIGHT - TOP - BOTTOM)));
    };
    let from = null;
    hold.addEventListener("pointerdown", (event) => {
      from = shareAt(event);
      hold.setPointerCapture(event.pointerId);
    });
    hold.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = shareAt(event);
      brushes.set(column, [Math.min(from, to), Math.max(from, to)]);
      show();
    });
    hold.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(from - shareAt(event)) < 0.01) {
        brushes.delete(column);
        show();
      }
      from = null;
    });
    // Arrows move the upper end, with Shift the lower one; Escape takes the range away.
    hold.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
      if (event.key === "Escape") brushes.delete(column);
      else if (step) {
        const range = [...(brushes.get(column) ?? [0, 1])];
        const end = event.shiftKey ? 0 : 1;
        range[end] = Math.max(end ? range[0] : 0, Math.min(end ? 1 : range[1], range[end] + step));
        brushes.set(column, range);
      } else return;
      event.preventDefault();
      show();
    });
    group.append(brush, hold);
    if (brushes.has(column)) queueMicrotask(show);
    return group;
  }

  function move(position, by) {
    const next = [...order];
    [next[position], next[position + by]] = [next[position + by], next[position]];
    order = next;
    const url = new URL(location.href);
    url.searchParams.set("columns", order.map((column) => answer.columns[column].term).join(","));
    history.replaceState(history.state, "", url);
    draw();
    place.querySelectorAll(".turn")[0]?.focus();
  }

  function sift() {
    let kept = 0;
    answer.rows.forEach((row, index) => {
      const inside = [...brushes].every(([column, [low, high]]) => {
        const share = scales[column].place(row.values[column]);
        return share !== null && share >= low - 1e-9 && share <= high + 1e-9;
      });
      lines[index]?.classList.toggle("off", !inside);
      kept += inside;
    });
    count.textContent = brushes.size
      ? `${kept} of ${answer.rows.length} runs are inside the ranges. Click on an axis to take its range away.`
      : `${answer.rows.length} of ${answer.total} runs. Drag along an axis to keep a range; a click on a line opens its run.`;
  }

  async function load() {
    try {
      answer = await read(section.dataset.parallel);
      say(problem, "");
    } catch (error) {
      count.textContent = "";
      say(problem, error.message);
      return;
    }
    if (!answer.columns.length || !answer.rows.length) {
      count.textContent = "Nothing to draw: choose axes that these runs have, for example params.depth,metrics.mae.";
      return;
    }
    scales = answer.columns.map((_, column) => scaleOf(answer.rows.map((row) => row.values[column])));
    order = answer.columns.map((_, column) => column);
    draw();
  }
  load();
}

whenThere("[data-parallel]", start);
