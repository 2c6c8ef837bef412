// The list of runs, and the heading of the chosen one.
import { duration, day, find, follow, make, say, score, set, count } from "./dom.js";

const STATES = { running: "running", finished: "finished", stopped: "stopped", interrupted: "interrupted", failed: "failed", lost: "lost" };

// Name and value of the score that a run is judged by: the first metric of the validation data, else the loss.
export const mainScore = (run) => {
  for (const part of ["validation", "train"]) {
    const names = Object.keys(run.scores?.[part] ?? {}).filter((name) => typeof run.scores[part][name] === "number");
    const name = names.find((each) => each !== "loss") ?? names[0];
    if (name) return { name, part, value: run.scores[part][name] };
  }
  return null;
};

export const chip = (state) => make("span", { class: `chip ${STATES[state] ?? "lost"}` }, state);

export const progressOf = (run) => (run.steps ? Math.min(1, run.step / run.steps) : null);

const row = (entry, choose, compare) => {
  const box = make("input", { type: "checkbox", onchange: () => compare(entry.id, box.checked) });
  const sample = make("span", { class: `sample run${entry.colour}`, "aria-hidden": true });
  const name = make("button", { class: "name", onclick: () => choose(entry.id) });
  const bar = make("progress", { max: 1 }), status = make("span"), numbers = make("span", { class: "soft" });
  const item = make("li", {}, make("div", { class: "line" }, box, sample, name, status), bar, numbers);
  return Object.assign(item, { parts: { box, sample, name, bar, status, numbers } });
};

const update = (item, entry, chosen, compared) => {
  const { box, sample, name, bar, status, numbers } = item.parts, run = entry.head, main = mainScore(run);
  const title = `${run.name}, begun ${day(run.started)}`;
  say(name, run.name || run.id);
  set(name, "title", title);
  set(name, "aria-current", entry.id === chosen);
  set(box, "aria-label", `Compare ${run.name}`);
  box.checked = compared.has(entry.id) || entry.id === chosen;
  box.disabled = entry.id === chosen;
  set(sample, "class", `sample run${entry.colour}`);
  if (status.textContent !== run.state) status.replaceChildren(chip(run.state));
  bar.value = progressOf(run) ?? 0;
  set(bar, "aria-label", `progress of ${run.name}`);
  bar.hidden = run.state !== "running";
  const parts = [`step ${count(run.step)}${run.steps ? ` of ${count(run.steps)}` : ""}`, duration(run.seconds)];
  if (main) parts.push(`${main.name} ${score(main.value)}`);
  say(numbers, parts.join(" · "));
};

export const showRuns = (store, chosen, compared, choose, compare) => {
  const filter = find("filter"), wanted = filter.value.trim().toLowerCase();
  filter.hidden = store.order.length < 6 && !wanted;
  const shown = store.runs.filter((entry) => entry.head.name.toLowerCase().includes(wanted));
  follow(find("runs"), shown, (entry) => entry.id, (entry) => row(entry, choose, compare),
    (item, entry) => update(item, entry, chosen, compared));
};

export const showHead = (entry) => {
  const head = find("head"), run = entry.head, progress = progressOf(run);
  if (!head.parts) {
    const title = make("h1"), state = make("span"), since = make("span", { class: "soft" });
    const bar = make("progress", { max: 1, "aria-label": "progress of the run" }), reason = make("p", { class: "reason" });
    head.append(make("div", { class: "bar" }, title, state, since), bar, reason);
    head.parts = { title, state, since, bar, reason };
  }
  const { title, state, since, bar, reason } = head.parts;
  say(title, run.name || run.id);
  if (state.textContent !== run.state) state.replaceChildren(chip(run.state));
  const end = run.ended ? `, ended ${day(run.ended)}` : "", from = run.resumed_at ? `, resumed at step ${count(run.resumed_at)}` : "";
  say(since, `begun ${day(run.started)}${end}${from}`);
  bar.hidden = progress === null;
  bar.value = progress ?? 0;
  say(reason, run.reason ?? "");
  reason.hidden = !run.reason;
  reason.classList.toggle("alarm", run.state === "failed" || run.state === "lost");
  const done = progress === null ? `step ${count(run.step)}` : `${Math.floor(100 * progress)} %`;
  const heading = run.state === "running" ? `${done} ${run.name} – Daskpar` : `${run.name} – Daskpar`;
  if (document.title !== heading) document.title = heading;
};
