// What points are coloured by, and the legend, whose entries can be shown alone.
const PALETTE = ["#4477aa", "#ee6677", "#2f9a41", "#d4b21f", "#5bbbe0", "#aa3377", "#f08a4b", "#3aa08a", "#a9b51c", "#7b6fd0", "#c25a9a", "#8c6d31"];
const RAMP = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]; // viridis
const rgb = (hex) => {
  const long = hex.length === 4 ? [...hex].map((digit) => digit + digit).join("").slice(1) : hex;
  return [1, 3, 5].map((at) => parseInt(long.slice(at, at + 2), 16));
};
const element = (tag, text, kind) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};
const whole = (number) => number.toLocaleString("en");

const legendOf = (place, data, arrays, changed) => {
  const { clip } = arrays, count = clip.length;
  const ofClip = (codes) => Uint32Array.from(clip, (one) => codes[one]);
  // A number for each point and the name of each number; or, of a density, a value from 0 to 255.
  const ways = {
    action: () => ({ codes: ofClip(data.clips.action), names: data.actions }),
    subject: () => ({ codes: ofClip(data.clips.subject), names: data.subjects }),
    clip: () => ({ codes: clip, names: data.clips.name }),
    key: () => ({ codes: arrays.key, names: data.keys.map((_, i) => `key pose ${i + 1}`), inOrder: true }),
    cluster: () => ({ codes: arrays.cluster, names: data.clusters }),
    density: () => ({ values: arrays.density }),
  };
  const colours = new Uint8Array(3 * count);
  let groups = null, chosen = -1;

  const hue = (i) => {
    const h = (i * 137.508) % 360; // by the golden angle, so that successive clips differ
    return [0, 8, 4].map((n) => {
      const k = (n + h / 30) % 12;
      return Math.round(255 * (0.52 - 0.31 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
    });
  };
  const pale = (colour, grey) => colour.map((one, i) => Math.round((one + grey[i]) / 2));
  const ramp = (value) => {
    const at = value * (RAMP.length - 1), low = Math.min(RAMP.length - 2, Math.floor(at));
    const [p, q] = [rgb(RAMP[low]), rgb(RAMP[low + 1])];
    return p.map((one, i) => Math.round(one + (at - low) * (q[i] - one)));
  };

  const paint = (way, grey) => {
    const { codes, names, values, inOrder } = ways[way]();
    groups = null;
    chosen = -1;
    if (values) {
      const steps = Array.from({ length: 256 }, (_, i) => ramp(i / 255));
      for (let i = 0; i < count; i++) colours.set(steps[values[i]], 3 * i);
    } else {
      const sizes = new Uint32Array(names.length);
      for (let i = 0; i < count; i++) sizes[codes[i]]++;
      const ranked = [...names.keys()].filter((one) => sizes[one]);
      if (!inOrder) ranked.sort((p, q) => sizes[q] - sizes[p]);
      const of = names.map(() => grey); // of what has no name
      ranked.forEach((one, rank) => {
        if (names[one]) of[one] = rank < PALETTE.length ? rgb(PALETTE[rank]) : pale(hue(one), grey);
      });
      for (let i = 0; i < count; i++) colours.set(of[codes[i]], 3 * i);
      groups = { codes, names, sizes, ranked, of };
    }
    tell();
    changed();
  };

  const tell = () => {
    place.replaceChildren();
    if (!groups) {
      const bar = element("div", undefined, "ramp");
      bar.style.background = `linear-gradient(90deg, ${RAMP.join(", ")})`;
      place.append(bar, element("small", "rare poses"), element("small", "usual poses", "end"));
      return;
    }
    const { ranked, names, sizes, of } = groups;
    for (const one of ranked.slice(0, PALETTE.length)) {
      const chip = element("button", undefined, "chip"), dot = element("i");
      chip.type = "button";
      chip.setAttribute("aria-pressed", String(chosen === one));
      dot.style.background = `rgb(${of[one].join(",")})`;
      chip.append(dot, element("span", names[one] || "(none)"), element("small", whole(sizes[one])));
      chip.addEventListener("click", () => {
        chosen = chosen === one ? -1 : one;
        tell();
        changed();
      });
      place.append(chip);
    }
    const others = ranked.length - PALETTE.length;
    if (others > 0) place.append(element("small", `and ${whole(others)} more, in pale colours`));
  };

  return { colours, paint, chooses: () => chosen >= 0, takes: (i) => chosen < 0 || groups.codes[i] === chosen };
};
