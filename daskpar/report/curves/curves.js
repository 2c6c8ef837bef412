"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  // The frame within a notebook, which may be dark where the system is light.
  let frame = null;
  try { frame = window.frameElement; } catch { /* of another origin */ }
  if (frame) {
    const colour = getComputedStyle(frame).color.match(/[\d.]+/g).slice(0, 3).map(Number);
    document.documentElement.dataset.theme = colour[0] + colour[1] + colour[2] > 384 ? "dark" : "light";
  }

  const board = new Board(document.querySelector("main"), { memory: "daskpar curves " + data.title });
  board.set({ charts: data.charts, axis: { name: "step", per_epoch: data.perEpoch } });
  if (frame) {
    const fit = () => { frame.style.height = `${Math.ceil(document.body.getBoundingClientRect().bottom)}px`; };
    new ResizeObserver(fit).observe(document.body);
  }
  if (data.running) setTimeout(() => location.reload(), 10000);
})();
