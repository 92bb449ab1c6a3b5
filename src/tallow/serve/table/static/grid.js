// Operations on tables: each takes a table and gives a changed one, and leaves what it took as it is.
// A table has `rows`, `columns`, `header_rows` and `cells` that tile it; see the server's tables.py.

const bottom = (cell) => cell.row + cell.row_span;
const right = (cell) => cell.column + cell.column_span;
const byPlace = (a, b) => a.row - b.row || a.column - b.column;

export const DOUBTFUL = 0.8;
export const isDoubtful = (cell) => cell.confidence < DOUBTFUL && cell.text !== "";

let indexed = null, index = []; // of the table that was asked for last

// The cell of every place, row by row.
function indexOf(table) {
  if (indexed === table) return index;
  const made = new Array(table.rows * table.columns);
  for (const cell of table.cells) {
    for (let r = cell.row; r < bottom(cell); r++) made.fill(cell, r * table.columns + cell.column, r * table.columns + right(cell));
  }
  [indexed, index] = [table, made];
  return made;
}

export function cellAt(table, row, column) {
  const inside = row >= 0 && row < table.rows && column >= 0 && column < table.columns;
  return inside ? indexOf(table)[row * table.columns + column] : undefined;
}

// Whether the cells of two tables have the same places, in the same order.
export function samePlaces(a, b) {
  return a.rows === b.rows && a.columns === b.columns && a.header_rows === b.header_rows &&
    a.cells.length === b.cells.length && a.cells.every((cell, k) => {
      const other = b.cells[k];
      return cell === other || (cell.row === other.row && cell.column === other.column &&
        cell.row_span === other.row_span && cell.column_span === other.column_span);
    });
}

// The smallest range of whole cells around two places.
export function rangeOf(table, a, b) {
  let range = {
    top: Math.min(a.row, b.row), left: Math.min(a.column, b.column),
    bottom: Math.max(a.row, b.row) + 1, right: Math.max(a.column, b.column) + 1,
  };
  for (;;) {
    const grown = cellsIn(table, range).reduce((r, cell) => ({
      top: Math.min(r.top, cell.row), left: Math.min(r.left, cell.column),
      bottom: Math.max(r.bottom, bottom(cell)), right: Math.max(r.right, right(cell)),
    }), range);
    if (Object.keys(range).every((key) => range[key] === grown[key])) return range;
    range = grown;
  }
}

export function cellsIn(table, range) {
  const found = new Set(), cells = indexOf(table);
  for (let r = Math.max(range.top, 0); r < Math.min(range.bottom, table.rows); r++) {
    for (let c = Math.max(range.left, 0); c < Math.min(range.right, table.columns); c++) {
      found.add(cells[r * table.columns + c]);
    }
  }
  return [...found];
}

function changed(table, cells, rest = {}) {
  return { ...table, ...rest, cells: [...cells].sort(byPlace) };
}

// Other texts for cells: [[cell, text], …].
export function setTexts(table, edits) {
  if (!edits.length) return table;
  const texts = new Map(edits);
  const edited = (cell) => ({ ...cell, text: texts.get(cell), confidence: 1, raised: [], note: "", value: null });
  return { ...table, cells: table.cells.map((cell) => (texts.has(cell) ? edited(cell) : cell)) };
}

export const setText = (table, cell, text) => setTexts(table, [[cell, text]]);

function unionOf(cells) {
  const placed = cells.filter((cell) => cell.box);
  if (!placed.length || placed.some((cell) => cell.page !== placed[0].page)) return null;
  const at = (index, choose) => choose(...placed.map((cell) => cell.box[index]));
  return [at(0, Math.min), at(1, Math.min), at(2, Math.max), at(3, Math.max)];
}

export function merge(table, range) {
  const inside = cellsIn(table, range).sort(byPlace);
  if (inside.length < 2) return table;
  const one = {
    ...inside[0],
    row: range.top, column: range.left,
    row_span: range.bottom - range.top, column_span: range.right - range.left,
    text: inside.map((cell) => cell.text).filter(Boolean).join(" "),
    box: unionOf(inside), page: (inside.find((cell) => cell.box) || inside[0]).page,
    confidence: Math.min(...inside.map((cell) => cell.confidence)),
    raised: [], value: null,
  };
  const made = changed(table, [...table.cells.filter((cell) => !inside.includes(cell)), one]);
  return setHeaderRows(made, made.header_rows);
}

function partOf(box, cell, row, column) {
  if (!box) return null;
  const w = (box[2] - box[0]) / cell.column_span, h = (box[3] - box[1]) / cell.row_span;
  return [box[0] + column * w, box[1] + row * h, box[0] + (column + 1) * w, box[1] + (row + 1) * h];
}

export function split(table, cell) {
  if (cell.row_span * cell.column_span === 1) return table;
  const parts = [];
  for (let r = 0; r < cell.row_span; r++) {
    for (let c = 0; c < cell.column_span; c++) {
      const first = !parts.length;
      parts.push({
        ...cell, row: cell.row + r, column: cell.column + c, row_span: 1, column_span: 1,
        text: first ? cell.text : "", raised: first ? cell.raised : [], note: first ? cell.note : "",
        value: null, confidence: first ? cell.confidence : 1, box: partOf(cell.box, cell, r, c),
      });
    }
  }
  return changed(table, [...table.cells.filter((each) => each !== cell), ...parts]);
}

// Where the header ends: below every cell that begins in the first `count` rows.
function wholeRows(table, count) {
  const reach = table.cells.filter((cell) => cell.row < count).map(bottom);
  const found = Math.max(count, ...reach);
  return found === count ? count : wholeRows(table, found);
}

export function setHeaderRows(table, count) {
  const rows = count ? wholeRows(table, count) : 0;
  const cells = table.cells.map((cell) => {
    if (cell.row < rows) return cell.header === "column" ? cell : { ...cell, header: "column" };
    return cell.header === "column" ? { ...cell, header: "" } : cell;
  });
  return changed(table, cells, { header_rows: rows });
}

export function toggleHeaderRow(table, row) {
  return setHeaderRows(table, row < table.header_rows ? row : row + 1);
}

export function toggleRowHeader(table, range) {
  const inside = cellsIn(table, range).filter((cell) => cell.row >= table.header_rows);
  const on = inside.some((cell) => cell.header !== "row");
  const set = new Set(inside);
  return changed(table, table.cells.map(
    (cell) => (set.has(cell) ? { ...cell, header: on ? "row" : "" } : cell)));
}

const ROWS = { first: "row", span: "row_span", count: "rows", other: "columns", cross: "column" };
const COLUMNS = { first: "column", span: "column_span", count: "columns", other: "rows", cross: "row" };

// A line of empty cells before line `at`; cells that reach over it grow.
function insert(table, at, axis) {
  const covered = new Set();
  const cells = table.cells.map((cell) => {
    const first = cell[axis.first], end = first + cell[axis.span];
    if (first >= at) return { ...cell, [axis.first]: first + 1 };
    if (end <= at) return cell;
    const across = cell[axis.cross];
    const width = axis === ROWS ? cell.column_span : cell.row_span;
    for (let k = 0; k < width; k++) covered.add(across + k);
    return { ...cell, [axis.span]: cell[axis.span] + 1 };
  });
  for (let k = 0; k < table[axis.other]; k++) {
    if (covered.has(k)) continue;
    cells.push({
      row: at, column: at, [axis.cross]: k, row_span: 1, column_span: 1, text: "", box: null,
      page: table.page, confidence: 1, header: "", bold: false, align: "", value: null,
      number_format: "", note: "", raised: [],
    });
  }
  const rest = { [axis.count]: table[axis.count] + 1 };
  if (axis === ROWS && at < table.header_rows) rest.header_rows = table.header_rows + 1;
  const made = changed(table, cells, rest);
  return setHeaderRows(made, made.header_rows);
}

// Without the lines from `from` to `to`; cells that reach out of them shrink.
function remove(table, from, to, axis) {
  if (to - from >= table[axis.count]) return table;
  const before = (at) => Math.max(0, Math.min(at, to) - from); // lines that go before `at`
  const cells = [];
  for (const cell of table.cells) {
    const first = cell[axis.first], end = first + cell[axis.span];
    const span = end - before(end) - (first - before(first));
    if (span === 0) continue;
    const same = span === cell[axis.span] && !before(first);
    cells.push(same ? cell : { ...cell, [axis.first]: first - before(first), [axis.span]: span });
  }
  const rest = { [axis.count]: table[axis.count] - (to - from) };
  if (axis === ROWS) rest.header_rows = table.header_rows - before(table.header_rows);
  else rest.column_types = table.column_types.filter((_, k) => k < from || k >= to);
  return changed(table, cells, rest);
}

export const addRow = (table, range) => insert(table, range.bottom, ROWS);
export const addColumn = (table, range) => insert(table, range.right, COLUMNS);
export const dropRows = (table, range) => remove(table, range.top, range.bottom, ROWS);
export const dropColumns = (table, range) => remove(table, range.left, range.right, COLUMNS);

export function letters(column) {
  let name = "";
  for (let k = column + 1; k > 0; k = Math.floor((k - 1) / 26)) {
    name = String.fromCharCode(65 + ((k - 1) % 26)) + name;
  }
  return name;
}
