// The list of a job's files: how far each is, what went wrong, and the password of a locked one.

const STEPS = {
  open: "opening", orient: "turning upright", words: "reading words", detect: "looking for tables",
  structure: "finding rows and columns", cells: "filling cells", done: "page done",
  pictures: "drawing pages",
};
const STATES = {
  upload: "uploading", waiting: "waiting", reading: "reading", done: "done", password: "locked", error: "failed",
};

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

const waitingBehind = (count) => (count ? `waiting behind ${count} other${count > 1 ? "s" : ""}` : "waiting");

// Errors of files begin with the name, which stands there already.
function whyOf(file) {
  const name = `${file.name}: `;
  return file.error.startsWith(name) ? file.error.slice(name.length) : file.error;
}

export class FileList {
  // `unlock(file, password)` and `cancel()` are what its buttons do.
  constructor(list, { unlock, cancel }) {
    Object.assign(this, { list, unlock, cancel });
    this.rows = [];
  }

  show(files, state, position = 0) {
    const open = ["uploading", "waiting", "running"].includes(state);
    this.list.classList.toggle("finished", !open);
    this.list.replaceChildren(...files.map((file) => this.row(file, position)));
    this.rows = [...this.list.children];
    if (open) {
      const row = element("li", "cancel");
      const button = element("button", "", "Cancel");
      button.type = "button";
      button.addEventListener("click", () => this.cancel());
      row.append(button);
      this.list.append(row);
    }
  }

  row(file, position) {
    const empty = file.state === "done" && !file.tables.length;
    const row = element("li", `file ${empty ? "empty" : file.state}`);
    const words = element("span", "state", this.words(file, position));
    row.append(element("span", "name", file.name), words);
    if (["upload", "waiting", "reading"].includes(file.state)) {
      const bar = element("progress", "");
      bar.max = 1;
      bar.value = 0;
      bar.setAttribute("aria-label", `Progress of ${file.name}`);
      row.append(bar);
    }
    if (file.error && file.state === "error") row.append(element("p", "why", whyOf(file)));
    if (file.state === "password") row.append(this.form(file));
    return row;
  }

  words(file, position) {
    if (file.state === "waiting") return waitingBehind(position);
    if (file.state !== "done") return STATES[file.state] || file.state;
    const count = file.tables.length, empty = file.pages.filter((page) => !page.tables && !page.error);
    const failed = file.pages.filter((page) => page.error);
    const parts = [count ? `${count} table${count > 1 ? "s" : ""}` : "no table found"];
    if (count && empty.length) parts.push(`none on page ${empty.map((page) => page.number).join(", ")}`);
    if (failed.length) parts.push(`page ${failed.map((page) => page.number).join(", ")} failed`);
    return parts.join(", ");
  }

  form(file) {
    const form = element("form", "password");
    const label = element("label", "", "This file is encrypted. Password ");
    const input = element("input", "");
    input.type = "password";
    input.autocomplete = "off";
    input.required = true;
    input.maxLength = 200;
    const button = element("button", "main", "Open");
    const wrong = /wrong/.test(file.error) ? element("p", "why", "That was not the password.") : "";
    label.append(input);
    form.append(label, button, wrong);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.unlock(file.number, input.value);
    });
    return form;
  }

  askPassword(number) { this.rows[number]?.querySelector("input")?.focus(); }

  uploaded(share) {
    for (const row of this.rows) {
      const bar = row.querySelector("progress");
      if (bar) bar.value = share;
      row.querySelector(".state").textContent = share < 1 ? `uploading, ${Math.floor(share * 100)} %` : "uploaded";
    }
  }

  become(state) { if (state === "running") this.wait(0); }

  // So many jobs are before this one.
  wait(position) {
    for (const row of this.rows) {
      if (row.classList.contains("waiting")) row.querySelector(".state").textContent = waitingBehind(position);
    }
  }

  progress({ file, page, done, pages, step }) {
    const row = this.rows[file];
    if (!row) return;
    row.classList.replace("waiting", "reading");
    const where = pages > 1 ? `page ${page} (${Math.min(done + 1, pages)} of ${pages}): ` : "";
    row.querySelector(".state").textContent = where + (STEPS[step] || step);
    const bar = row.querySelector("progress");
    if (!bar || !pages) return;
    const order = Object.keys(STEPS).indexOf(step);
    const part = step === "done" ? 0 : Math.max(0, order) / 7;
    bar.value = Math.min(1, (done + part) / pages);
  }
}
