// Edits on their way to the server: one after the other, of a table only what changed.

import * as api from "./api.js";
import { samePlaces } from "./grid.js";

const WAIT = 250; // milliseconds in which further edits come along
const RETRY = 5000;

export class Saver {
  // `told(text)` shows the state, `typed(edit, before, table)` takes over the values that the server
  // made, `failed(text)` tells why an edit is not saved, `changedElsewhere(edit)` that another window
  // was faster.
  constructor({ told, typed, failed, changedElsewhere }) {
    Object.assign(this, { told, typed, failed, changedElsewhere });
    this.known = new Map(); // by place: the table as the server has it
    this.forget();
  }

  forget() {
    clearTimeout(this.timer);
    this.unsaved = null; // the edit that is still to be sent
    this.sending = null; // and the one that is on its way
    this.failing = false;
    this.known.clear();
    this.done = Promise.resolve();
  }

  // Takes an edit down: {id, file, number, before, table}.
  keep(edit) {
    const place = `${edit.file}/${edit.number}`;
    if (!this.known.has(place)) this.known.set(place, edit.before);
    this.unsaved = edit;
    this.told("…");
    this.later(WAIT);
  }

  later(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), milliseconds);
  }

  // Takes a job over that came from the server; edits that it has not yet, and answers that were
  // faster, go into it.
  hold(job, shown) {
    const open = [this.sending, this.unsaved].filter((edit) => edit?.id === job.id);
    for (const [f, file] of job.files.entries()) {
      for (const [t, table] of file.tables.entries()) {
        const own = shown.files[f]?.tables[t], edited = open.some((edit) => edit.file === f && edit.number === t);
        if (own && (edited || own.version > table.version)) file.tables[t] = own;
        else this.known.delete(`${f}/${t}`);
      }
    }
  }

  flush() {
    clearTimeout(this.timer);
    const edit = this.unsaved;
    this.unsaved = null;
    if (edit) this.done = this.done.then(() => this.send(edit));
    return this.done;
  }

  async send(edit) {
    const { id, file, number, table } = edit, known = this.known, place = `${file}/${number}`;
    this.sending = edit;
    try {
      const made = await this.ask(edit, known.get(place));
      if (this.sending !== edit) return; // the job is another one
      known.set(place, made);
      if (!this.unsaved) this.told("saved");
      if (this.failing) this.failed("");
      this.failing = false;
      this.typed(edit, table, made);
    } catch (error) {
      if (this.sending !== edit) return;
      this.told("not saved");
      if (error.status === 409) {
        known.delete(place);
        this.unsaved = null;
        this.sending = null;
        return this.changedElsewhere(edit);
      }
      this.unsaved ??= edit;
      this.failing = true;
      this.failed(error.status === 404
        ? "The server has this job no more, so that edits cannot be saved. To keep the table, select all of it (Ctrl+A), copy it (Ctrl+C) and paste it into a spreadsheet."
        : `Your edit is not saved: ${error.message}`);
      if (!error.status) this.later(RETRY);
    } finally {
      if (this.sending === edit) this.sending = null;
    }
  }

  // The table as the server makes it of an edit.
  async ask({ id, file, number, table }, known) {
    if (!samePlaces(known, table)) {
      return api.save(id, file, number, { ...table, version: known.version });
    }
    const changed = table.cells.filter((cell, k) => cell !== known.cells[k]);
    const answer = await api.saveCells(id, file, number, known.version, changed);
    const cells = table.cells.slice();
    for (const [k, cell] of answer.cells) cells[k] = cell;
    return { ...table, cells, version: answer.version, column_types: answer.column_types };
  }
}
