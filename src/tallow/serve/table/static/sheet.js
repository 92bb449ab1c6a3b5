// The table on the page: its cells as elements; of a large one only the rows that are in sight.

import * as grid from "./grid.js";

const MANY = 3000; // cells: with more, rows out of sight are not drawn
const SPARE = 12; // rows that are drawn above and below those in sight
const MOST_FIXED = 3; // header rows that stay in sight
const WIDEST = 34; // characters that a column is wide where columns do not fit themselves
export const HEADERS = { column: "heads the column", row: "heads the row", section: "heads a section" };

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function textWidth(text) {
  let most = 0;
  for (const line of text.split("\n")) {
    let width = 0;
    for (const char of line) width += char > "\u1100" ? 2 : 1; // East Asia's are twice as wide
    most = Math.max(most, width);
  }
  return most;
}

// Superscripts as elements.
function runs(cell) {
  const parts = [];
  let at = 0;
  for (const [start, end] of cell.raised) {
    if (start < at || end > cell.text.length) continue;
    parts.push(cell.text.slice(at, start), element("sup", {}, cell.text.slice(start, end)));
    at = end;
  }
  return [...parts, cell.text.slice(at)];
}

export class Sheet {
  constructor(holder) {
    this.holder = holder;
    this.table = null;
    this.held = false; // while a cell is edited, what is drawn stays
    this.chosen = new Set();
    this.current = null;
    let waiting = false;
    holder.addEventListener("scroll", () => {
      if (waiting || !this.many) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.follow(); });
    });
  }

  // --- drawing ---
  show(table) {
    this.table = table;
    this.many = table.cells.length > MANY;
    this.fixed = table.header_rows <= MOST_FIXED && table.header_rows < table.rows ? table.header_rows : 0;
    this.heights = new Float64Array(table.rows).fill(32);
    this.measured = false;
    this.shown = "";
    this.body = element("tbody", { role: "rowgroup" });
    this.grid = element("table",
      { id: "grid", role: "grid", "aria-label": "Table", "aria-multiselectable": "true",
        "aria-rowcount": String(table.rows + 1), "aria-colcount": String(table.columns + 1) },
      this.many ? this.widths() : "",
      element("thead", { role: "rowgroup" }, this.head()), this.body);
    this.grid.classList.toggle("large", this.many);
    this.holder.replaceChildren(this.grid);
    this.draw();
  }

  head() {
    const corner = element("td", { role: "presentation" });
    const head = element("tr", { role: "row", "aria-rowindex": "1" }, corner);
    for (let c = 0; c < this.table.columns; c++) {
      const type = this.table.column_types[c];
      const kind = type?.kind && type.kind !== "empty"
        ? element("span", { class: "kind", title: type.reasons.join("\n") }, type.kind) : "";
      head.append(element("th", { scope: "col", role: "columnheader" }, grid.letters(c), kind));
    }
    return head;
  }

  // Columns of a large table do not change their widths with the rows that are in sight.
  widths() {
    const widths = new Array(this.table.columns).fill(9);
    for (const cell of this.table.cells) {
      if (cell.column_span === 1) widths[cell.column] = Math.max(widths[cell.column], textWidth(cell.text));
    }
    const group = element("colgroup", {}, element("col", { class: "numbers" }));
    for (const width of widths) {
      const column = element("col");
      column.style.width = `calc(${Math.min(width, WIDEST)}ch + 1.6rem)`;
      group.append(column);
    }
    return group;
  }

  top(row) {
    let sum = 0;
    for (let r = 0; r < row; r++) sum += this.heights[r];
    return sum;
  }

  // The ranges of rows that are to be drawn, in order and apart.
  ranges() {
    const { table, holder } = this;
    if (!this.many) return [[0, table.rows]];
    const from = holder.scrollTop, to = from + (holder.clientHeight || 400);
    let first = 0, sum = 0;
    while (first < table.rows - 1 && sum + this.heights[first] < from) sum += this.heights[first++];
    let end = first;
    while (end < table.rows && sum < to) sum += this.heights[end++];
    const wanted = [[0, this.fixed], [Math.max(0, first - SPARE), Math.min(table.rows, end + SPARE)]];
    if (this.current) wanted.push([this.current.row, this.current.row + 1]); // it has the focus
    const made = [];
    for (const [a, b] of wanted.sort((x, y) => x[0] - y[0])) {
      const last = made.at(-1);
      if (last && a <= last[1]) last[1] = Math.max(last[1], b);
      else if (b > a) made.push([a, b]);
    }
    return made;
  }

  draw() {
    const ranges = this.ranges(), shown = ranges.join(";");
    if (shown === this.shown) return;
    const focused = this.body.contains(document.activeElement);
    this.shown = shown;
    this.places = new Map();
    const rows = [];
    let at = 0;
    for (const [first, end] of ranges) {
      if (first > at) rows.push(this.gap(at, first));
      for (let r = first; r < end; r++) rows.push(this.row(r, first, end));
      at = end;
    }
    if (at < this.table.rows) rows.push(this.gap(at, this.table.rows));
    this.body.replaceChildren(...rows);
    this.mark(this.chosen, this.current);
    if (this.many) this.measure();
    this.pin();
    if (focused) this.focus();
  }

  gap(first, end) {
    const place = element("td", { colSpan: this.table.columns + 1 });
    place.style.height = `${this.top(end) - this.top(first)}px`;
    return element("tr", { class: "gap", "aria-hidden": "true" }, place);
  }

  // A row of those from `first` to `end`; what reaches over their border is cut there.
  row(r, first, end) {
    const made = element("tr", { role: "row", "aria-rowindex": String(r + 2) },
      element("th", { scope: "row", role: "rowheader" }, String(r + 1)));
    made.classList.toggle("heads", r < this.table.header_rows);
    made.number = r;
    for (let c = 0; c < this.table.columns;) {
      const cell = grid.cellAt(this.table, r, c);
      if (cell.row === r || (r === first && cell.row < r)) made.append(this.place(cell, r, end));
      c = cell.column + cell.column_span;
    }
    return made;
  }

  place(cell, row = cell.row, end = this.table.rows) {
    const span = Math.min(cell.row + cell.row_span, end) - row;
    const made = element("td", { role: "gridcell", tabIndex: -1, rowSpan: span, colSpan: cell.column_span });
    made.cell = cell;
    made.dir = "auto";
    this.fill(made, cell);
    this.places.set(cell, [...(this.places.get(cell) || []), made]);
    return made;
  }

  fill(made, cell) {
    made.classList.remove("head", "column", "row", "section", "bold", "number", "center");
    if (cell.header) made.classList.add("head", cell.header);
    if (cell.bold) made.classList.add("bold");
    if (typeof cell.value === "number" || cell.align === "right") made.classList.add("number");
    else if (cell.align === "center") made.classList.add("center");
    const notes = [];
    if (cell.header) notes.push(HEADERS[cell.header]);
    const doubtful = grid.isDoubtful(cell);
    if (doubtful) notes.push(`doubtful, ${Math.round(cell.confidence * 100)} %`);
    made.classList.toggle("doubt", doubtful);
    made.replaceChildren(...runs(cell),
      doubtful ? element("span", { class: "mark", "aria-hidden": "true" }, "?") : "",
      notes.length ? element("span", { class: "unseen" }, ` (${notes.join("; ")})`) : "");
  }

  // Heights of drawn rows are kept, so that what is out of sight takes its place.
  measure() {
    const rows = [...this.body.children].filter((row) => row.number !== undefined);
    const found = rows.map((row) => row.offsetHeight);
    const first = !this.measured && found.some((height) => height > 0);
    if (first) this.heights.fill(found.reduce((sum, height) => sum + height, 0) / found.length);
    rows.forEach((row, k) => { this.heights[row.number] = found[k] || this.heights[row.number]; });
    if (!first) return;
    this.measured = true; // what was drawn stood on a guess
    this.shown = "";
    this.draw();
  }

  // Header rows stay in sight below the letters, unless they would take half of what is seen.
  pin() {
    let top = this.covered = this.grid.tHead.offsetHeight;
    const rows = [...this.body.children].slice(0, this.fixed), tops = [];
    for (const row of rows) { tops.push(top); top += row.offsetHeight; }
    const fits = top <= this.holder.clientHeight / 2;
    if (fits) this.covered = top;
    rows.forEach((row, r) => {
      for (const place of row.children) {
        place.classList.toggle("pinned", fits);
        place.style.top = fits ? `${tops[r]}px` : "";
      }
    });
  }

  follow() {
    if (!this.held) this.draw();
  }

  // Shows `table` where another was: only cells that differ are made anew, if places agree.
  update(table) {
    const before = this.table;
    if (this.held || !grid.samePlaces(before, table)) return this.again(table);
    this.table = table;
    const old = this.places;
    this.places = new Map();
    table.cells.forEach((cell, k) => {
      const places = old.get(before.cells[k]);
      if (!places) return;
      this.places.set(cell, places);
      if (cell === before.cells[k]) return;
      const same = JSON.stringify(cell) === JSON.stringify(before.cells[k]);
      for (const place of places) {
        place.cell = cell;
        if (!same) this.fill(place, cell);
      }
    });
    this.grid.tHead.rows[0].replaceWith(this.head());
    this.pin();
  }

  again(table) {
    const { scrollTop, scrollLeft } = this.holder;
    this.held = false;
    this.chosen = new Set();
    this.current = null;
    this.show(table);
    Object.assign(this.holder, { scrollTop, scrollLeft });
    if (this.many) this.draw();
  }

  // --- the selection ---
  mark(chosen, current) {
    this.chosen = chosen;
    this.current = current;
    for (const [cell, places] of this.places) {
      const selected = String(chosen.has(cell)), is = cell === current;
      for (const place of places) {
        if (place.getAttribute("aria-selected") !== selected) place.setAttribute("aria-selected", selected);
        if (place.classList.contains("current") !== is) place.classList.toggle("current", is);
        const index = is && place === places[0] ? 0 : -1;
        if (place.tabIndex !== index) place.tabIndex = index;
      }
    }
  }

  placeOf(cell) { return this.places.get(cell)?.[0]; }

  // Scrolls so that the current cell is seen beside letters, numbers and headers that stay.
  reveal() {
    const cell = this.current, holder = this.holder;
    if (!cell) return;
    if (this.many && !this.held) {
      const top = this.top(cell.row), seen = holder.clientHeight - this.covered;
      const away = top < holder.scrollTop - seen || top > holder.scrollTop + 2 * seen;
      if (away) holder.scrollTop = top - seen / 2;
      this.draw();
    }
    const place = this.placeOf(cell);
    if (!place || cell.row < this.fixed && place.classList.contains("pinned") && !holder.scrollLeft) return;
    const box = place.getBoundingClientRect(), outer = holder.getBoundingClientRect();
    const left = outer.left + this.body.querySelector("th").offsetWidth, top = outer.top + this.covered;
    const right = outer.left + holder.clientWidth, bottom = outer.top + holder.clientHeight;
    if (!place.classList.contains("pinned")) {
      if (box.top < top) holder.scrollTop -= top - box.top;
      else if (box.bottom > bottom) holder.scrollTop += Math.min(box.bottom - bottom, box.top - top);
    }
    if (box.left < left) holder.scrollLeft -= left - box.left;
    else if (box.right > right) holder.scrollLeft += Math.min(box.right - right, box.left - left);
  }

  focus() { this.placeOf(this.current)?.focus({ preventScroll: true }); }

  // How many rows are seen at once.
  get page() {
    const height = this.holder.clientHeight - (this.covered || 0);
    return Math.max(1, Math.floor(height / (this.body.lastElementChild?.offsetHeight || 30)) - 1);
  }
}
