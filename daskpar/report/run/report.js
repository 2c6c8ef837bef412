"use strict";
(() => {
  const content = JSON.parse(document.getElementById("data").textContent);
  const root = document.getElementById("board");
  if (root) new Board(root, { memory: "daskpar report " + content.title }).set(content);

  // Other pages lie compressed in this one; each is unpacked when it is first opened, in a frame of no origin.
  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  for (const page of document.querySelectorAll("details.page")) {
    page.addEventListener("toggle", async () => {
      const frame = page.querySelector("iframe"), packed = page.querySelector("script");
      if (!page.open || frame.srcdoc) return;
      try {
        frame.srcdoc = await unpack(packed.textContent);
      } catch {
        frame.replaceWith("This browser cannot unpack the page.");
      }
    });
  }
})();
