// The picture of a page with the table's cells drawn over it, and crops of it.

import { isDoubtful, letters } from "./grid.js";

const SVG = "http://www.w3.org/2000/svg";
const ZOOMS = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4];
const CROP_HEIGHT = 72; // pixels, at least where three times the size do
const by = (id) => document.getElementById(id);

export class Viewer {
  // `chosen(cell)` is called when a cell is clicked in the picture.
  constructor(chosen) {
    this.page = null;
    this.rects = new Map(); // by cell
    this.marked = []; // of them, those that are selected
    this.zoom = 1;
    this.picture = by("picture");
    by("rects").addEventListener("click", (event) => {
      const cell = event.target.cell;
      if (cell) chosen(cell);
    });
    by("zoom-in").addEventListener("click", () => this.step(1));
    by("zoom-out").addEventListener("click", () => this.step(-1));
    by("zoom-fit").addEventListener("click", () => this.setZoom(1));
    by("boxes").addEventListener("change", (event) => {
      by("overlay").classList.toggle("bare", !event.target.checked);
    });
  }

  step(direction) {
    const nearest = ZOOMS.reduce((a, b) => (Math.abs(b - this.zoom) < Math.abs(a - this.zoom) ? b : a));
    const next = ZOOMS[ZOOMS.indexOf(nearest) + direction];
    if (next) this.setZoom(next);
  }

  setZoom(zoom) {
    this.zoom = zoom;
    by("sheet").style.width = `${zoom * 100}%`;
    this.reveal();
  }

  // `page` is {number, width, height, picture, source: address of its picture, …}.
  show(page, note) {
    const other = !this.page || this.page.address !== page.address;
    this.page = page;
    by("page-note").textContent = note;
    by("page-note").hidden = !note;
    by("viewer").hidden = !page.picture;
    if (other && page.picture) {
      this.picture.src = page.address;
      this.picture.alt = `Page ${page.number}`;
      by("overlay").setAttribute("viewBox", `0 0 ${page.width} ${page.height}`);
      by("sheet").style.aspectRatio = `${page.width} / ${page.height}`;
    }
  }

  // Draws the boxes of a table's cells that stand on the page; those that stay are not made anew.
  draw(table) {
    const shown = table ? table.cells.filter((cell) => cell.box && cell.page === this.page.number) : [];
    const group = by("rects"), before = [...this.rects.keys()], old = this.rects;
    const same = before.length === shown.length && shown.every((cell, k) => cell.box === before[k].box ||
      cell.box.every((at, side) => at === before[k].box[side]));
    if (!same) {
      group.replaceChildren();
      this.marked = [];
    }
    this.rects = new Map();
    for (const [k, cell] of shown.entries()) {
      const rect = same ? old.get(before[k]) : this.rect(cell);
      if (!same) group.append(rect);
      this.rects.set(cell, rect);
      if (rect.cell === cell) continue;
      rect.classList.toggle("doubt", isDoubtful(cell));
      rect.classList.toggle("head", cell.header !== "");
      rect.dataset.place = `${letters(cell.column)}${cell.row + 1}`;
      rect.cell = cell;
    }
  }

  rect(cell) {
    const [left, top, right, bottom] = cell.box;
    const made = document.createElementNS(SVG, "rect");
    made.setAttribute("x", left);
    made.setAttribute("y", top);
    made.setAttribute("width", Math.max(right - left, 1));
    made.setAttribute("height", Math.max(bottom - top, 1));
    return made;
  }

  select(cells, current) {
    for (const rect of this.marked) rect.classList.remove("on", "current");
    this.marked = cells.map((cell) => this.rects.get(cell)).filter(Boolean);
    for (const rect of this.marked) rect.classList.add("on");
    const rect = this.rects.get(current);
    if (rect) {
      rect.classList.add("current");
      this.marked.push(rect);
      if (rect !== rect.parentNode.lastChild) rect.parentNode.append(rect); // above its neighbours
    }
    this.current = rect || null;
    this.reveal();
  }

  // Scrolls the picture, and nothing else, so that the current cell is in sight.
  reveal() {
    if (!this.current) return;
    const view = by("viewer"), box = this.current.getBoundingClientRect();
    const outer = view.getBoundingClientRect();
    if (box.left < outer.left || box.right > outer.right) {
      view.scrollLeft += (box.left + box.right) / 2 - (outer.left + outer.right) / 2;
    }
    if (box.top < outer.top || box.bottom > outer.bottom) {
      view.scrollTop += (box.top + box.bottom) / 2 - (outer.top + outer.bottom) / 2;
    }
  }

  // Draws a cell's part of the picture, with a little around it; false where there is none.
  crop(canvas, cell) {
    const picture = this.picture;
    const here = cell && cell.box && cell.page === this.page.number && this.page.picture;
    if (!here) return false;
    if (!picture.complete || !picture.naturalWidth) {
      picture.addEventListener("load", () => this.crop(canvas, cell), { once: true });
      return true;
    }
    const k = picture.naturalWidth / this.page.width;
    const margin = Math.min(cell.box[3] - cell.box[1], cell.box[2] - cell.box[0]) * 0.15;
    const left = Math.max(0, (cell.box[0] - margin) * k), top = Math.max(0, (cell.box[1] - margin) * k);
    const width = Math.max(1, Math.min(picture.naturalWidth - left, (cell.box[2] - cell.box[0] + 2 * margin) * k));
    const height = Math.max(1, Math.min(picture.naturalHeight - top, (cell.box[3] - cell.box[1] + 2 * margin) * k));
    const larger = Math.min(3, Math.max(1, CROP_HEIGHT / height)); // small print is shown larger
    canvas.width = Math.round(width * larger);
    canvas.height = Math.round(height * larger);
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, left, top, width, height, 0, 0, canvas.width, canvas.height);
    return true;
  }
}
