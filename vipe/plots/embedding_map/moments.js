// The lit poses as moments: stretches of one clip without a long gap; as a list, and as a table.
const momentsOf = (data, { clip, frame, time }) => {
  const GAP = 0.5, LISTED = 60; // seconds; rows of the list

  const all = (lit) => {
    const rows = [...lit.keys()].filter((i) => lit[i]).sort((p, q) => clip[p] - clip[q] || time[p] - time[q]);
    const found = [];
    for (const i of rows) {
      const last = found[found.length - 1];
      if (last && last.clip === clip[i] && time[i] - last.to <= GAP) {
        last.to = time[i];
        last.rows.push(i);
      } else found.push({ clip: clip[i], from: time[i], to: time[i], rows: [i] });
    }
    return found;
  };

  const list = (place, title, lit, open) => {
    place.replaceChildren();
    const found = all(lit).sort((p, q) => q.rows.length - p.rows.length);
    title.textContent = `${whole(found.length)} ${found.length === 1 ? "moment" : "moments"}`;
    for (const one of found.slice(0, LISTED)) {
      const row = element("button", undefined, "moment"), poses = one.rows.length;
      row.type = "button";
      const span = one.to > one.from ? `${one.from.toFixed(2)} to ${one.to.toFixed(2)} s` : `${one.from.toFixed(2)} s`;
      row.append(element("span", data.clips.name[one.clip]), element("small", `${span}, ${whole(poses)} ${poses === 1 ? "pose" : "poses"}`));
      row.addEventListener("click", () => open(one.rows[poses >> 1]));
      place.append(row);
    }
    if (found.length > LISTED) place.append(element("small", `and ${whole(found.length - LISTED)} more; copy or download them all`));
  };

  const table = (lit) => {
    // Spreadsheets run a cell that begins so; an apostrophe makes it text. Numbers stay numbers.
    const plain = (text) => (/^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : String(text));
    const quoted = (text) => (/[",\n\r]/.test(text) ? `"${plain(text).replaceAll('"', '""')}"` : plain(text));
    const lines = all(lit).flatMap((one) => one.rows.map((i) => {
      const words = [data.actions[data.clips.action[one.clip]], data.subjects[data.clips.subject[one.clip]]];
      return [data.clips.name[one.clip], frame[i], time[i].toFixed(4), ...words].map(quoted).join(",");
    }));
    return ["clip,frame,time,action,subject", ...lines].join("\n") + "\n";
  };

  return { list, table };
};
