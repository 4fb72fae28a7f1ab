// Draws one body on a square canvas, turned about the vertical; lines as on the other pages, the farthest first.
// A figure has points (x right, y up, z towards the viewer), bones (from, to, colour), and whether it turns.
const drawBody = (canvas, figure, turn, lift) => {
  const ratio = devicePixelRatio || 1, side = canvas.clientWidth;
  if (!side) return;
  if (canvas.width !== Math.round(side * ratio)) canvas.width = canvas.height = Math.round(side * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, side, side);
  const c = Math.cos(turn), s = Math.sin(turn), cl = Math.cos(lift), sl = Math.sin(lift);
  const flat = figure.points.map(([x, y, z]) => {
    if (!figure.turns) return [x, y, z];
    const depth = -x * s + z * c;
    return [x * c + z * s, y * cl - depth * sl, depth];
  });
  const place = ([x, y]) => [side * (0.5 + 0.85 * x), side * (0.5 - 0.85 * y)];
  pen.lineCap = "round";
  pen.lineWidth = Math.min(side / 40, 4);
  figure.bones
    .map(([a, b, colour]) => ({ from: flat[a], to: flat[b], colour }))
    .sort((p, q) => p.from[2] + p.to[2] - q.from[2] - q.to[2])
    .forEach(({ from, to, colour }) => {
      pen.strokeStyle = colour;
      pen.beginPath();
      pen.moveTo(...place(from));
      pen.lineTo(...place(to));
      pen.stroke();
    });
};

/** Points centred, and one unit wide or high; deep bodies are smaller, so that turning keeps them on the canvas. */
const fitted = (points) => {
  const axes = [0, 1, 2];
  const low = axes.map((axis) => Math.min(...points.map((point) => point[axis])));
  const high = axes.map((axis) => Math.max(...points.map((point) => point[axis])));
  const centre = axes.map((axis) => (low[axis] + high[axis]) / 2);
  const deepest = 2 * Math.max(...points.map((point) => Math.hypot(...axes.map((axis) => point[axis] - centre[axis]))));
  const size = Math.max(high[0] - low[0], high[1] - low[1], 0.85 * deepest, 1e-6);
  return points.map((point) => axes.map((axis) => (point[axis] - centre[axis]) / size));
};
