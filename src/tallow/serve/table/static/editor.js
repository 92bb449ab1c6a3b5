// The table as a grid that is edited by keyboard and pointer, with what can be taken back.

import * as grid from "./grid.js";
import { element, HEADERS, Sheet } from "./sheet.js";

const by = (id) => document.getElementById(id);
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const MOST_UNDOS = 200;

export class Editor {
  // `changed(table)` is called after each edit, `selected(cells, cell)` after each move,
  // `say(text)` tells screen readers.
  constructor({ changed, selected, say }) {
    Object.assign(this, { changed, selected, say });
    this.table = null;
    this.reaching = false;
    this.holder = by("holder");
    this.sheet = new Sheet(this.holder);
    this.holder.addEventListener("keydown", (event) => this.key(event));
    this.holder.addEventListener("mousedown", (event) => this.pointer(event));
    this.holder.addEventListener("mouseover", (event) => event.buttons === 1 && this.pointer(event, true));
    this.holder.addEventListener("dblclick", () => this.edit());
    this.holder.addEventListener("copy", (event) => this.copy(event));
    this.holder.addEventListener("paste", (event) => this.paste(event));
    by("tools").addEventListener("click", (event) => {
      const button = event.target.closest("[data-do]");
      if (!button || button.disabled) return;
      this[button.dataset.do]();
      if (event.detail) this.focus(); // by a pointer: keys are for the cells again
    });
    const text = by("text");
    text.addEventListener("change", () => this.setText(text.value));
    text.addEventListener("keydown", (event) => {
      if (event.key === "Escape") text.value = this.cell.text;
      else if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      text.blur();
      this.focus();
    });
  }

  // Begins with another table: nothing to take back.
  open(table) {
    this.table = table;
    this.past = [];
    this.future = [];
    this.from = this.to = { row: 0, column: 0 };
    this.input = null;
    Object.assign(this.holder, { scrollTop: 0, scrollLeft: 0 });
    this.sheet.again(table);
    this.select(this.from);
  }

  // Takes over values that the server made of the texts, unless there were edits since.
  refresh(before, table) {
    if (this.table !== before || this.input) return;
    this.table = table;
    this.sheet.update(table);
    this.mark();
  }

  get cell() { return grid.cellAt(this.table, this.to.row, this.to.column); }
  get range() { return grid.rangeOf(this.table, this.from, this.to); }

  // --- what the toolbar does ---
  apply(table, said) {
    if (table === this.table) return;
    this.past.push(this.table);
    if (this.past.length > MOST_UNDOS) this.past.shift();
    this.future = [];
    this.become(table, said);
  }

  become(table, said) {
    this.table = table;
    const inside = (place) => ({
      row: Math.min(place.row, table.rows - 1), column: Math.min(place.column, table.columns - 1),
    });
    this.from = inside(this.from);
    this.to = inside(this.to);
    this.input = null;
    this.sheet.update(table);
    this.select(this.to, this.from);
    this.say(said);
    this.changed(table);
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.table);
    this.become(this.past.pop(), "Taken back.");
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.table);
    this.become(this.future.pop(), "Done again.");
  }

  // The next click reaches from the current cell, for who has no Shift key.
  reach(on = !this.reaching) {
    this.reaching = on;
    document.querySelector("[data-do=reach]").setAttribute("aria-pressed", String(on));
    if (on) this.say("Choose the other end of the selection.");
  }

  merge() { this.from = { row: this.range.top, column: this.range.left }; this.apply(grid.merge(this.table, this.range), "Merged."); }
  split() { this.apply(grid.split(this.table, this.cell), "Split."); }
  header() {
    this.apply(grid.toggleHeaderRow(this.table, this.cell.row), "");
    this.say(`${this.table.header_rows} header rows.`);
  }
  rowHeader() { this.apply(grid.toggleRowHeader(this.table, this.range), "Row header changed."); }
  addRow() { this.apply(grid.addRow(this.table, this.range), "Row added."); }
  addColumn() { this.apply(grid.addColumn(this.table, this.range), "Column added."); }
  dropRow() { this.apply(grid.dropRows(this.table, this.range), "Deleted."); }
  dropColumn() { this.apply(grid.dropColumns(this.table, this.range), "Deleted."); }
  setText(text) { if (text !== this.cell.text) this.apply(grid.setText(this.table, this.cell, text), ""); }

  doubt() {
    const here = this.cell;
    const doubtful = this.table.cells.filter(grid.isDoubtful);
    const after = (cell) => cell.row > here.row || (cell.row === here.row && cell.column > here.column);
    const next = doubtful.find(after) || doubtful[0];
    if (next) this.select(next, next, true);
    else this.say("No cell is doubtful.");
  }

  // --- selection ---
  select(to, from = to, focus = false) {
    this.to = { row: to.row, column: to.column };
    this.from = { row: from.row, column: from.column };
    this.mark();
    this.sheet.reveal();
    if (focus) this.focus();
    this.selected([...this.sheet.chosen], this.cell);
  }

  // Shows what is selected, where it is.
  mark() {
    const chosen = new Set(grid.cellsIn(this.table, this.range));
    this.sheet.mark(chosen, this.cell);
    this.show(chosen.size);
  }

  focus() { this.sheet.focus(); }

  show(count) {
    const cell = this.cell, spans = cell.row_span * cell.column_span > 1;
    const set = (what, enabled) => {
      const button = document.querySelector(`[data-do=${what}]`);
      if (!enabled && document.activeElement === button) this.focus(); // else it would be lost
      button.disabled = !enabled;
    };
    set("undo", this.past.length);
    set("redo", this.future.length);
    set("merge", count > 1);
    set("split", spans);
    const range = this.range;
    set("dropRow", range.bottom - range.top < this.table.rows);
    set("dropColumn", range.right - range.left < this.table.columns);
    this.showDoubts();
    document.querySelector("[data-do=header]").setAttribute("aria-pressed", String(cell.row < this.table.header_rows));
    document.querySelector("[data-do=rowHeader]").setAttribute("aria-pressed", String(cell.header === "row"));
    by("detail").hidden = false;
    by("where").textContent = `${grid.letters(cell.column)}${cell.row + 1}`;
    by("text").value = cell.text;
    by("meaning").textContent = meaning(cell);
  }

  showDoubts() {
    if (this.counted !== this.table) this.doubts = this.table.cells.filter(grid.isDoubtful).length;
    this.counted = this.table;
    const button = document.querySelector("[data-do=doubt]");
    if (!this.doubts && document.activeElement === button) this.focus();
    button.disabled = !this.doubts;
    by("doubts").textContent = this.doubts ? String(this.doubts) : "";
  }

  pointer(event, extend = event.shiftKey || this.reaching) {
    const place = event.target.closest("td[role=gridcell]");
    if (!place || this.input || event.button !== 0) return;
    event.preventDefault();
    this.reach(false);
    if (extend && place.cell === this.cell) return;
    this.select(place.cell, extend ? this.from : place.cell, true);
  }

  move(rows, columns, extend) {
    const cell = this.cell;
    const { rows: height, columns: width } = this.table;
    const to = (at, by, first, span, most) => // a cell that spans several is left by one step
      Math.max(0, Math.min(most - 1, by > 0 ? Math.max(first + span, at + by) : at + by));
    const row = rows ? to(this.to.row, rows, cell.row, cell.row_span, height) : this.to.row;
    const column = columns ? to(this.to.column, columns, cell.column, cell.column_span, width) : this.to.column;
    const next = grid.cellAt(this.table, row, column);
    if (next) this.select(next, extend ? this.from : next, true);
  }

  selectAll() {
    this.select({ row: this.table.rows - 1, column: this.table.columns - 1 }, { row: 0, column: 0 }, true);
  }

  // The next or previous cell in order of reading; false at the end.
  step(direction) {
    const next = this.table.cells[this.table.cells.indexOf(this.cell) + direction];
    if (next) this.select(next, next, true);
    return Boolean(next);
  }

  key(event) {
    if (this.input) return;
    const control = event.ctrlKey || event.metaKey, key = event.key;
    if (control && key.toLowerCase() === "z") event.shiftKey ? this.redo() : this.undo();
    else if (control && key.toLowerCase() === "y") this.redo();
    else if (control && key.toLowerCase() === "a") this.selectAll();
    else if (control && MOVES[key]) this.move(...MOVES[key].map((by) => by * 1e6), event.shiftKey);
    else if (control && key === "Home") this.select({ row: 0, column: 0 }, undefined, true);
    else if (control && key === "End") this.select(this.table.cells.at(-1), undefined, true);
    else if (control || event.altKey) return;
    else if (MOVES[key]) this.move(...MOVES[key], event.shiftKey);
    else if (key === "PageDown") this.move(this.sheet.page, 0, event.shiftKey);
    else if (key === "PageUp") this.move(-this.sheet.page, 0, event.shiftKey);
    else if (key === "Home") this.select({ row: this.to.row, column: 0 }, undefined, true);
    else if (key === "End") this.select({ row: this.to.row, column: this.table.columns - 1 }, undefined, true);
    else if (key === "Enter" || key === "F2") this.edit();
    else if (key === "Delete" || key === "Backspace") this.clear();
    else if (key === "Escape") this.select(this.cell, this.cell, true);
    else if (key.length === 1) this.edit(key);
    else return;
    event.preventDefault();
    if (control) this.focus();
  }

  clear() {
    const full = grid.cellsIn(this.table, this.range).filter((cell) => cell.text);
    this.apply(grid.setTexts(this.table, full.map((cell) => [cell, ""])), "Cleared.");
    this.focus();
  }

  // --- editing a cell in its place ---
  edit(text = this.cell.text) {
    if (this.input) return;
    const place = this.sheet.placeOf(this.cell);
    const input = element("textarea", { dir: "auto", "aria-label": `Text of ${by("where").textContent}`, spellcheck: false });
    input.value = text;
    this.input = input;
    this.sheet.held = true;
    const width = place.clientWidth;
    place.classList.add("editing");
    place.removeAttribute("tabindex"); // the field in it is what has the focus
    place.replaceChildren(input);
    input.style.width = `${Math.max(width - 4, 80)}px`;
    input.rows = Math.max(1, text.split("\n").length);
    input.focus();
    if (text === this.cell.text) input.select();
    input.addEventListener("keydown", (event) => this.editKey(event));
    input.addEventListener("blur", () => this.leave(true));
  }

  editKey(event) {
    event.stopPropagation();
    if (event.key === "Escape") this.leave(false);
    else if (event.key === "Enter" && !event.shiftKey) { this.leave(true); this.move(1, 0); }
    else if (event.key === "Tab") {
      const on = event.shiftKey ? -1 : 1;
      this.leave(true);
      if (this.step(on)) this.edit();
    } else return;
    event.preventDefault();
    if (!this.input) this.focus();
  }

  // Ends editing; `keep` takes the text over.
  leave(keep) {
    const input = this.input;
    if (!input) return;
    this.input = null;
    this.sheet.held = false;
    const cell = this.cell, place = this.sheet.placeOf(cell), focused = document.activeElement === input;
    place.classList.remove("editing");
    this.sheet.fill(place, cell);
    if (keep && input.value !== cell.text) this.apply(grid.setText(this.table, cell, input.value), "");
    else this.select(this.to, this.from);
    if (focused) this.focus();
  }

  // --- the clipboard: lines and tabs, as spreadsheets have it ---
  copy(event) {
    if (this.input) return;
    const range = this.range, lines = [];
    for (let r = range.top; r < range.bottom; r++) {
      const row = [];
      for (let c = range.left; c < range.right; c++) {
        const cell = grid.cellAt(this.table, r, c);
        row.push(cell.row === r && cell.column === c ? cell.text.replace(/[\t\n]+/g, " ") : "");
      }
      lines.push(row.join("\t"));
    }
    event.clipboardData.setData("text/plain", lines.join("\n"));
    event.preventDefault();
  }

  paste(event) {
    const text = event.clipboardData.getData("text/plain");
    if (this.input || !text) return;
    event.preventDefault();
    const { top, left } = this.range;
    const edits = new Map();
    text.replace(/\r?\n$/, "").split(/\r?\n/).forEach((line, r) => line.split("\t").forEach((part, c) => {
      const cell = grid.cellAt(this.table, top + r, left + c);
      if (cell && cell.row === top + r && cell.column === left + c) edits.set(cell, part);
    }));
    this.apply(grid.setTexts(this.table, [...edits]), "Pasted.");
    this.focus();
  }
}

// What a spreadsheet will hold, in words.
function meaning(cell) {
  const parts = [];
  const value = cell.value;
  if (typeof value === "number") parts.push(`number ${value}`);
  else if (typeof value === "boolean") parts.push(value ? "true" : "false");
  else if (cell.number_format && value) parts.push(`${value} (${cell.number_format})`);
  else parts.push(cell.text ? "text" : "empty");
  if (typeof value === "number" && cell.number_format) parts.push(`shown as ${cell.number_format}`);
  if (cell.note) parts.push(`note ${cell.note}`);
  if (cell.header) parts.push(HEADERS[cell.header]);
  if (cell.text) parts.push(`${grid.isDoubtful(cell) ? "doubtful, " : ""}${Math.round(cell.confidence * 100)} % sure`);
  return parts.join(" · ");
}
