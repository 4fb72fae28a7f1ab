// Draws very many points fast, pixel by pixel, and finds those under a pointer or inside a lasso.
// No WebGL: a hundred thousand discs of a few pixels take little time, and every browser draws the same.
const pointsOf = (x, y) => {
  const count = x.length, CELLS = 128;
  // A fixed shuffle: no clip lies on top of all others because it comes last.
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1, state = 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const k = state % (i + 1);
    [order[i], order[k]] = [order[k], order[i]];
  }
  // Points sorted into squares, so that only a few are looked at under a pointer.
  const cell = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor(value * CELLS)));
  const starts = new Uint32Array(CELLS * CELLS + 1), sorted = new Uint32Array(count);
  for (let i = 0; i < count; i++) starts[cell(y[i]) * CELLS + cell(x[i]) + 1]++;
  for (let i = 0; i < CELLS * CELLS; i++) starts[i + 1] += starts[i];
  const next = starts.slice();
  for (let i = 0; i < count; i++) sorted[next[cell(y[i]) * CELLS + cell(x[i])]++] = i;

  /** The pixels of a disc in an image so many pixels wide: those inside, and those of its edge with their cover of 256. */
  const disc = (radius, wide, quick) => {
    const far = Math.ceil(radius + 0.5), inner = [], edge = [], cover = [];
    for (let v = -far; v <= far; v++) {
      for (let u = -far; u <= far; u++) {
        const covered = radius + 0.5 - Math.hypot(u, v);
        if (covered > (quick ? 0.5 : 0.85)) inner.push(v * wide + u);
        else if (!quick && covered > 0.05) {
          edge.push(v * wide + u);
          cover.push(Math.round(256 * covered));
        }
      }
    }
    return { far, inner: Int32Array.from(inner), edge: Int32Array.from(edge), cover: Int32Array.from(cover) };
  };

  let image = null, whole = null; // kept from one painting to the next
  /**
   * Paint all points on a canvas: those that are not lit first, faintly.
   * view: { scale (pixels of the canvas a unit), left, top }; colours: Uint8Array of three a point; ground: [r, g, b];
   * quick: with hard edges, while the map moves.
   */
  const paint = (canvas, view, colours, lit, radius, ground, quick) => {
    const pen = canvas.getContext("2d"), wide = canvas.width, deep = canvas.height;
    if (!wide || !deep) return;
    if (!image || image.width !== wide || image.height !== deep) {
      image = pen.createImageData(wide, deep);
      whole = new Uint32Array(image.data.buffer);
    }
    const data = image.data, [gr, gg, gb] = ground, { far, inner, edge, cover } = disc(radius, wide, quick);
    whole.fill((255 << 24) | (gb << 16) | (gg << 8) | gr);
    for (let pass = lit ? 0 : 1; pass < 2; pass++) {
      const share = pass ? 256 : 34; // of the colour over the ground
      for (let n = 0; n < count; n++) {
        const i = order[n];
        if (lit && lit[i] !== pass) continue;
        const px = (x[i] * view.scale - view.left + 0.5) | 0, py = (y[i] * view.scale - view.top + 0.5) | 0;
        if (px < far || py < far || px >= wide - far || py >= deep - far) continue;
        const r = gr + (((colours[3 * i] - gr) * share) >> 8), g = gg + (((colours[3 * i + 1] - gg) * share) >> 8);
        const b = gb + (((colours[3 * i + 2] - gb) * share) >> 8);
        const at = py * wide + px, colour = (255 << 24) | (b << 16) | (g << 8) | r;
        for (let k = 0; k < inner.length; k++) whole[at + inner[k]] = colour;
        for (let k = 0; k < edge.length; k++) {
          const place = 4 * (at + edge[k]), part = cover[k];
          data[place] += ((r - data[place]) * part) >> 8;
          data[place + 1] += ((g - data[place + 1]) * part) >> 8;
          data[place + 2] += ((b - data[place + 2]) * part) >> 8;
        }
      }
    }
    pen.putImageData(image, 0, 0);
  };

  /** The point nearest to a place, within a reach, both in units of the map; -1 if there is none. */
  const nearest = (px, py, reach, lit) => {
    let best = -1, least = reach * reach;
    for (let row = cell(py - reach); row <= cell(py + reach); row++) {
      for (let column = cell(px - reach); column <= cell(px + reach); column++) {
        const own = row * CELLS + column;
        for (let k = starts[own]; k < starts[own + 1]; k++) {
          const i = sorted[k], apart = (x[i] - px) ** 2 + (y[i] - py) ** 2;
          if (apart <= least && !(lit && !lit[i])) { least = apart; best = i; }
        }
      }
    }
    return best;
  };

  /** For each point whether it lies inside a closed line of [x, y]. */
  const inside = (line) => {
    const low = [0, 1].map((axis) => Math.min(...line.map((point) => point[axis])));
    const high = [0, 1].map((axis) => Math.max(...line.map((point) => point[axis])));
    const found = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      if (x[i] < low[0] || x[i] > high[0] || y[i] < low[1] || y[i] > high[1]) continue;
      let odd = 0;
      for (let k = 0, last = line.length - 1; k < line.length; last = k++) {
        const [ax, ay] = line[k], [bx, by] = line[last];
        if (ay > y[i] !== by > y[i] && x[i] < (bx - ax) * (y[i] - ay) / (by - ay) + ax) odd ^= 1;
      }
      found[i] = odd;
    }
    return found;
  };

  return { count, paint, nearest, inside };
};
