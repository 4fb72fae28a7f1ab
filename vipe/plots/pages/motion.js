// Plays the motion of the page on one canvas: orbit, zoom, move, play, scrub. Metres, z up.
(() => {
  const motion = JSON.parse(document.getElementById("motion").textContent);
  const bytes = Uint8Array.from(atob(motion.positions), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const joints = motion.joints, frames = motion.time.length, bones = motion.bones;
  const points = Float32Array.from({ length: frames * joints * 3 }, (_, i) => view.getFloat32(4 * i, true));
  const by = (id) => document.getElementById(id);
  const canvas = by("stage"), pen = canvas.getContext("2d"), scrub = by("scrub"), play = by("play");
  const NEAR = 0.05, SQUARE = 0.5, LENS = 3; // metres; metres; focal length in half heights of the canvas
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const duration = frames > 1 ? motion.time[frames - 1] - motion.time[0] : 0;

  // The ground is under the lowest joint; the motion's middle and its reach say what to look at.
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i++) {
    low[i % 3] = Math.min(low[i % 3], points[i]);
    high[i % 3] = Math.max(high[i % 3], points[i]);
  }
  const middle = low.map((value, axis) => (value + high[axis]) / 2), tall = Math.max(0.3, high[2] - low[2]);
  const reach = Math.max(tall, Math.hypot(high[0] - low[0], high[1] - low[1], tall));
  const ground = low[2] - motion.ankle;

  let at = 0, running = frames > 1 && !still, last = null, cam;
  const reset = () => {
    const aspect = canvas.clientWidth / Math.max(1, canvas.clientHeight);
    const whole = reach / 2 + 0.45 * LENS * reach / Math.max(0.5, aspect); // from where the whole way is seen
    const distance = Math.max(0.7 * LENS * tall, by("follow").checked ? 0 : whole);
    cam = { azimuth: motion.front + 0.5, lift: 0.25, distance, move: [0, 0, 0] };
  };

  /** Positions at a time between two frames. */
  const pose = () => {
    const first = Math.min(frames - 1, Math.floor(at)), second = Math.min(frames - 1, first + 1), part = at - first;
    return Array.from({ length: joints }, (_, joint) => [0, 1, 2].map((axis) => {
      const a = points[(first * joints + joint) * 3 + axis], b = points[(second * joints + joint) * 3 + axis];
      return a + part * (b - a);
    }));
  };

  let ink = "black";
  const draw = () => {
    ink = getComputedStyle(canvas).color; // of letters: light on a dark page
    const ratio = devicePixelRatio || 1, wide = canvas.clientWidth, deep = canvas.clientHeight;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(deep * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(deep * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, wide, deep);
    const body = pose(), root = body[0];
    const target = by("follow").checked ? [root[0], root[1], (ground + high[2]) / 2] : middle.slice();
    const ca = Math.cos(cam.azimuth), sa = Math.sin(cam.azimuth), cl = Math.cos(cam.lift), sl = Math.sin(cam.lift);
    const right = [-sa, ca, 0], up = [-sl * ca, -sl * sa, cl], out = [cl * ca, cl * sa, sl];
    const centre = target.map((value, i) => value + cam.move[i]);
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const scale = LENS * deep / 2;
    const seen = (point) => {
      const away = point.map((value, i) => value - centre[i]);
      return [dot(away, right), dot(away, up), cam.distance - dot(away, out)]; // x right, y up, depth
    };
    const flat = ([x, y, z]) => [wide / 2 + scale * x / z, deep / 2 - scale * y / z];
    const line = (a, b, colour, metres, least, alpha = 1) => {
      let p = seen(a), q = seen(b);
      if (p[2] < NEAR && q[2] < NEAR) return;
      const cut = (from, to) => from.map((value, i) => value + (NEAR - from[2]) / (to[2] - from[2]) * (to[i] - value));
      if (p[2] < NEAR) p = cut(p, q);
      if (q[2] < NEAR) q = cut(q, p);
      pen.strokeStyle = colour;
      pen.globalAlpha = alpha;
      pen.lineWidth = Math.max(least, metres * scale * 2 / (p[2] + q[2]));
      pen.beginPath();
      pen.moveTo(...flat(p));
      pen.lineTo(...flat(q));
      pen.stroke();
    };
    const ball = (point, radius, colour, edge) => {
      const p = seen(point);
      if (p[2] < NEAR) return;
      pen.globalAlpha = 1;
      pen.fillStyle = colour;
      pen.beginPath();
      pen.arc(...flat(p), Math.max(1, radius * scale / p[2]), 0, 2 * Math.PI);
      pen.fill();
      if (edge) {
        pen.strokeStyle = edge;
        pen.lineWidth = Math.max(1, 0.012 * scale / p[2]);
        pen.stroke();
      }
    };
    pen.lineCap = "round";

    // Squares around the place that is looked at, fading out.
    const far = Math.max(3, 1.2 * cam.distance), step = SQUARE * Math.max(1, Math.ceil(far / 12));
    const from = (value) => Math.floor((value - far) / step) * step, rows = Math.round(2 * far / step) + 1;
    for (let i = 0; i <= rows; i++) {
      for (let k = 0; k < rows; k++) {
        const x = from(centre[0]) + i * step, y = from(centre[1]) + k * step;
        const v = from(centre[1]) + i * step, u = from(centre[0]) + k * step;
        const fade = (p, q) => Math.max(0, 1 - Math.hypot(p - centre[0], q - centre[1]) / far);
        line([x, y, ground], [x, y + step, ground], ink, 0, 1, 0.25 * fade(x, y + step / 2));
        line([u, v, ground], [u + step, v, ground], ink, 0, 1, 0.25 * fade(u + step / 2, v));
      }
    }
    if (by("trail").checked && frames > 1) {
      const every = Math.max(1, Math.floor(frames / 800)), path = [];
      for (let i = 0; i < frames; i += every) path.push([points[i * joints * 3], points[i * joints * 3 + 1], ground]);
      for (let i = 1; i < path.length; i++) line(path[i - 1], path[i], ink, 0.012, 1.5, i * every <= at ? 0.55 : 0.2);
    }
    const shadow = (point) => [point[0], point[1], ground];
    for (const [a, b] of bones) line(shadow(body[a]), shadow(body[b]), ink, 0.05, 2, 0.12);

    // Bones and the head, the farthest first. The head is a ball between neck, nose and crown.
    const [neck, nose, crown] = motion.head.map((joint) => body[joint]);
    const skull = [0, 1, 2].map((axis) => 0.25 * neck[axis] + 0.3 * nose[axis] + 0.45 * crown[axis]);
    const size = Math.hypot(...[0, 1, 2].map((axis) => crown[axis] - nose[axis])) * 0.62;
    const depth = (...ends) => ends.reduce((sum, end) => sum + seen(end)[2], 0) / ends.length;
    const parts = [
      ...bones.map(([a, b, colour]) => [depth(body[a], body[b]), () => line(body[a], body[b], colour, 0.045, 2)]),
      [depth(neck, skull), () => line(neck, skull, motion.middle, 0.045, 2)],
      [depth(skull), () => ball(skull, size, "#e9edf2", motion.middle)],
      [depth(nose), () => ball(nose, 0.022, motion.middle)],
    ];
    parts.sort((p, q) => q[0] - p[0]).forEach(([, paint]) => paint());
    pen.globalAlpha = 1;

    const frame = Math.min(frames - 1, Math.round(at));
    scrub.value = frame;
    by("now").textContent = `${motion.time[frame].toFixed(2)} s \u00b7 frame ${motion.frame[frame]}`;
  };

  const run = (on) => {
    running = on && frames > 1;
    play.textContent = running ? "Pause" : "Play";
    last = null;
  };
  const go = (frame) => {
    run(false);
    at = Math.max(0, Math.min(frames - 1, frame));
    draw();
  };

  scrub.max = frames - 1;
  for (const id of ["play", "back", "ahead", "scrub"]) by(id).disabled = frames < 2;
  play.addEventListener("click", () => {
    if (!running && at >= frames - 1) at = 0;
    run(!running);
  });
  scrub.addEventListener("input", () => go(Number(scrub.value)));
  by("back").addEventListener("click", () => go(Math.ceil(at) - 1));
  by("ahead").addEventListener("click", () => go(Math.floor(at) + 1));
  by("reset").addEventListener("click", () => { reset(); draw(); });
  by("follow").addEventListener("change", () => { reset(); draw(); });
  by("trail").addEventListener("change", draw);
  addEventListener("keydown", (event) => {
    if (/^(SELECT|BUTTON)$/.test(event.target.tagName) && event.key === " ") return;
    const action = {
      " ": () => play.click(), ArrowLeft: () => go(Math.ceil(at) - 1), ArrowRight: () => go(Math.floor(at) + 1),
      Home: () => go(0), End: () => go(frames - 1),
    }[event.key];
    if (!action || event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });

  const held = new Map(); // pointers on the canvas
  const zoom = (factor) => { cam.distance = Math.max(0.3, Math.min(20 * reach, cam.distance * factor)); };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const [x, y] = held.get(event.pointerId), dx = event.clientX - x, dy = event.clientY - y;
    const spread = () => { const [p, q] = [...held.values()]; return Math.hypot(p[0] - q[0], p[1] - q[1]); };
    const before = held.size === 2 ? spread() : 0;
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (held.size === 2) zoom(Math.max(1, before) / Math.max(1, spread()));
    else if (event.shiftKey || event.buttons & 6) {
      const metres = cam.distance * 2 / (LENS * canvas.clientHeight);
      const ca = Math.cos(cam.azimuth), sa = Math.sin(cam.azimuth), cl = Math.cos(cam.lift), sl = Math.sin(cam.lift);
      const right = [-sa, ca, 0], up = [-sl * ca, -sl * sa, cl];
      cam.move = cam.move.map((value, i) => value + metres * (dy * up[i] - dx * right[i]));
    } else {
      cam.azimuth -= dx / 150;
      cam.lift = Math.max(-1.5, Math.min(1.5, cam.lift + dy / 150));
    }
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => held.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) / 500));
    draw();
  }, { passive: false });
  new ResizeObserver(draw).observe(canvas);
  for (const medium of ["print", "(prefers-color-scheme: dark)"]) matchMedia(medium).addEventListener("change", draw);

  const tick = (now) => {
    const seconds = last === null ? 0 : Math.min(0.25, (now - last) / 1000);
    last = now;
    if (running && !document.hidden) {
      at += seconds * Number(by("speed").value) * (frames - 1) / duration;
      if (at > frames - 1) at = 0;
      draw();
    }
    requestAnimationFrame(tick);
  };
  reset();
  run(running);
  draw();
  requestAnimationFrame(tick);
})();
