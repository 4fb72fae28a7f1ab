// Draws every figure of the page on its own canvas; 3D ones swing about the view they came with, and follow a drag.
// Plain canvas lines: a page holds more views than a browser grants WebGL contexts.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const canvases = [...document.querySelectorAll("canvas[data-figure]")];
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let turn = 0, lift = 0, held = null, idle = !still, start = null;

  const draw = (canvas) => {
    const figure = figures[canvas.dataset.figure];
    const ratio = devicePixelRatio || 1, side = canvas.clientWidth;
    if (canvas.width !== side * ratio) canvas.width = canvas.height = side * ratio;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, side, side);
    const c = Math.cos(turn), s = Math.sin(turn), cl = Math.cos(lift), sl = Math.sin(lift);
    const flat = figure.points.map(([x, y, z]) => {
      if (!figure.turns) return [x, y, 0];
      const depth = -x * s + z * c;
      return [x * c + z * s, y * cl - depth * sl, depth];
    });
    const place = ([x, y]) => [side * (0.5 + 0.85 * x), side * (0.5 - 0.85 * y)];
    pen.lineCap = "round";
    [...figure.bones]
      .sort((p, q) => flat[p[0]][2] + flat[p[1]][2] - flat[q[0]][2] - flat[q[1]][2])
      .forEach(([a, b, colour]) => {
        pen.strokeStyle = colour;
        pen.lineWidth = side / 48;
        pen.beginPath();
        pen.moveTo(...place(flat[a]));
        pen.lineTo(...place(flat[b]));
        pen.stroke();
      });
  };

  const drawAll = (all) => canvases.forEach((canvas) => {
    if (all || figures[canvas.dataset.figure].turns) draw(canvas);
  });

  addEventListener("pointerdown", (event) => {
    if (event.target.dataset.figure !== undefined) { held = [event.clientX, event.clientY]; idle = false; }
  });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    turn += (event.clientX - held[0]) / 90;
    lift = Math.max(-1.5, Math.min(1.5, lift + (event.clientY - held[1]) / 90));
    held = [event.clientX, event.clientY];
    drawAll(false);
  });
  addEventListener("pointerup", () => { held = null; });
  addEventListener("resize", () => drawAll(true));
  const tick = (now) => {
    start ??= now;
    // Three seconds of rest in the view of the query, then a swing to either side and back.
    const phase = Math.max(0, (now - start) / 1000 % 15 - 3) / 12;
    if (idle && !document.hidden) { turn = 0.9 * Math.sin(2 * Math.PI * phase); drawAll(false); }
    requestAnimationFrame(tick);
  };
  drawAll(true);
  requestAnimationFrame(tick);
})();
