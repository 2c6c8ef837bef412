"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const LEFT = 58, RIGHT = 14, TOP = 8, BOTTOM = 24, MARKS = 60;
  const memory = "daskpar curves " + data.title;
  const state = { log: {}, hidden: {}, zoom: null };
  try { Object.assign(state, JSON.parse(sessionStorage.getItem(memory) || "{}")); } catch { /* a frame may have none */ }
  const remember = () => {
    try { sessionStorage.setItem(memory, JSON.stringify(state)); } catch { /* likewise */ }
  };

  // The frame within a notebook, which may be dark where the system is light.
  let frame = null;
  try { frame = window.frameElement; } catch { /* of another origin */ }
  if (frame) {
    const colour = getComputedStyle(frame).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    document.documentElement.dataset.theme = colour[0] + colour[1] + colour[2] > 384 ? "dark" : "light";
  }

  const node = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    if (parent) parent.append(made);
    return made;
  };
  const element = (name, text, parent) => {
    const made = document.createElement(name);
    made.textContent = text;
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

  // Ticks: 1, 2 or 5 times a power of ten; on a logarithmic axis of several decades, powers of ten.
  const ticks = (low, high, count) => {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= raw * 0.999);
    const all = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + step * 1e-9; k++) all.push(+(k * step).toPrecision(12));
    return all;
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

  const ends = data.charts.flatMap((chart) => chart.curves.flatMap((curve) => [curve.x[0], curve.x.at(-1)]));
  const all = [Math.min(...ends), Math.max(...ends)];
  if (all[0] === all[1]) { all[0] -= 0.5; all[1] += 0.5; }
  const range = () => state.zoom || all;

  class Chart {
    constructor(chart, parent) {
      this.chart = chart;
      this.box = element("figure", "", parent);
      const caption = element("figcaption", "", this.box);
      element("b", chart.name, caption);
      if (chart.curves.length > 1) for (const curve of chart.curves) this.legend(curve, caption);
      const label = element("label", "", caption);
      this.switch = element("input", "", label);
      this.switch.type = "checkbox";
      label.append("log");
      label.title = "logarithmic axis";
      const positive = chart.curves.some((curve) => curve.y.some((y) => y > 0));
      this.switch.disabled = !positive;
      this.switch.checked = positive && (state.log[chart.name] ?? chart.log);
      this.switch.onchange = () => { state.log[chart.name] = this.switch.checked; remember(); this.draw(); };
      this.svg = node("svg", { role: "img", "aria-label": chart.name }, this.box);
      this.tip = element("div", "", this.box);
      this.tip.className = "tip";
      this.tip.hidden = true;
      this.listen();
    }

    legend(curve, caption) {
      const button = element("button", "", caption), key = this.chart.name + " " + curve.label;
      const sample = node("svg", { viewBox: "0 0 20 8" }, button);
      node("path", { d: "M0 4H20", class: "curve " + curve.colour }, sample);
      button.append(curve.label);
      const show = () => button.setAttribute("aria-pressed", String(!state.hidden[key]));
      button.onclick = () => { state.hidden[key] = !state.hidden[key]; remember(); show(); this.draw(); };
      show();
    }

    get shown() {
      return this.chart.curves.filter((curve) => !state.hidden[this.chart.name + " " + curve.label]);
    }

    scales() {
      const [x0, x1] = range(), log = this.switch.checked, values = [];
      for (const curve of this.shown) {
        curve.x.forEach((x, i) => {
          const y = curve.y[i];
          if (x >= x0 && x <= x1 && y !== null && (!log || y > 0)) values.push(y);
        });
      }
      let low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
      if (!values.length) [low, high] = [log ? 0.1 : 0, 1];
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
      this.back = (pixel) => x0 + (pixel - LEFT) / width * (x1 - x0);
      this.y = (value) => TOP + (f(high) - f(value)) / (f(high) - f(low)) * height;
      return { low, high, log };
    }

    draw() {
      this.width = Math.max(160, this.svg.clientWidth || this.box.clientWidth - 26);
      this.height = Math.round(Math.min(300, Math.max(190, this.width * 0.34)));
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.svg.style.height = this.height + "px";
      this.svg.replaceChildren();
      const { low, high, log } = this.scales(), [x0, x1] = range();
      const bottom = this.height - BOTTOM, right = this.width - RIGHT;
      for (const value of log ? logTicks(low, high) : ticks(low, high, 7)) {
        const y = this.y(value);
        node("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }, this.svg);
        node("text", { class: "tick", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, this.svg).textContent = figure(value);
      }
      for (const value of ticks(x0, x1, Math.max(2, this.width / 80)).filter(Number.isInteger)) {
        const x = this.x(value);
        node("line", { class: "grid", x1: x, x2: x, y1: bottom, y2: bottom + 4 }, this.svg);
        node("text", { class: "tick", x, y: bottom + 16, "text-anchor": x > right - 20 ? "end" : "middle" }, this.svg).textContent = value.toLocaleString("en");
      }
      node("text", { class: "tick", x: 4, y: bottom + 16 }, this.svg).textContent = "step";
      const id = "clip" + data.charts.indexOf(this.chart);
      node("rect", { x: LEFT - 3, y: 0, width: right - LEFT + 6, height: bottom + 3 }, node("clipPath", { id }, this.svg));
      const inside = node("g", { "clip-path": `url(#${id})` }, this.svg);
      for (const curve of this.shown) this.curve(curve, log, inside);
      this.front = node("g", {}, this.svg);
      this.tip.hidden = true;
    }

    curve(curve, log, parent) {
      const [x0, x1] = range(), parts = [], marks = [];
      let pen = "M";
      curve.x.forEach((x, i) => {
        const y = curve.y[i];
        if (y === null || (log && y <= 0)) { pen = "M"; return; }
        const at = [this.x(x).toFixed(1), this.y(y).toFixed(1)];
        parts.push(pen + at);
        pen = "L";
        if (x >= x0 && x <= x1) marks.push(at);
      });
      node("path", { d: parts.join(""), class: "curve " + curve.colour }, parent);
      if (curve.colour === "steps" || curve.colour === "rate" && marks.length > 1 || marks.length > MARKS) return;
      for (const [cx, cy] of marks) node("circle", { cx, cy, r: 2, class: "mark " + curve.colour }, parent);
    }

    listen() {
      let from = null;
      const place = (event) => {
        const box = this.svg.getBoundingClientRect();
        return Math.min(this.width - RIGHT, Math.max(LEFT, (event.clientX - box.left) * this.width / box.width));
      };
      this.svg.onpointerdown = (event) => { from = place(event); this.svg.setPointerCapture(event.pointerId); };
      this.svg.onpointermove = (event) => {
        const at = place(event);
        show(this, this.back(at));
        if (from !== null && Math.abs(at - from) > 3) {
          node("rect", { class: "brush", x: Math.min(from, at), y: TOP, width: Math.abs(at - from), height: this.height - TOP - BOTTOM }, this.front);
        }
      };
      this.svg.onpointerup = (event) => {
        const at = place(event);
        if (from !== null && Math.abs(at - from) > 8) zoom([this.back(Math.min(from, at)), this.back(Math.max(from, at))]);
        from = null;
      };
      this.svg.onpointerleave = () => show(null, 0);
      this.svg.ondblclick = () => zoom(null);
    }

    cross(step, told) {
      this.front.replaceChildren();
      this.tip.hidden = true;
      if (step === null) return;
      const x = this.x(step);
      node("line", { class: "cross", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM }, this.front);
      const rows = [];
      for (const curve of this.shown) {
        const i = nearest(curve.x, step), y = curve.y[i];
        if (y === null || (this.switch.checked && y <= 0)) continue;
        rows.push([curve.label + (curve.x[i] === step ? "" : ` at ${curve.x[i].toLocaleString("en")}`), figure(y)]);
        node("circle", { cx: this.x(curve.x[i]), cy: this.y(y), r: 3.5, class: "mark " + curve.colour }, this.front);
      }
      if (!told) return;
      this.tip.replaceChildren();
      const epoch = data.perEpoch ? `, epoch ${(step / data.perEpoch).toFixed(2)}` : "";
      element("i", `step ${step.toLocaleString("en")}${epoch}`, this.tip);
      for (const [name, value] of rows) {
        const row = element("div", "", this.tip);
        element("i", name, row);
        element("span", value, row);
      }
      this.tip.hidden = false;
      const plot = this.svg.getBoundingClientRect(), box = this.box.getBoundingClientRect();
      const at = plot.left - box.left + x * plot.width / this.width;
      const beyond = at + 16 + this.tip.offsetWidth > this.box.clientWidth;
      this.tip.style.left = Math.max(2, beyond ? at - 12 - this.tip.offsetWidth : at + 12) + "px";
      this.tip.style.top = plot.top - box.top + TOP + 4 + "px";
    }
  }

  const nearest = (sorted, value) => {
    let low = 0, high = sorted.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (sorted[middle] <= value) low = middle; else high = middle;
    }
    return value - sorted[low] <= sorted[high] - value ? low : high;
  };
  const show = (on, value) => {
    const [x0, x1] = range();
    const step = on && Math.round(Math.min(x1, Math.max(x0, value)));
    for (const chart of shown) chart.cross(on ? step : null, chart === on);
  };
  const zoom = (to) => {
    state.zoom = to && to[1] - to[0] >= 1 ? to : null;
    remember();
    for (const chart of shown) chart.draw();
  };

  const main = document.querySelector("main");
  const shown = data.charts.map((chart) => new Chart(chart, main));
  const drawAll = () => {
    shown.forEach((chart) => chart.draw());
    if (frame) frame.style.height = `${Math.ceil(document.body.getBoundingClientRect().bottom)}px`;
  };
  drawAll();
  let before = main.clientWidth;
  new ResizeObserver(() => {
    if (main.clientWidth === before) return;
    before = main.clientWidth;
    drawAll();
  }).observe(main);
  if (data.running) setTimeout(() => location.reload(), 10000);
})();
