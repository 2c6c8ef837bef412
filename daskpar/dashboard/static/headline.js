// The run in numbers, large enough to be read from afar.
import { count, duration, find, follow, isNumber, make, milliseconds, percent, say, score } from "./dom.js";
import { progressOf } from "./runs.js";

export const epochOf = (run, step) => {
  const { steps, from = 0, before = 0 } = run.epoch ?? {};
  return steps ? before + (step - from) / steps : null;
};

// The best value of a curve of evaluations, as the list of larger-is-better scores says.
const bestOf = (entry, name, part) => {
  const series = [...entry.series.values()].find((each) => each.name === name && each.part === part && each.each === "evaluation");
  const larger = (entry.head.larger_is_better ?? []).includes(name);
  let best = null;
  series?.y.forEach((value, i) => {
    if (isNumber(value) && (!best || (larger ? value > best.value : value < best.value))) best = { value, step: series.x[i] };
  });
  return best;
};

const scores = (entry) => {
  const cards = [], parts = entry.head.scores ?? {}, names = new Set(Object.values(parts).flatMap(Object.keys));
  for (const name of names) {
    const part = isNumber(parts.validation?.[name]) ? "validation" : "train", value = parts[part]?.[name];
    if (!isNumber(value)) continue;
    const best = bestOf(entry, name, part), other = part === "validation" ? parts.train?.[name] : null;
    const notes = [isNumber(other) ? `train ${score(other)}` : "", best ? `best ${score(best.value)} at step ${count(best.step)}` : ""];
    cards.push([`${part} ${name}`, score(value), "", notes.filter(Boolean).join(", ")]);
  }
  return cards.slice(0, 4);
};

const cardsOf = (entry) => {
  const run = entry.head, last = run.last ?? {}, progress = progressOf(run), epoch = epochOf(run, run.step);
  const [pace, unit] = milliseconds(last.seconds_per_step), left = (run.steps - run.step) * last.seconds_per_step;
  const cards = [["train loss, last step", score(last.loss), "", ""], ...scores(entry)];
  cards.push(["step", count(run.step), run.steps ? `of ${count(run.steps)}` : "", progress === null ? "" : percent(progress)]);
  const all = epoch !== null && run.steps ? epochOf(run, run.steps) : null;
  if (epoch !== null) cards.push(["epoch", epoch.toFixed(2), all ? `of ${+all.toFixed(1)}` : "", `${count(run.epoch.steps)} steps each`]);
  cards.push(["examples per second", count(last.examples_per_second), "", `${pace} ${unit}`]);
  if (run.state === "running" && isNumber(left)) cards.push(["time left", duration(left), "", `${duration(run.seconds)} so far`]);
  else cards.push(["time", duration(run.seconds), "", ""]);
  cards.push(["learning rate", Board.figure(last.learning_rate), "", isNumber(last.gradient_norm) ? `gradient norm ${score(last.gradient_norm)}` : ""]);
  return cards;
};

export const showHeadline = (entry) => {
  follow(find("headline"), cardsOf(entry), ([name]) => name, ([name]) => {
    const value = make("b"), unit = make("span"), note = make("dd", { class: "note" });
    const card = make("div", {}, make("dt", {}, name), make("dd", {}, value, " ", unit), note);
    return Object.assign(card, { parts: { value, unit, note } });
  }, ({ parts }, [, value, unit, note]) => { say(parts.value, value); say(parts.unit, unit); say(parts.note, note); });
};
