// The page: asks the scheduler about once a second, and shows what has changed.
import { choice, find, say } from "./dom.js";
import { Store } from "./store.js";
import { showHead, showRuns } from "./runs.js";
import { showHeadline } from "./headline.js";
import { boardOf } from "./curves.js";
import { showPicture } from "./layout_picture.js";
import { showStrip } from "./strip.js";
import { showLayers } from "./layers.js";
import { showFacts, showFiles, showMarks, showPages, showWorkers } from "./facts.js";

const MEMORY = "daskpar page", EACH = 1000, IDLE = 3000, LONGEST = 30_000, PATIENCE = 10_000;
const store = new Store(), board = new Board(find("board"), { memory: MEMORY + " charts" });
const settings = { axis: "step", smoothing: 0.6, grouping: "lane", span: "5 steps" };
try { Object.assign(settings, JSON.parse(sessionStorage.getItem(MEMORY) || "{}")); } catch { /* a frame may have no storage */ }
const compared = new Set();
let wanted = new URLSearchParams(location.hash.slice(1)).get("run"), failures = 0, timer = 0, busy = false, again = false;

const change = (name, value) => {
  settings[name] = value;
  try { sessionStorage.setItem(MEMORY, JSON.stringify(settings)); } catch { /* likewise */ }
  show();
};

// The run that was chosen; else the newest, so that a run that begins is seen.
const chosenId = () => (store.run(wanted) ? wanted : store.order[0]);

const choose = (id) => {
  wanted = id;
  compared.delete(id);
  history.replaceState(null, "", `#run=${encodeURIComponent(id)}`);
  board.zoom(null);
  show();
  poll();
};

const compare = (id, isCompared) => {
  compared[isCompared ? "add" : "delete"](id);
  show();
  poll();
};

const ask = async (id) => {
  const since = id ? store.since(id) : 0, query = new URLSearchParams();
  if (id) query.set("run", id);
  if (since) query.set("since", since);
  const reply = await fetch(`daskpar/metrics.json?${query}`, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
  if (reply.status === 404 && id) return ask(null);
  if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
  if (store.merge(await reply.json(), since)) return undefined;
  store.clear();
  return ask(null);
};

const poll = async () => {
  clearTimeout(timer);
  again = busy;
  if (busy || document.hidden) return;
  busy = true;
  try {
    await ask(store.loaded ? chosenId() : wanted);
    if (store.order.length && !store.run(chosenId()).version) await ask(chosenId());
    for (const id of compared) if (store.run(id) && (!store.since(id) || store.isBehind(id))) await ask(id);
    failures = 0;
    show();
  } catch (error) {
    failures += 1;
    if (failures > 1 && !store.loaded) wanted = null;
    console.debug(error);
  }
  busy = false;
  const running = store.runs.some((entry) => entry.head.state === "running");
  const pause = failures ? Math.min(LONGEST, EACH * 2 ** failures) : running ? EACH : IDLE;
  trouble(pause);
  timer = setTimeout(poll, again ? 0 : pause);
};

const trouble = (pause) => {
  const line = find("trouble");
  line.hidden = !failures;
  const old = store.loaded ? " What is shown below may be old." : "";
  if (failures) say(line, `The scheduler does not answer. Trying again in ${Math.round(pause / 1000)} s.${old}`);
};

// Charts below that of the loss stand in rows of about the same number.
const arrange = (number) => {
  const most = Math.max(1, Math.floor((board.root.clientWidth + 14) / 314)), rows = Math.max(1, Math.ceil(number / most));
  board.root.style.setProperty("--columns", Math.max(1, Math.ceil(number / rows)));
};

const show = () => {
  if (!store.loaded) return;
  showPages(store.pages);
  find("empty").hidden = store.order.length > 0;
  find("content").hidden = !store.order.length;
  if (!store.order.length) return;
  const entry = store.run(chosenId());
  const others = [...compared].filter((id) => id !== entry.id).map((id) => store.run(id)).filter((other) => other?.version);
  showRuns(store, entry.id, compared, choose, compare);
  showHead(entry);
  showFiles(entry);
  showHeadline(entry);
  choice(find("axis"), ["step", "epoch", "time"], settings.axis, (name) => change("axis", name));
  const content = boardOf(entry, others, settings);
  arrange(content.charts.length - 1);
  board.set(content);
  showPicture(entry, settings.grouping, (name) => change("grouping", name));
  showStrip(entry, settings.span, (name) => change("span", name));
  showLayers(entry);
  showMarks(entry);
  showFacts([entry, ...others]);
  showWorkers(store.workers, entry);
};

const slider = find("smoothing");
slider.value = settings.smoothing;
const tell = () => say(find("smoothed"), Number(slider.value) ? Number(slider.value).toFixed(2) : "off");
slider.oninput = () => { tell(); change("smoothing", Number(slider.value)); };
tell();
find("filter").oninput = show;
say(find("address"), `tcp://${location.hostname}:8786`);
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
addEventListener("hashchange", () => { wanted = new URLSearchParams(location.hash.slice(1)).get("run"); show(); poll(); });
poll();
