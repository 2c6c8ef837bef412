// The last steps: a row for each slot, bars of compute by operation, transfers hatched; gaps are waiting.
import { choice, count, draw, find, isNumber, make, percent, say } from "./dom.js";
import { kindOf } from "./kinds.js";
import { legend } from "./layout_picture.js";

const ROW = 22, TOP = 20, TRANSFER = 1, SPANS = { "2 steps": 2, "5 steps": 5, "20 steps": 20, all: Infinity };
let held = null, shown = null;

const kindOfBar = (strip, bar) => (bar[3] === TRANSFER ? "transfer" : kindOf(strip.names[bar[4]] ?? ""));

// The bars of the last steps, and the milliseconds they cover. Bars of no step are shown if they lie there.
// A step counts when something of it was computed: batches of later steps are loaded and sent early.
const EARLY = new Set(["load", "transfer"]);
const cut = (strip, steps) => {
  const computed = strip.bars.filter((bar) => isNumber(bar[5]) && bar[5] >= 0 && !EARLY.has(kindOf(strip.names[bar[4]] ?? "")));
  const listed = [...new Set((computed.length ? computed : strip.bars).map((bar) => bar[5]).filter(isNumber))].sort((a, b) => a - b).slice(-Math.min(steps, 1e6));
  const wanted = new Set(listed), some = strip.bars.filter((bar) => wanted.has(bar[5])), within = some.length ? some : strip.bars;
  const low = Math.min(...within.map((bar) => bar[1])), high = Math.max(...within.map((bar) => bar[2]));
  const bars = strip.bars.filter((bar) => wanted.has(bar[5]) || (!isNumber(bar[5]) && bar[1] >= low && bar[2] <= high));
  return { bars, steps: listed, low, high };
};

// One path for all bars of a kind, so that thousands of bars are few elements.
const paths = (strip, { bars, low, high }, rows, left, width) => {
  const parts = new Map(), scale = width / (high - low || 1);
  for (const bar of bars) {
    const row = rows.get(bar[0]);
    if (row === undefined) continue;
    const kind = kindOfBar(strip, bar), x = left + (bar[1] - low) * scale, w = Math.max(0.6, (bar[2] - bar[1]) * scale - 0.4);
    if (!parts.has(kind)) parts.set(kind, []);
    parts.get(kind).push(`M${x.toFixed(1)} ${TOP + row * ROW + 3}h${w.toFixed(1)}v${ROW - 6}h${-w.toFixed(1)}z`);
  }
  return [...parts].map(([kind, list]) => draw("path", { class: `bar-of ${kind}`, d: list.join("") }));
};

const starts = ({ bars, steps }) => {
  const first = new Map();
  for (const bar of bars) first.set(bar[5], Math.min(first.get(bar[5]) ?? Infinity, bar[1]));
  return steps.map((step) => [step, first.get(step)]);
};

const placeOf = (slot, isWide) => [
  slot.row, slot.stages && slot.slot >= 0 ? `${isWide ? "stage " : "s"}${slot.stage}` : "", slot.branches ? `${isWide ? "branch " : "b"}${slot.branch}` : "",
].filter(Boolean).join(isWide ? " · " : " ");

const time = (value) => (value < 10 ? `${+value.toFixed(2)} ms` : `${count(value)} ms`);

const hatch = () => draw("defs", {}, draw("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
  draw("rect", { width: 6, height: 6, class: "hatch-back" }), draw("rect", { width: 3, height: 6, class: "hatch-line" })));

const picture = (node, strip, part, slots, shares) => {
  const left = node.clientWidth > 900 ? 176 : 128, right = 178, width = Math.max(120, node.clientWidth - left - right), height = TOP + slots.length * ROW + 18;
  const rows = new Map(slots.map((slot, i) => [slot.slot, i])), scale = width / (part.high - part.low || 1);
  const svg = draw("svg", { viewBox: `0 0 ${left + width + right} ${height}`, role: "img", "aria-label": "Timeline of the last steps, a row for each slot" }, hatch());
  svg.style.height = `${height}px`;
  const text = (x, y, words, anchor = "start") => { const made = draw("text", { x, y, class: "tick", "text-anchor": anchor }); made.textContent = words; svg.append(made); };
  const line = (style, x1, x2, y1, y2) => svg.append(draw("line", { class: style, x1, x2, y1, y2 }));
  let free = -1e9;
  for (const [step, start] of starts(part)) {
    const x = left + (start - part.low) * scale;
    line("grid", x, x, TOP - 4, height - 16);
    if (x < free || x > left + width - 20) continue;
    text(x + 2, TOP - 7, count(step));
    free = x + 64;
  }
  slots.forEach((slot, i) => {
    const y = TOP + i * ROW;
    svg.append(draw("rect", { class: "track", x: left, y: y + 3, width, height: ROW - 6 }));
    const place = placeOf(slot, left > 150), most = left > 150 ? 28 : 18;
    text(left - 8, y + 15, place.length > most ? `${place.slice(0, most - 1)}…` : place, "end");
    const share = shares.get(slot.slot);
    if (!share) return;
    [share.compute, share.transfer, share.wait].forEach((value, k) => text(left + width + 52 + 56 * k, y + 15, percent(value), "end"));
  });
  ["compute", "transfer", "wait"].forEach((name, k) => text(left + width + 52 + 56 * k, TOP - 7, name, "end"));
  svg.append(...paths(strip, part, rows, left, width));
  text(4, TOP - 7, "step");
  text(left, height - 3, "0 ms");
  text(left + width, height - 3, time(part.high - part.low), "end");
  return Object.assign(svg, { read: (x, y) => {
    const row = Math.floor((y - TOP) / ROW), at = part.low + (x - left) / scale;
    return part.bars.find((bar) => rows.get(bar[0]) === row && bar[1] <= at && bar[2] >= at);
  } });
};

const tip = (node, strip, svg) => {
  const told = make("div", { class: "tip", hidden: true });
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect(), x = event.clientX - place.left, bar = svg.read(x, event.clientY - place.top);
    told.hidden = !bar;
    if (!bar) return;
    say(told, `${strip.names[bar[4]] ?? ""}${bar[3] === TRANSFER ? " (transfer)" : ""}, ${isNumber(bar[5]) ? `step ${count(bar[5])}: ` : ""}${time(bar[2] - bar[1])}`);
    told.style.left = `${Math.max(0, Math.min(x + 12, node.clientWidth - told.offsetWidth))}px`;
    told.style.top = `${event.clientY - place.top + 14}px`;
  });
  svg.addEventListener("pointerleave", () => { told.hidden = true; });
  return told;
};

export const showStrip = (entry, span, choose) => {
  const run = entry.detail, node = find("strip"), hold = find("hold");
  if (held && held.id !== entry.id) held = null;
  hold.setAttribute("aria-pressed", String(Boolean(held)));
  hold.onclick = () => { held = held ? null : { id: entry.id, strip: entry.detail.strip }; showStrip(entry, span, choose); };
  const strip = held?.strip ?? run.strip, slots = run.slots ?? [];
  find("steps").hidden = !strip?.bars?.length;
  if (find("steps").hidden) return;
  choice(find("span"), Object.keys(SPANS), span, choose);
  const facts = [entry.id, strip.from, strip.bars.length, strip.bars.at(-1), span, node.clientWidth, slots.length, run.shares].map((fact) => JSON.stringify(fact)).join();
  if (facts === shown) return;
  shown = facts;
  const part = cut(strip, SPANS[span]), shares = new Map((run.shares ?? []).map((share) => [share.slot, share]));
  const stages = slots.some((slot) => slot.stage > 0), branches = slots.some((slot) => slot.branch > 0);
  const svg = picture(node, strip, part, slots.map((slot) => ({ ...slot, stages, branches })), shares);
  node.replaceChildren(svg, tip(node, strip, svg));
  say(find("strip-text"), `${time(part.high - part.low)}, ${count(part.bars.length)} tasks and transfers`);
  legend(find("strip-legend"), new Set([...part.bars.map((bar) => kindOfBar(strip, bar)), "wait"]));
};
