// Settings of the runs side by side, marks, workers and the cache of data.
import { bytes, clock, count, duration, find, make, percent, say, table, whenNew } from "./dom.js";

const MOST_MARKS = 300;
const ALARMS = new Set(["worker lost", "worker left", "restart"]);

const FACTS = [
  ["model", (run) => run.model],
  ["parameters", (run) => count(run.parameters)],
  ["optimizer", (run) => run.optimizer],
  ["loss", (run) => run.loss],
  ["batch", (run) => `${count(run.batch)} rows`],
  ["training data", (run) => `${count(run.rows)} rows`],
  ["layout", (run) => run.layout_text || "one slot"],
  ["steps", (run) => count(run.steps)],
  ["folder", (run) => run.folder],
];

export const showFacts = (entries) => {
  const runs = entries.map((entry) => entry.head), several = runs.length > 1;
  const rows = FACTS.map(([name, read]) => [name, ...runs.map((run) => read(run) ?? "")]).filter((row) => row.slice(1).some((value) => value !== ""));
  whenNew(find("facts"), [several, runs.map((run) => run.name), rows], () => {
    const body = rows.map(([name, ...values]) => {
      const differs = several && new Set(values).size > 1;
      return make("tr", { class: differs ? "differs" : null }, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, value)));
    });
    const head = several ? [make("thead", {}, make("tr", {}, make("th"), ...runs.map((run) => make("th", { scope: "col" }, run.name))))] : [];
    return [...head, make("tbody", {}, ...body)];
  });
};

// Pages in the folder of the run, where the scheduler sees it.
export const showFiles = (entry) => {
  const names = entry.head.files ?? [], node = find("files");
  node.hidden = !names.length;
  whenNew(node, [entry.id, names], () => ["Pages of this run:", ...names.map((name) => make("a", { href: `daskpar/runs/${encodeURIComponent(entry.id)}/${encodeURIComponent(name)}` }, name))]);
};

export const showMarks = (entry) => {
  const marks = [...(entry.detail.marks ?? [])].sort((a, b) => a.time - b.time), section = find("marks");
  section.hidden = !marks.length;
  whenNew(find("mark-table"), [entry.id, entry.head.started, marks.length, marks.at(-1)], () => {
    const rows = marks.slice(-MOST_MARKS).reverse().map((mark) => [
      clock(mark.time), duration(mark.time - entry.head.started), count(mark.step),
      make("span", { class: `chip ${ALARMS.has(mark.kind) ? "failed" : "plain"}` }, mark.kind), mark.text,
    ]);
    return table(["time", "after", "step", "mark", ""], rows);
  });
};

const dataText = (data) => {
  const kept = data.kept ? "kept" : "read again for each epoch", ahead = data.ahead ? `; batches are loaded ${count(data.ahead)} steps ahead` : "";
  return `data: ${count(data.in_memory)} of ${count(data.chunks)} chunks in memory (${bytes(data.bytes)}), ${kept}${ahead}`;
};

export const showWorkers = (workers, entry) => {
  const slots = entry.detail.slots ?? [], data = entry.detail.data;
  whenNew(find("worker-table"), [workers, slots.map((slot) => slot.worker)], () => table(
    ["worker", "slots", "tasks", "CPU", "memory", "threads", "address"],
    workers.map((worker) => [
      make("b", {}, String(worker.name)), count(slots.filter((slot) => slot.worker === String(worker.name)).length), count(worker.running),
      percent(worker.cpu / 100), bytes(worker.memory), count(worker.threads), worker.address,
    ]),
  ));
  say(find("data"), data?.chunks ? dataText(data) : "");
};

export const showPages = (pages) => {
  whenNew(find("pages"), pages, () => {
    const logo = make("img", { src: "statics/images/dask-logo.svg", alt: "Dask", height: 28 });
    logo.onerror = () => logo.replaceWith("Dask");
    const links = pages.map((page) => make("a", { href: encodeURI(page) }, page[0].toUpperCase() + page.slice(1)));
    return [logo, ...links, make("a", { href: "daskpar", "aria-current": "page" }, "Daskpar")];
  });
};

