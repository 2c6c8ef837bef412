// Elements, texts and numbers. Texts are set as text only, so no name can become markup.
export const find = (id) => document.getElementById(id);

export const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made[name] = value;
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
};

export const draw = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

export const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };

export const set = (node, name, value) => { if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value); };

// Children of `parent` follow `items`: those of known keys are kept, with their focus, and updated.
export const follow = (parent, items, keyOf, create, update) => {
  const known = parent.kept ??= new Map(), wanted = new Set(items.map(keyOf));
  for (const [key, child] of known) {
    if (wanted.has(key)) continue;
    child.remove();
    known.delete(key);
  }
  items.forEach((item, i) => {
    const key = keyOf(item);
    let child = known.get(key);
    if (!child) known.set(key, child = create(item));
    update(child, item, i);
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
};

// Builds the children of `node` anew only if `facts` differ from those of the last time.
export const whenNew = (node, facts, build) => {
  const text = JSON.stringify(facts);
  if (node.facts === text) return;
  node.facts = text;
  node.replaceChildren(...build());
};

// A group of buttons, one of which is pressed.
export const choice = (group, names, current, choose) => {
  follow(group, names, (name) => name, (name) => make("button", { class: "toggle", onclick: () => choose(name) }, name),
    (button, name) => set(button, "aria-pressed", name === current));
};

export const table = (head, rows) => [
  make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
  make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))))),
];

export const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
export const count = (value) => (isNumber(value) ? Math.round(value).toLocaleString("en") : "–");
export const score = (value) => {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return value.toExponential(2);
  return size >= 1000 ? count(value) : value.toPrecision(4);
};
export const percent = (share) => (isNumber(share) ? `${Math.round(100 * share)} %` : "–");
export const bytes = (value) => {
  if (!isNumber(value)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"], power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${+(value / 1000 ** power).toPrecision(3)} ${units[power]}`;
};
export const milliseconds = (seconds) => {
  if (!isNumber(seconds)) return ["–", ""];
  if (seconds >= 1) return [score(seconds), "s a step"];
  return [String(+(1000 * seconds).toPrecision(3)), "ms a step"];
};
export const duration = (seconds) => {
  if (!isNumber(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds)), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (whole < 60) return `${whole} s`;
  if (!hours) return `${minutes} min ${whole % 60} s`;
  return hours < 48 ? `${hours} h ${minutes} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
};
export const clock = (seconds) => new Date(1000 * seconds).toLocaleTimeString("en-GB");
export const day = (seconds) => new Date(1000 * seconds).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
