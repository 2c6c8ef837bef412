// The layout: a box for each slot, in rows of lanes and columns of stages, coloured by what it does now.
import { choice, count, find, follow, make, percent, say, set } from "./dom.js";
import { KINDS, kindOfSlot } from "./kinds.js";

const COMPACT = 48; // more slots than this are drawn as small boxes

const grouped = (items, keyOf) => {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return [...groups];
};

export const legend = (list, kinds) => {
  const listed = Object.keys(KINDS).filter((kind) => kinds.has(kind));
  follow(list, listed, (kind) => kind, (kind) => make("li", {}, make("i", { class: `swatch ${kind}` }), KINDS[kind]), () => {});
};

const box = () => {
  const doing = make("b"), place = make("span"), dot = make("i"), name = make("span"), worker = make("small", {}, dot, name);
  const shares = make("span", { class: "shares", "aria-hidden": true }, make("i", { class: "part computing" }), make("i", { class: "part transfer" }));
  return Object.assign(make("div", { class: "box" }, doing, place, worker, shares), { parts: { doing, place, worker, dot, name, shares } });
};

const fill = (node, slot, share, byWorker) => {
  const { doing, place, worker, dot, name, shares } = node.parts, kind = kindOfSlot(slot);
  const where = [byWorker ? slot.row : "", slot.stage !== null && byWorker ? `stage ${slot.stage}` : "", slot.branches > 1 ? `branch ${slot.branch}` : ""];
  const what = slot.doing ? slot.name || slot.doing : "waits";
  set(node, "class", `box ${kind}`);
  say(doing, what);
  say(place, [...where.filter(Boolean), slot.doing && slot.step ? `step ${count(slot.step)}` : ""].filter(Boolean).join(" · "));
  say(name, `worker ${slot.worker}`);
  set(dot, "class", `sample run${slot.colour}`);
  worker.hidden = byWorker || slot.worker === "";
  const summary = share ? `; of the last steps ${percent(share.compute)} compute, ${percent(share.transfer)} transfer, ${percent(share.wait)} wait` : "";
  set(node, "title", `${slot.row}, stage ${slot.stage}, branch ${slot.branch}, worker ${slot.worker || "not known yet"}: ${what}${summary}`);
  shares.hidden = !share;
  if (share) [share.compute, share.transfer].forEach((part, i) => { shares.children[i].style.width = `${100 * part}%`; });
};

// A row of the picture: a name, and a cell for each stage with its branches.
const row = () => {
  const name = make("div", { class: "row-name" }), cells = make("div", { class: "cells" });
  return Object.assign(make("div", { class: "row" }, name, cells), { name, cells });
};

// Pixels that a row needs, which decides how many rows stand side by side.
const leastWidth = (isCompact, byWorker, stages, branches) => {
  if (byWorker) return 480;
  return isCompact ? 80 + (36 + 34 * branches) * stages : 110 + 195 * stages;
};

const cellsOf = (slots, byWorker) => (byWorker ? [["all", slots]] : grouped(slots, (slot) => slot.stage));

export const showPicture = (entry, grouping, regroup) => {
  const run = entry.detail, slots = (run.slots ?? []).filter((slot) => slot.slot >= 0); // others are tasks of no slot
  find("picture").hidden = !slots.length;
  if (!slots.length) return;
  const byWorker = grouping === "worker", shares = new Map((run.shares ?? []).map((share) => [share.slot, share]));
  const branches = Math.max(...slots.map((slot) => slot.branch ?? 0)) + 1;
  const workers = [...new Set(slots.map((slot) => slot.worker))].sort(), stages = new Set(slots.map((slot) => slot.stage)).size;
  const boxes = find("picture-boxes");
  boxes.style.setProperty("--least", `${leastWidth(slots.length > COMPACT, byWorker, stages, branches)}px`);
  boxes.classList.toggle("compact", slots.length > COMPACT);
  boxes.classList.toggle("by-worker", byWorker);
  say(find("layout-text"), [entry.head.layout_text || "one slot", run.processes ? "workers are processes" : "workers are threads"].join(" · "));
  choice(find("grouping"), ["lane", "worker"], grouping, regroup);
  const rows = grouped(slots, (slot) => (byWorker ? (slot.worker === "" ? "not placed" : `worker ${slot.worker}`) : slot.row));
  follow(boxes, rows, ([name]) => grouping + name, row, (node, [name, members]) => {
    say(node.name, name);
    follow(node.cells, cellsOf(members, byWorker), ([stage]) => stage, () => make("div", { class: "cell" }), (cell, [stage, some], i) => {
      set(cell, "data-stage", slots.some((slot) => slot.stage > 0) && !byWorker ? `stage ${stage}` : "");
      cell.classList.toggle("later", i > 0);
      follow(cell, some, (slot) => slot.slot, box, (made, slot) => fill(made, { ...slot, branches, colour: workers.indexOf(slot.worker) % 10 }, shares.get(slot.slot), byWorker));
    });
  });
  legend(find("picture-legend"), new Set(["forward", "backward", "update", "reduce", "load", "wait", ...slots.map(kindOfSlot)]));
};
