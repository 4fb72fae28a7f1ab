// Draws every figure of the page on its own canvas; 3D ones turn about the vertical, from the view they came with.
// Plain canvas lines: a page holds more views than a browser grants WebGL contexts.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const canvases = [...document.querySelectorAll("canvas[data-figure]")];
  const solid = canvases.filter((canvas) => figures[canvas.dataset.figure].turns);
  const photos = [...document.querySelectorAll("img.photo")];
  const button = document.getElementById("pause");
  const REST = 3, ROUND = 18; // seconds in the view of the query, and for a full turn
  let running = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  let turn = 0, lift = 0, held = null, rested = 0, last = null;

  const draw = (canvas) => {
    const figure = figures[canvas.dataset.figure];
    const ratio = devicePixelRatio || 1, side = canvas.clientWidth;
    if (canvas.width !== Math.round(side * ratio)) canvas.width = canvas.height = Math.round(side * ratio);
    const pen = canvas.getContext("2d"), ink = getComputedStyle(canvas).color; // of letters: light on a dark page
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, side, side);
    const c = Math.cos(turn), s = Math.sin(turn), cl = Math.cos(lift), sl = Math.sin(lift);
    const seen = ([x, y, z]) => {
      if (!figure.turns) return [x, y, z];
      const depth = -x * s + z * c;
      return [x * c + z * s, y * cl - depth * sl, depth];
    };
    const place = ([x, y]) => [side * (0.5 + 0.85 * x), side * (0.5 - 0.85 * y)];
    const photo = figure.photo && photos[figure.photo.number];
    if (photo && photo.complete && photo.naturalWidth) {
      const [left, top, right, bottom] = figure.photo.box;
      const [x, y] = place([left, top]), [xx, yy] = place([right, bottom]);
      pen.drawImage(photo, x, y, xx - x, yy - y);
    }
    // The outline of an ellipsoid is the ellipse of its covariance, seen along the view.
    const across = figure.turns ? [c, 0, s] : [1, 0, 0], up = figure.turns ? [s * sl, cl, -c * sl] : [0, 1, 0];
    for (const rows of figure.ellipsoids || []) {
      const between = (u, v) => rows.reduce((sum, row, i) => sum + u[i] * (row[1] * v[0] + row[2] * v[1] + row[3] * v[2]), 0);
      const xx = between(across, across), xy = between(across, up), yy = between(up, up);
      const middle = (xx + yy) / 2, off = Math.hypot((xx - yy) / 2, xy);
      const radii = [middle + off, middle - off].map((square) => 0.85 * side * Math.sqrt(Math.max(0, square)));
      pen.fillStyle = ink;
      pen.globalAlpha = 0.15;
      pen.beginPath();
      pen.ellipse(...place(seen(rows.map((row) => row[0]))), ...radii, -Math.atan2(2 * xy, xx - yy) / 2, 0, 2 * Math.PI);
      pen.fill();
      pen.globalAlpha = 1;
    }
    const lines = ({ points, bones }, alpha, width) => {
      const flat = points.map(seen);
      return bones.map(([a, b, colour]) => ({ from: flat[a], to: flat[b], colour, alpha, width }));
    };
    pen.lineCap = "round";
    [...(figure.others ? lines(figure.others, 0.16, side / 200) : []), ...lines(figure, 1, Math.min(side / 48, 4))]
      .sort((p, q) => p.from[2] + p.to[2] - q.from[2] - q.to[2])
      .forEach(({ from, to, colour, alpha, width }) => {
        pen.beginPath();
        pen.moveTo(...place(from));
        pen.lineTo(...place(to));
        if (figure.photo) { // a dark edge, so that the bone shows on any photo
          pen.strokeStyle = "#20252d";
          pen.globalAlpha = 0.6 * alpha;
          pen.lineWidth = width + 2;
          pen.stroke();
        }
        pen.strokeStyle = colour === "currentColor" ? ink : colour;
        pen.globalAlpha = alpha;
        pen.lineWidth = width;
        pen.stroke();
      });
    pen.globalAlpha = 1;
  };

  const run = (on) => {
    running = on;
    button.textContent = on ? "Pause" : "Turn";
  };

  button.hidden = !solid.length;
  button.addEventListener("click", () => run(!running));
  addEventListener("pointerdown", (event) => {
    if (event.target.dataset?.figure !== undefined) { held = [event.clientX, event.clientY]; run(false); }
  });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    turn += (event.clientX - held[0]) / 90;
    lift = Math.max(-1.5, Math.min(1.5, lift + (event.clientY - held[1]) / 90));
    held = [event.clientX, event.clientY];
    solid.forEach(draw);
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { held = null; });
  const all = () => canvases.forEach(draw);
  addEventListener("resize", all);
  for (const medium of ["print", "(prefers-color-scheme: dark)"]) matchMedia(medium).addEventListener("change", all);
  for (const photo of photos) if (!photo.complete) photo.addEventListener("load", all);
  const tick = (now) => {
    const seconds = last === null ? 0 : Math.min(0.1, (now - last) / 1000);
    last = now;
    if (running && !document.hidden) {
      if (turn === 0 && rested < REST) rested += seconds;
      else {
        turn += 2 * Math.PI * seconds / ROUND;
        if (turn >= 2 * Math.PI) turn = lift = rested = 0;
        solid.forEach(draw);
      }
    }
    requestAnimationFrame(tick);
  };
  run(running);
  all();
  requestAnimationFrame(tick);
})();
