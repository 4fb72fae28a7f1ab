// The map of the page: move, zoom, point at poses, search, lasso, and the people of a query.
(() => {
  const data = JSON.parse(document.getElementById("map").textContent);
  const by = (id) => document.getElementById(id);
  const bytes = (name) => Uint8Array.from(atob(data.arrays[name]), (letter) => letter.charCodeAt(0)).buffer;
  const unit = new Uint16Array(bytes("xy")), poses = new Int8Array(bytes("poses"));
  const arrays = {
    clip: new Uint32Array(bytes("clip")), frame: new Int32Array(bytes("frame")), time: new Float32Array(bytes("time")),
    key: new Uint8Array(bytes("key")), cluster: new Uint8Array(bytes("cluster")), density: new Uint8Array(bytes("density")),
  };
  const { clip, frame, time } = arrays, count = clip.length;
  const x = Float32Array.from({ length: count }, (_, i) => unit[2 * i] / 65535);
  const y = Float32Array.from({ length: count }, (_, i) => unit[2 * i + 1] / 65535);
  const points = pointsOf(x, y), moments = momentsOf(data, arrays);
  const stage = by("stage"), canvas = by("points"), over = by("over"), card = by("card");
  const REACH = 14, FINGER = 26, STILL = 6, ROUND = 9; // pixels, of a mouse, a finger, a click; seconds a turn
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  let at = { x: 0.5, y: 0.5, zoom: 1 }; // the middle of the view; at zoom 1 the whole map fits
  let lasso = null, inside = null, armed = false, lit = null; // the line; points in it; whether a drag draws it
  let shown = -1, person = -1, pinned = false, figure = null, asked = null, turn = 0;

  const base = () => 0.92 * Math.min(stage.clientWidth, stage.clientHeight); // pixels a unit at zoom 1
  const screen = (px, py) => [stage.clientWidth / 2 + (px - at.x) * base() * at.zoom, stage.clientHeight / 2 + (py - at.y) * base() * at.zoom];
  const world = (px, py) => [at.x + (px - stage.clientWidth / 2) / (base() * at.zoom), at.y + (py - stage.clientHeight / 2) / (base() * at.zoom)];
  const zoom = (factor, px = stage.clientWidth / 2, py = stage.clientHeight / 2) => {
    const [ux, uy] = world(px, py);
    at.zoom = Math.max(0.7, Math.min(400, at.zoom * factor));
    const [vx, vy] = world(px, py);
    at.x += ux - vx;
    at.y += uy - vy;
    move();
  };
  const look = (px, py) => {
    at = { x: px, y: py, zoom: Math.max(at.zoom, 5) };
    later();
  };

  const paint = () => {
    const ratio = devicePixelRatio || 1;
    for (const one of [canvas, over]) {
      const wide = Math.round(stage.clientWidth * ratio), deep = Math.round(stage.clientHeight * ratio);
      if (one.width !== wide || one.height !== deep) { one.width = wide; one.height = deep; }
    }
    const scale = base() * at.zoom * ratio;
    const view = { scale, left: at.x * scale - canvas.width / 2, top: at.y * scale - canvas.height / 2 };
    const apart = base() / Math.sqrt(count); // pixels from point to point, if they filled the map evenly
    const radius = Math.max(0.7, Math.min(6, 0.55 * apart * at.zoom ** 0.4)) * ratio;
    points.paint(canvas, view, legend.colours, lit, radius, rgb(ink("--card")), moving);
    mark();
  };
  let waiting = false, moving = false, rest = 0;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; paint(); });
  };
  const move = () => { // hard edges while the map moves, soft ones when it rests
    moving = true;
    clearTimeout(rest);
    rest = setTimeout(() => { moving = false; later(); }, 120);
    later();
  };

  const mark = () => {
    const ratio = devicePixelRatio || 1, pen = over.getContext("2d"), dark = ink("--ink"), bright = ink("--card");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, stage.clientWidth, stage.clientHeight);
    const label = ([px, py], text, fill, edge, round = 5) => {
      pen.beginPath();
      pen.roundRect(px - 10, py - 10, 20, 20, round);
      pen.fillStyle = fill;
      pen.strokeStyle = pen.fillStyle === edge ? dark : edge;
      pen.lineWidth = 2;
      pen.fill();
      pen.stroke();
      pen.fillStyle = edge;
      pen.font = "600 11px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(text, px, py + 0.5);
    };
    if (by("colour").value === "key") data.keys.forEach((i, number) => label(screen(x[i], y[i]), number + 1, PALETTE[number % PALETTE.length], "#ffffff"));
    data.people.forEach((one, number) => label(screen(one.x, one.y), number + 1, number === person ? bright : dark, number === person ? dark : bright, 10));
    pen.strokeStyle = dark;
    if (shown >= 0) {
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(...screen(x[shown], y[shown]), 7, 0, 2 * Math.PI);
      pen.stroke();
    }
    if (lasso) {
      pen.fillStyle = `${ink("--soft")}33`;
      pen.lineWidth = 1.5;
      pen.setLineDash([5, 4]);
      pen.beginPath();
      lasso.forEach(([px, py]) => pen.lineTo(...screen(px, py)));
      pen.closePath();
      pen.fill();
      pen.stroke();
      pen.setLineDash([]);
    }
  };

  // What is lit: all, or what the legend, the search and the lasso have in common.
  const light = () => {
    const words = by("search").value.trim().toLowerCase();
    const named = words && data.clips.name.map((name) => name.toLowerCase().includes(words));
    lit = null;
    if (words || inside || legend.chooses()) {
      lit = new Uint8Array(count);
      for (let i = 0; i < count; i++) lit[i] = legend.takes(i) && (!words || named[clip[i]]) && (!inside || inside[i]) ? 1 : 0;
      moments.list(by("moments"), by("told"), lit, (i) => { look(x[i], y[i]); show(i, -1, true); put(stage.clientWidth / 2, stage.clientHeight / 2); });
    }
    by("out").hidden = !lit;
    by("count").textContent = lit ? `${whole(lit.reduce((sum, one) => sum + one, 0))} of ${whole(count)} poses` : "";
    later();
  };
  const legend = legendOf(by("legend"), data, arrays, light);

  // The card: the body of a pose, turning, and where it comes from; of a person, the keypoints beside the nearest pose.
  const show = (i, who = -1, pin = false) => {
    if (pin) pinned = i >= 0;
    if (i === shown && who === person) return;
    shown = i;
    person = who;
    card.hidden = i < 0;
    figure = asked = null;
    if (i >= 0) {
      const joint = (number) => [0, 1, 2].map((axis) => poses[(i * data.joints + number) * 3 + axis]);
      figure = { points: fitted(Array.from({ length: data.joints }, (_, number) => joint(number))), bones: data.bones, turns: true };
      const one = data.people[who], own = clip[i];
      if (one) asked = { points: one.points, bones: one.bones, turns: false };
      card.classList.toggle("pair", Boolean(one));
      by("who").textContent = one ? `${one.name}, beside the nearest pose` : "";
      by("name").textContent = data.clips.name[own];
      by("when").textContent = `frame ${frame[i]}, ${time[i].toFixed(2)} s`;
      by("what").textContent = [data.actions[data.clips.action[own]], data.subjects[data.clips.subject[own]]].filter(Boolean).join(", ");
      turn = 0;
      draw();
    }
    mark();
  };
  const draw = () => {
    drawBody(by("body"), figure, turn, 0.15);
    if (asked) drawBody(by("asked"), asked, 0, 0);
  };
  const put = (px, py) => { // beside the pointer, inside the stage
    const wide = card.offsetWidth, deep = card.offsetHeight;
    const left = px + 18 + wide > stage.clientWidth ? px - 18 - wide : px + 18;
    card.style.left = `${Math.max(4, Math.min(stage.clientWidth - wide - 4, left))}px`;
    card.style.top = `${Math.max(4, Math.min(stage.clientHeight - deep - 4, py - deep / 2))}px`;
  };
  const under = (px, py, reach) => {
    const far = (one) => { const [sx, sy] = screen(one.x, one.y); return Math.hypot(sx - px, sy - py); };
    const who = data.people.findIndex((one) => far(one) < 13);
    if (who >= 0) return [data.people[who].nearest, who];
    return [points.nearest(...world(px, py), reach / (base() * at.zoom), lit), -1];
  };

  const held = new Map(); // pointers that are down
  let moved = 0;
  const here = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const draws = () => lasso && !inside;
  over.addEventListener("pointerdown", (event) => {
    over.setPointerCapture(event.pointerId);
    held.set(event.pointerId, here(event));
    moved = 0;
    if (event.shiftKey) arm(true);
    if (armed && held.size === 1) lasso = [world(...here(event))];
  });
  over.addEventListener("pointermove", (event) => {
    const now = here(event);
    if (!held.has(event.pointerId)) {
      if (pinned || event.pointerType === "touch") return;
      show(...under(...now, REACH));
      if (shown >= 0) put(...now);
      return;
    }
    const before = held.get(event.pointerId), [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    const spread = () => { const [p, q] = [...held.values()]; return Math.max(1, Math.hypot(p[0] - q[0], p[1] - q[1])); };
    const wide = held.size === 2 ? spread() : 0;
    held.set(event.pointerId, now);
    moved += Math.hypot(dx, dy);
    if (held.size === 2) {
      if (draws()) lasso = null;
      const [p, q] = [...held.values()];
      zoom(spread() / wide, (p[0] + q[0]) / 2, (p[1] + q[1]) / 2);
    } else if (draws()) {
      lasso.push(world(...now));
      mark();
    } else if (moved > STILL) {
      at.x -= dx / (base() * at.zoom);
      at.y -= dy / (base() * at.zoom);
      move();
    }
  });
  const end = (event) => {
    if (!held.delete(event.pointerId)) return;
    if (draws()) {
      if (lasso.length > 2 && moved > STILL) {
        inside = points.inside(lasso);
        arm(false);
        by("clear").hidden = false;
        light();
      } else lasso = null;
      mark();
    } else if (moved <= STILL && event.type === "pointerup") {
      const now = here(event);
      show(...under(...now, event.pointerType === "touch" ? FINGER : REACH), true);
      if (shown >= 0) put(...now);
    }
  };
  for (const name of ["pointerup", "pointercancel"]) over.addEventListener(name, end);
  over.addEventListener("pointerleave", () => { if (!pinned) show(-1); });
  over.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 300), ...here(event));
  }, { passive: false });

  const clear = () => {
    lasso = inside = null;
    by("clear").hidden = true;
    light();
  };
  const arm = (on) => {
    armed = on;
    by("lasso").setAttribute("aria-pressed", String(on));
    over.classList.toggle("armed", on);
    if (on) { show(-1, -1, true); clear(); }
  };
  by("lasso").addEventListener("click", () => arm(!armed));
  by("clear").addEventListener("click", clear);
  by("reset").addEventListener("click", () => { at = { x: 0.5, y: 0.5, zoom: 1 }; later(); });
  by("nearer").addEventListener("click", () => zoom(1.6));
  by("farther").addEventListener("click", () => zoom(1 / 1.6));
  by("search").addEventListener("input", light);
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    show(-1, -1, true);
    arm(false);
    clear();
  });
  by("save").addEventListener("click", () => {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([moments.table(lit)], { type: "text/csv" }));
    link.download = "moments.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  by("copy").addEventListener("click", async () => {
    const text = moments.table(lit);
    try {
      await navigator.clipboard.writeText(text);
    } catch { // where a page that is a file has no clipboard
      const area = element("textarea", text);
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    by("copy").textContent = "Copied";
    setTimeout(() => { by("copy").textContent = "Copy CSV"; }, 1500);
  });
  data.people.forEach((one, number) => {
    const row = element("button", undefined, "moment"), near = one.nearest;
    row.type = "button";
    row.append(element("span", `${number + 1}. ${one.name}`), element("small", `nearest: ${data.clips.name[clip[near]]}, ${time[near].toFixed(2)} s`));
    row.addEventListener("click", () => {
      look(one.x, one.y);
      show(near, number, true);
      put(stage.clientWidth / 2, stage.clientHeight / 2);
    });
    by("people").append(row);
  });

  let last = null;
  const tick = (now) => {
    const seconds = last === null ? 0 : Math.min(0.1, (now - last) / 1000);
    last = now;
    if (figure && !calm && !document.hidden) {
      turn += 2 * Math.PI * seconds / ROUND;
      draw();
    }
    requestAnimationFrame(tick);
  };
  const colour = () => legend.paint(by("colour").value, rgb(ink("--rest")));
  by("colour").addEventListener("change", colour);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
  new ResizeObserver(later).observe(stage);
  colour();
  requestAnimationFrame(tick);
})();
