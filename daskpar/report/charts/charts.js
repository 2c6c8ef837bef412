"use strict";
// Charts of curves over one axis. Their zoom and cross-hair are linked; see __init__.py for how a page uses them.
const Board = (() => {
  const LEFT = 58, RIGHT = 14, TOP = 8, BOTTOM = 24, POINTS = 60;
  const ALARMS = new Set(["worker lost", "worker left", "restart"]);
  let clips = 0;

  const node = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.append(made);
    return made;
  };
  const element = (name, text, parent, style = "") => {
    const made = document.createElement(name);
    made.textContent = text;
    if (style) made.className = style;
    if (parent) parent.append(made);
    return made;
  };
  const figure = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size >= 1e4 && size < 1e9) return Math.round(value).toLocaleString("en");
    if (value !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(2).replace(/\.?0+e/, "e");
    return String(+value.toPrecision(5));
  };
  const duration = (seconds) => {
    const whole = Math.round(Math.abs(seconds)), two = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    const text = hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
    return seconds < 0 ? "−" + text : text;
  };

  // Ticks: 1, 2 or 5 times a power of ten; on a logarithmic axis of several decades, powers of ten.
  const multiples = (low, high, step) => {
    const all = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + step * 1e-9; k++) all.push(+(k * step).toPrecision(12));
    return all;
  };
  const ticks = (low, high, count) => {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    return multiples(low, high, power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999));
  };
  const logTicks = (low, high) => {
    const decades = Math.log10(high / low), all = [];
    if (decades < 0.8) return ticks(low, high, 7).filter((value) => value > 0);
    const factors = decades < 2.5 ? [1, 2, 5] : [1], every = Math.max(1, Math.ceil(decades / 8));
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
      if (p % every === 0) for (const f of factors) all.push(f * 10 ** p);
    }
    return all.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  };
  const timeTicks = (low, high, count) => {
    const raw = (high - low) / count, steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
    const step = steps.find((seconds) => seconds >= raw);
    return step ? multiples(low, high, step) : ticks(low, high, count);
  };
  const AXES = {
    step: { ticks: (...range) => ticks(...range).filter(Number.isInteger), text: (value) => value.toLocaleString("en"), snap: Math.round, least: 1 },
    epoch: { ticks, text: (value) => String(+value.toFixed(2)), snap: (value) => value, least: 1e-6 },
    time: { ticks: timeTicks, text: duration, snap: (value) => value, least: 1 },
  };

  const nearest = (sorted, value) => {
    let low = 0, high = sorted.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle; else high = middle;
    }
    return value - sorted[low] <= sorted[high] - value ? low : high;
  };
  const same = (a, b) => a === b || (a.length === b.length && a.every((value, i) => value === b[i]));
  const sameCurve = (a, b) => a.label === b.label && a.kind === b.kind && same(a.x, b.x) && same(a.y, b.y);
  const sameChart = (a, b) => a.unit === b.unit && a.log === b.log && a.wide === b.wide
    && a.curves.length === b.curves.length && a.curves.every((curve, i) => sameCurve(curve, b.curves[i]));

  class Chart {
    constructor(board, chart) {
      this.board = board;
      this.chart = { ...chart, curves: [] };
      this.cursor = this.zoom = null;
      this.box = element("figure", "", null);
      this.caption = element("figcaption", "", this.box);
      this.clip = "clip" + clips++;
      this.svg = node("svg", { role: "img", tabindex: 0 }, this.box);
      this.back = node("g", {}, this.svg);
      this.front = node("g", {}, this.svg);
      this.tip = element("div", "", this.box, "tip");
      this.tip.hidden = true;
      this.listen();
      board.observer.observe(this.box);
    }

    update(chart) {
      const names = (some) => some.curves.map((curve) => curve.label + "\n" + curve.kind).join("\n\n");
      const renamed = !this.named || names(chart) !== names(this.chart) || chart.unit !== this.chart.unit;
      this.chart = chart;
      this.box.classList.toggle("wide", Boolean(chart.wide));
      if (renamed) this.describe();
      const positive = chart.curves.some((curve) => curve.y.some((y) => y > 0));
      this.log = positive && (this.board.state.log[chart.name] ?? Boolean(chart.log));
      this.switch.disabled = !positive;
      this.switch.setAttribute("aria-pressed", String(this.log));
    }

    describe() {
      this.named = true;
      this.caption.replaceChildren();
      element("b", this.chart.name + (this.chart.unit ? ` (${this.chart.unit})` : ""), this.caption);
      this.svg.setAttribute("aria-label", `${this.chart.name}: ${this.chart.curves.map((curve) => curve.label).join(", ")}`);
      if (this.chart.curves.length > 1) for (const curve of this.chart.curves) this.legend(curve);
      this.out = element("button", "zoom out", this.caption, "switch");
      this.out.onclick = () => this.board.zoom(null, this);
      this.switch = element("button", "log", this.caption, "switch");
      this.switch.title = "logarithmic axis";
      this.switch.setAttribute("aria-label", `logarithmic axis of ${this.chart.name}`);
      this.switch.onclick = () => {
        this.board.state.log[this.chart.name] = this.log = !this.log;
        this.switch.setAttribute("aria-pressed", String(this.log));
        this.board.remember();
        this.draw();
      };
    }

    legend(curve) {
      const button = element("button", "", this.caption, "legend"), hidden = this.board.state.hidden, key = this.key(curve);
      const sample = node("svg", { viewBox: "0 0 20 8", "aria-hidden": true }, button);
      node("path", { d: "M0 4H20", class: "curve " + curve.kind }, sample);
      button.append(curve.label);
      const show = () => button.setAttribute("aria-pressed", String(!hidden[key]));
      button.onclick = () => { hidden[key] = !hidden[key]; this.board.remember(); show(); this.draw(); };
      show();
    }

    get range() { return (this.board.linked ? this.board.state.zoom : this.zoom) ?? this.board.all; }

    key(curve) { return this.chart.name + " " + curve.label; }

    get shown() { return this.chart.curves.filter((curve) => !this.board.state.hidden[this.key(curve)]); }

    get room() { return Math.max(160, this.svg.clientWidth || this.box.clientWidth - 26); }

    measure() { this.width = this.room; }

    scales() {
      const [x0, x1] = this.range, log = this.log;
      let low = Infinity, high = -Infinity;
      for (const curve of this.shown) {
        for (let i = 0; i < curve.x.length; i++) {
          const x = curve.x[i], y = curve.y[i];
          if (x < x0 || x > x1 || y === null || (log && y <= 0)) continue;
          if (y < low) low = y;
          if (y > high) high = y;
        }
      }
      if (low > high) [low, high] = [log ? 0.1 : 0, 1];
      if (log) {
        const room = low === high ? 1.5 : (high / low) ** 0.05;
        low /= room; high *= room;
      } else {
        const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.06;
        low = low >= 0 && low - room < 0 ? 0 : low - room;
        high += room;
      }
      const f = log ? Math.log : (value) => value;
      const width = this.width - LEFT - RIGHT, height = this.height - TOP - BOTTOM;
      this.x = (value) => LEFT + (value - x0) / (x1 - x0) * width;
      this.value = (pixel) => x0 + (pixel - LEFT) / width * (x1 - x0);
      this.y = (value) => TOP + (f(high) - f(value)) / (f(high) - f(low)) * height;
      return { low, high };
    }

    draw() {
      this.height = Math.round(Math.min(300, Math.max(190, this.width * 0.34)));
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.svg.style.height = this.height + "px";
      this.back.replaceChildren();
      this.out.hidden = this.range === this.board.all;
      const { low, high } = this.scales(), [x0, x1] = this.range, axis = this.board.axis;
      const bottom = this.height - BOTTOM, right = this.width - RIGHT;
      for (const value of this.log ? logTicks(low, high) : ticks(low, high, 7)) {
        const y = this.y(value);
        node("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }, this.back);
        node("text", { class: "tick", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, this.back).textContent = figure(value);
      }
      for (const value of axis.ticks(x0, x1, Math.max(2, this.width / 80))) {
        const x = this.x(value);
        node("line", { class: "grid", x1: x, x2: x, y1: bottom, y2: bottom + 4 }, this.back);
        node("text", { class: "tick", x, y: bottom + 16, "text-anchor": x > right - 20 ? "end" : "middle" }, this.back).textContent = axis.text(value);
      }
      node("text", { class: "tick", x: 4, y: bottom + 16 }, this.back).textContent = axis.name;
      this.events(bottom);
      node("rect", { x: LEFT - 3, y: 0, width: right - LEFT + 6, height: bottom + 3 }, node("clipPath", { id: this.clip }, this.back));
      const inside = node("g", { "clip-path": `url(#${this.clip})` }, this.back);
      for (const curve of this.shown) this.curve(curve, inside);
      this.cross(this.cursor, this.told);
    }

    // Checkpoints are many: short ticks above the axis. Other marks go through the whole chart.
    events(bottom) {
      const [x0, x1] = this.range, taken = new Set();
      for (const mark of this.board.marks) {
        const x = Math.round(this.x(mark.x)), short = mark.kind === "checkpoint";
        if (mark.x < x0 || mark.x > x1 || taken.has(mark.kind + x)) continue;
        taken.add(mark.kind + x);
        const style = short ? " short" : ALARMS.has(mark.kind) ? " alarm" : "";
        node("line", { class: "event" + style, x1: x, x2: x, y1: short ? bottom - 7 : TOP, y2: bottom, "data-kind": mark.kind }, this.back);
        if (!short) node("path", { class: "flag" + style, d: `M${x - 4} ${TOP - 6}h8l-4 7z` }, this.back);
      }
    }

    curve(curve, parent) {
      const [x0, x1] = this.range, parts = [], marks = [];
      let pen = "M";
      for (let i = 0; i < curve.x.length; i++) {
        const x = curve.x[i], y = curve.y[i];
        if (y === null || (this.log && y <= 0)) { pen = "M"; continue; }
        const point = [this.x(x).toFixed(1), this.y(y).toFixed(1)];
        parts.push(pen + point);
        pen = "L";
        if (x >= x0 && x <= x1) marks.push(point);
      }
      node("path", { d: parts.join(""), class: "curve " + curve.kind }, parent);
      // Curves of each step have too many points to mark; `line` says that of a smoothed curve.
      if (/\b(steps|raw|line)\b/.test(curve.kind) || (curve.kind === "rate" && marks.length > 1) || marks.length > POINTS) return;
      for (const [cx, cy] of marks) node("circle", { cx, cy, r: 2, class: "mark " + curve.kind }, parent);
    }

    listen() {
      const board = this.board;
      let from = null;
      const place = (event) => {
        const box = this.svg.getBoundingClientRect();
        return Math.min(this.width - RIGHT, Math.max(LEFT, (event.clientX - box.left) * this.width / box.width));
      };
      this.svg.onpointerdown = (event) => { from = place(event); this.svg.setPointerCapture(event.pointerId); };
      this.svg.onpointermove = (event) => {
        const x = place(event);
        board.show(this, this.value(x));
        if (from !== null && Math.abs(x - from) > 3) {
          node("rect", { class: "brush", x: Math.min(from, x), y: TOP, width: Math.abs(x - from), height: this.height - TOP - BOTTOM }, this.front);
        }
      };
      this.svg.onpointerup = (event) => {
        const x = place(event);
        if (from !== null && Math.abs(x - from) > 8) board.zoom([this.value(Math.min(from, x)), this.value(Math.max(from, x))], this);
        from = null;
      };
      this.svg.onpointerleave = this.svg.onblur = () => board.show(null, 0);
      this.svg.ondblclick = () => board.zoom(null, this);
      this.svg.onkeydown = (event) => {
        const [x0, x1] = this.range, turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (event.key === "Escape") board.zoom(null, this);
        if (!turn) return;
        event.preventDefault();
        board.show(this, (this.cursor ?? (turn > 0 ? x0 : x1)) + turn * Math.max(board.axis.snap((x1 - x0) / 100), board.axis.least));
      };
    }

    cross(value, told) {
      this.cursor = value;
      this.told = told;
      this.front.replaceChildren();
      this.tip.hidden = true;
      if (value === null) return;
      const x = this.x(value), axis = this.board.axis, rows = [];
      node("line", { class: "cross", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM }, this.front);
      for (const curve of this.shown) {
        if (!curve.x.length) continue;
        const i = nearest(curve.x, value), y = curve.y[i], px = this.x(curve.x[i]);
        if (y === null || (this.log && y <= 0)) continue;
        const exact = curve.x[i] === value || (axis.name !== "step" && Math.abs(px - x) < 3);
        rows.push([curve.label + (exact ? "" : ` at ${axis.text(curve.x[i])}`), figure(y)]);
        node("circle", { cx: px, cy: this.y(y), r: 3.5, class: "mark " + curve.kind }, this.front);
      }
      if (told) this.tell(value, x, rows);
    }

    tell(value, x, rows) {
      const axis = this.board.axis;
      this.tip.replaceChildren();
      const epoch = axis.per_epoch ? `, epoch ${(value / axis.per_epoch).toFixed(2)}` : "";
      element("i", `${axis.name} ${axis.text(value)}${epoch}`, this.tip);
      for (const [name, number] of rows) {
        const row = element("div", "", this.tip);
        element("i", name, row);
        element("span", number, row);
      }
      const marks = this.board.marks.filter((mark) => Math.abs(this.x(mark.x) - x) < 5);
      for (const mark of marks.slice(0, 4)) element("div", mark.text, this.tip);
      if (marks.length > 4) element("div", `and ${marks.length - 4} more`, this.tip);
      this.tip.hidden = false;
      const plot = this.svg.getBoundingClientRect(), box = this.box.getBoundingClientRect();
      const left = plot.left - box.left + x * plot.width / this.width;
      const beyond = left + 16 + this.tip.offsetWidth > this.box.clientWidth;
      this.tip.style.left = Math.max(2, beyond ? left - 12 - this.tip.offsetWidth : left + 12) + "px";
      this.tip.style.top = plot.top - box.top + TOP + 4 + "px";
    }
  }

  return class Board {
    static figure = figure;
    static duration = duration;

    // memory: the key under which a tab keeps the zoom, hidden curves and logarithmic axes.
    // linked: zoom and cross-hair of all charts go together.
    constructor(root, { memory = "", linked = true } = {}) {
      Object.assign(this, { root, memory, linked, charts: new Map(), marks: [], axis: { ...AXES.step, name: "step" }, all: [0, 1] });
      this.state = { log: {}, hidden: {}, zoom: null };
      try { Object.assign(this.state, JSON.parse(sessionStorage.getItem(memory) || "{}")); } catch { /* a frame may have none */ }
      root.classList.add("board");
      this.observer = new ResizeObserver(() => this.redraw([...this.charts.values()].filter((chart) => chart.width && chart.width !== chart.room)));
      document.addEventListener("visibilitychange", () => { if (!document.hidden && this.waiting) this.set(this.waiting); });
    }

    // Draws what has changed. Arrays may be given again as they are, but not be changed by the caller.
    set(content) {
      this.waiting = document.hidden && this.charts.size ? content : null;
      if (this.waiting) return;
      const { charts, marks = [], axis = {} } = content, name = axis.name in AXES ? axis.name : "step";
      if ((this.state.axis ?? name) !== name) for (const each of [this.state, ...this.charts.values()]) each.zoom = null;
      this.state.axis = name;
      this.axis = { ...AXES[name], name, per_epoch: axis.per_epoch || 0 };
      this.marks = marks;
      this.extend(charts);
      const frame = JSON.stringify([marks, axis, this.all]), moved = frame !== this.frame;
      this.frame = frame;
      this.redraw(this.arrange(charts, moved), false);
    }

    extend(charts) {
      let low = Infinity, high = -Infinity;
      for (const { curves } of charts) {
        for (const { x } of curves) {
          if (!x.length) continue;
          low = Math.min(low, x[0]);
          high = Math.max(high, x.at(-1));
        }
      }
      if (low > high) [low, high] = [0, 1];
      this.all = low === high ? [low - 0.5, high + 0.5] : [low, high];
    }

    // Returns the charts to draw.
    arrange(charts, moved) {
      const names = new Set(charts.map((chart) => chart.name)), changed = [];
      for (const [name, chart] of this.charts) {
        if (names.has(name)) continue;
        chart.box.remove();
        this.observer.unobserve(chart.box);
        this.charts.delete(name);
      }
      charts.forEach((content, i) => {
        let chart = this.charts.get(content.name);
        const isNew = !chart;
        if (isNew) this.charts.set(content.name, chart = new Chart(this, content));
        const differs = isNew || !sameChart(content, chart.chart);
        if (differs) chart.update(content);
        if (this.root.children[i] !== chart.box) this.root.insertBefore(chart.box, this.root.children[i] ?? null);
        if (differs || moved) changed.push(chart);
      });
      return changed;
    }

    // All widths are read before anything is drawn, so the browser lays the page out once.
    redraw(charts, anew = true) {
      for (const chart of charts) if (anew || !chart.width) chart.measure();
      for (const chart of charts) chart.draw();
    }

    remember() {
      try { sessionStorage.setItem(this.memory, JSON.stringify(this.state)); } catch { /* as above */ }
    }

    show(chart, value) {
      const [x0, x1] = chart ? chart.range : this.all;
      const place = chart ? this.axis.snap(Math.min(x1, Math.max(x0, value))) : null;
      for (const other of this.charts.values()) other.cross(this.linked || other === chart ? place : null, other === chart);
    }

    // A chart without links zooms alone; no chart means all.
    zoom(range, chart = null) {
      const zoomed = range && range[1] - range[0] >= this.axis.least ? range : null;
      const charts = chart && !this.linked ? [chart] : [...this.charts.values()];
      if (this.linked) this.state.zoom = zoomed;
      else for (const each of charts) each.zoom = zoomed;
      this.remember();
      this.redraw(charts, false);
    }
  };
})();
