// The layers: norms now, and how they went.
import { count, draw, find, make, say, score, isNumber, table, whenNew } from "./dom.js";

const WIDTH = 110, HEIGHT = 22;

const sparkline = (values, log) => {
  const f = log ? (value) => Math.log(Math.max(value, 1e-12)) : (value) => value;
  const known = values.filter((value) => isNumber(value)).map(f), low = Math.min(...known), high = Math.max(...known);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "spark", "aria-hidden": true });
  let pen = "M";
  const parts = values.map((value, i) => {
    if (!isNumber(value)) { pen = "M"; return ""; }
    const x = 1 + (WIDTH - 2) * (values.length > 1 ? i / (values.length - 1) : 1), share = high > low ? (f(value) - low) / (high - low) : 0.5;
    const part = `${pen}${x.toFixed(1)} ${(HEIGHT - 2 - (HEIGHT - 4) * share).toFixed(1)}`;
    pen = "L";
    return part;
  });
  svg.append(draw("path", { d: parts.join("") }));
  return svg;
};

// The usual ratio of an update to its weights is about 0.001: Karpathy's rule of thumb, within a factor of ten.
const verdict = (ratio, gradient) => {
  if (gradient === null) return ["alarm", "not finite"];
  if (gradient === 0) return ["alarm", "no gradient"];
  if (!isNumber(ratio)) return ["", "–"];
  if (ratio > 1e-2) return ["alarm", "high", "The learning rate may be too high for this layer."];
  if (ratio < 1e-4) return ["", "low", "The layer hardly changes: at the end of a schedule that is usual, else its learning rate may be too low."];
  return ["fine", "usual"];
};

const cell = (values, log) => {
  const last = values.at(-1);
  return make("div", { class: "with-spark" }, make("span", {}, last === null ? "not finite" : score(last)), sparkline(values, log));
};

export const showLayers = (entry) => {
  const layers = entry.detail.layers ?? {}, names = layers.names ?? [], steps = layers.steps ?? [];
  const section = find("layers");
  section.hidden = !steps.length || !names.length;
  if (section.hidden) return;
  say(find("layers-text"), `after step ${count(steps.at(-1))}; small curves show steps ${count(steps[0])} to ${count(steps.at(-1))}`);
  whenNew(find("layer-table"), [entry.id, names, steps.length, steps.at(-1), layers.gradient_norm?.at(-1)], () => {
    const column = (rows, i) => (rows ?? []).map((row) => row[i]);
    return table(["layer", "gradient norm", "weight norm", "update / weight", "usual: about 0.001"], names.map((name, i) => {
      const [gradients, weights, ratios] = [layers.gradient_norm, layers.weight_norm, layers.update_ratio].map((rows) => column(rows, i));
      const [style, words, why] = verdict(ratios.at(-1), gradients.at(-1));
      return [make("b", {}, name), cell(gradients, true), cell(weights, false), cell(ratios, true), make("span", { class: `verdict ${style}`, title: why ?? null }, words)];
    }));
  });
};
