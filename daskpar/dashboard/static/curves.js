// The charts of one run, or of several over each other.
import { isNumber } from "./dom.js";
import { epochOf } from "./headline.js";
import { seriesOf } from "./store.js";

// The mean of the points before, weighted less the older they are. Weights follow distance on the axis, so a
// curve looks the same however many of its points were kept; and the first points are not drawn to zero.
export const smooth = (x, y, weight) => {
  const each = (x.length - 1) / (x.at(-1) - x[0] || 1);
  let mean = 0, total = 0, before = x[0];
  return y.map((value, i) => {
    if (!isNumber(value)) return null;
    const kept = i ? weight ** ((x[i] - before) * each) : 0;
    before = x[i];
    mean = kept * mean + (1 - weight) * value;
    total = kept * total + (1 - weight);
    return mean / total;
  });
};

// Seconds since the start at a step, between the steps whose time is known.
const secondsAt = (entry) => {
  const known = seriesOf(entry, "seconds", "", "window"), start = entry.head.started;
  const x = [entry.head.resumed_at ?? 0, ...(known?.x ?? [])], y = [0, ...(known?.y ?? []).map((time) => time - start)];
  return (step) => {
    if (x.length < 2) return entry.head.step ? entry.head.seconds * step / entry.head.step : 0;
    let low = 0, high = x.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (x[middle] <= step) low = middle; else high = middle;
    }
    return y[low] + (step - x[low]) * (y[high] - y[low]) / (x[high] - x[low] || 1);
  };
};

export const along = (entry, axis) => {
  if (axis === "epoch" && entry.head.epoch?.steps) return (step) => epochOf(entry.head, step);
  return axis === "time" ? secondsAt(entry) : null;
};

const NAMES = { examples_per_second: "examples per second" };
const titleOf = (name) => NAMES[name] ?? name.replaceAll("_", " ");
const FIRST = ["loss"], LAST = ["learning_rate", "examples_per_second", "gradient_norm", "staleness"];
const KINDS = { learning_rate: "rate", examples_per_second: "pace", gradient_norm: "rate", staleness: "pace" };

const namesOf = (entries) => {
  const names = new Set(entries.flatMap((entry) => [...entry.series.values()].map((series) => series.name)));
  names.delete("seconds");
  const rank = (name) => (FIRST.includes(name) ? -1 : 1 + LAST.indexOf(name) + (LAST.includes(name) ? 1 : 0));
  return [...names].sort((a, b) => rank(a) - rank(b));
};

// Curves of one series: its points, faint if a smoothed curve lies over them.
const curvesOf = (series, entry, settings, several) => {
  const place = along(entry, settings.axis), x = place ? series.x.map(place) : series.x;
  const isNoisy = series.each === "step" || series.each === "window" || series.each === "watched";
  const isSmoothed = isNoisy && settings.smoothing > 0 && series.name !== "learning_rate" && series.name !== "staleness";
  const name = several ? entry.label : "", part = series.part || titleOf(series.name);
  const label = several ? (series.part ? `${name}, ${part}` : name) : part;
  const base = several ? `run${entry.colour}` : series.part === "max" ? "rate" : KINDS[series.name] ?? (series.part === "validation" ? "validation" : "train");
  const each = `${series.part ? `${part}, ` : ""}each ${series.each === "watched" ? "watched step" : series.each}`;
  const kind = several && (series.part === "validation" || series.part === "max") ? `${base} validation` : base;
  if (!isSmoothed) {
    const noisy = isNoisy && !several && series.part === "train";
    return [{ label: noisy ? each : label, kind: noisy ? "steps" : kind, x, y: series.y }];
  }
  const smoothed = { label: several ? label : `${series.part ? `${part}, ` : ""}smoothed`, kind: `${kind} line`, x, y: smooth(x, series.y, settings.smoothing) };
  if (several) return [smoothed];
  return [{ label: each, kind: series.part === "train" ? "steps" : `${kind} raw`, x, y: series.y }, smoothed];
};

const chartOf = (name, entries, settings) => {
  const several = entries.length > 1, curves = [];
  for (const entry of entries) {
    const all = [...entry.series.values()].filter((series) => series.name === name && series.x.length);
    const isEach = all.some((series) => series.part === "train" && series.each !== "evaluation");
    for (const series of all) {
      // Values of the training data at evaluations say the same as those of each step.
      if (isEach && series.part === "train" && series.each === "evaluation") continue;
      curves.push(...curvesOf(series, entry, settings, several));
    }
  }
  return { name: titleOf(name), log: false, wide: name === "loss", curves };
};

// Several runs of one name are told apart by a number.
const labelled = (entries) => entries.map((entry) => {
  const same = entries.filter((other) => other.head.name === entry.head.name);
  return { ...entry, label: same.length > 1 ? `${entry.head.name} #${same.length - same.indexOf(entry)}` : entry.head.name };
});

const marksOf = (entry, axis) => {
  const place = along(entry, axis);
  return (entry.detail.marks ?? []).map((mark) => {
    const x = axis === "time" ? mark.time - entry.head.started : place ? place(mark.step) : mark.step;
    return { x, kind: mark.kind, text: mark.text || mark.kind };
  }).filter((mark) => isNumber(mark.x));
};

export const boardOf = (chosen, others, settings) => {
  const entries = labelled([chosen, ...others]);
  const charts = namesOf(entries).map((name) => chartOf(name, entries, settings)).filter((chart) => chart.curves.length);
  const epoch = chosen.head.epoch, plain = epoch?.steps && !epoch.from && !epoch.before;
  return { charts, marks: marksOf(chosen, settings.axis), axis: { name: settings.axis, per_epoch: plain && !others.length ? epoch.steps : 0 } };
};
