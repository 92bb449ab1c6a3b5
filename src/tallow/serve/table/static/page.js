// The page: files in, progress, tables to edit, spreadsheets out.

import * as api from "./api.js";
import { Editor } from "./editor.js";
import { FileList } from "./files.js";
import { Saver } from "./saving.js";
import { Viewer } from "./viewer.js";

const by = (id) => document.getElementById(id);
const KEEP_SECONDS = 60;

const state = { job: null, source: null, upload: null, limits: null, open: null, page: null, asked: 0, answered: 0 };

// --- what is told ---
const say = (text) => { if (text) by("said").textContent = text; };

function alertOf(text) {
  by("alert").textContent = text;
  by("alert").hidden = !text;
  if (text) by("alert").scrollIntoView({ block: "nearest" });
}

const megabytes = (count) => (count >= 1e6 ? `${Math.round(count / 1e5) / 10} MB` : `${Math.ceil(count / 1e3)} kB`);

// --- the parts ---
const viewer = new Viewer((cell) => editor.select(cell, cell, true));
const editor = new Editor({ changed: keepEdit, selected: follow, say });
const list = new FileList(by("list"), { unlock, cancel: begin });

function follow(cells, cell) {
  if (cell.box && state.page && cell.page !== state.page.number) showPage(cell.page);
  viewer.select(cells, cell);
  const drawn = viewer.crop(by("crop"), cell);
  by("crop").hidden = !drawn;
  by("crop-note").hidden = drawn;
}

// --- files in ---
function options() {
  return {
    pages: by("pages").value.trim(), models: by("models").value,
    join: by("join").checked, raw: by("raw").checked,
  };
}

function refusal(files) {
  const limits = state.limits;
  if (!limits) return "";
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length > limits.files) return `Too many files: at most ${limits.files} at once.`;
  if (size > limits.upload_bytes - 10_000) {
    return `Too large: ${megabytes(size)}, and at most ${megabytes(limits.upload_bytes)} can be uploaded at once.`;
  }
  const empty = files.find((file) => file.size === 0);
  return empty ? `${empty.name} is empty.` : "";
}

async function take(files) {
  if (!files.length || state.upload) return;
  const refused = refusal(files);
  if (refused) return alertOf(refused);
  await begin();
  show("work");
  const shown = files.map((file, number) => ({ number, name: file.name, size: file.size, state: "upload", error: "" }));
  list.show(shown, "uploading");
  say(`Uploading ${files.length === 1 ? files[0].name : `${files.length} files`}.`);
  state.upload = api.upload(files, options(), (share) => list.uploaded(share));
  try {
    const job = await state.upload.promise;
    state.upload = null;
    listen(job);
  } catch (error) {
    state.upload = null;
    if (error.name === "AbortError") return;
    await begin();
    alertOf(error.message);
  }
}

// --- progress ---
function listen(job) {
  state.job = job;
  history.replaceState(null, "", `#job=${job.id}`);
  show("work");
  list.show(job.files, job.state, job.position);
  if (!["waiting", "running"].includes(job.state)) return finish(job);
  const source = api.events(job.id);
  state.source = source;
  source.onmessage = (event) => told(JSON.parse(event.data));
  source.addEventListener("end", () => { source.close(); refresh(true); });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) refresh(true); };
}

function told(event) {
  if (event.kind === "progress") list.progress(event);
  else if (event.kind === "file") refresh(false);
  else if (event.kind === "position") list.wait(event.position);
  else if (event.kind === "state") list.become(event.state);
}

async function refresh(finished) {
  const id = state.job?.id;
  if (!id) return;
  const turn = ++state.asked;
  try {
    const job = await api.job(id);
    if (state.job?.id !== id || turn < state.answered) return; // a later answer was faster
    state.answered = turn;
    const before = state.job.files.filter((file) => file.state === "done").length;
    saver.hold(job, state.job);
    state.job = job;
    list.show(job.files, job.state, job.position);
    if (finished) finish(job);
    else if (job.files.filter((file) => file.state === "done").length > before) offer(job);
  } catch (error) {
    if (state.job?.id !== id) return;
    await begin();
    alertOf(error.message);
  }
}

function finish(job) {
  const tables = job.files.reduce((sum, file) => sum + file.tables.length, 0);
  if (job.error && !tables) alertOf(job.error);
  const locked = job.files.find((file) => file.state === "password");
  say(locked ? `${locked.name} needs its password.` : `Done: ${tables === 1 ? "one table" : `${tables} tables`}.`);
  offer(job);
  if (locked) list.askPassword(locked.number);
  else if (tables && document.activeElement === document.body) editor.focus(); // its button is gone
}

async function unlock(file, password) {
  alertOf("");
  try {
    await saver.flush();
    const job = await api.unlock(state.job.id, file, password);
    listen(job);
  } catch (error) {
    alertOf(error.message);
  }
}

// --- tables ---
const readFiles = () => state.job.files.filter((file) => file.state === "done");

function offer(job) {
  const choices = readFiles().flatMap((file) => (file.tables.length
    ? file.tables.map((table, number) => ({ file, number, label: labelOf(job, file, table, number) }))
    : [{ file, number: -1, label: `${nameOf(job, file)}no table` }]));
  by("result").hidden = !choices.length;
  document.querySelector(".downloads").hidden = !choices.some((choice) => choice.number >= 0);
  by("again").hidden = false;
  if (!choices.length) return;
  by("tables").replaceChildren(...choices.map((choice) => {
    const option = new Option(choice.label, `${choice.file.number}/${choice.number}`);
    return option;
  }));
  const kept = choices.find((c) => state.open && c.file.number === state.open.file && c.number === state.open.number);
  const first = choices.find((choice) => choice.number >= 0) || choices[0];
  if (kept && kept.number >= 0) by("tables").value = `${kept.file.number}/${kept.number}`;
  else openTable(first.file.number, first.number);
}

const nameOf = (job, file) => (job.files.length > 1 ? `${file.name}: ` : "");

function labelOf(job, file, table, number) {
  const pages = table.pages.length > 1 ? `pages ${table.pages[0]}–${table.pages.at(-1)}` : `page ${table.page}`;
  const where = file.pages.length > 1 ? `, ${pages}` : "";
  return `${nameOf(job, file)}${table.title || `Table ${number + 1}`}${where} (${table.rows} × ${table.columns})`;
}

function openTable(file, number) {
  const found = state.job.files[file], table = found.tables[number] || null;
  saver.flush();
  state.open = { file, number };
  by("editor").hidden = false;
  by("tables").value = `${file}/${number}`;
  for (const id of ["tools", "holder", "detail"]) by(id).hidden = !table;
  document.querySelector(".help").hidden = !table;
  by("none").hidden = Boolean(table);
  showPage(table ? table.page : found.pages[0]?.number, table);
  if (table) editor.open(table);
  else by("saved").textContent = "";
}

function noteOf(page) {
  if (page.error) return `Page ${page.number}: ${page.error}`;
  if (!page.tables) return `No table was found on page ${page.number}.`;
  const turned = page.turn ? `turned by ${page.turn}°` : "";
  const skewed = Math.abs(page.skew) >= 0.1 ? `straightened by ${Math.abs(page.skew).toFixed(1)}°` : "";
  const said = [turned, skewed].filter(Boolean).join(", ");
  return said ? `The page was ${said}.` : "";
}

function showPage(number, table = editor.table) {
  const file = state.job.files[state.open.file];
  const page = file.pages.find((each) => each.number === number) || file.pages[0];
  if (!page) return;
  state.page = page;
  const place = file.pages.indexOf(page);
  by("page-title").textContent = file.pages.length > 1 ? `Page ${page.number} of ${file.pages.length}` : "Page";
  by("page-back").disabled = place === 0;
  by("page-next").disabled = place === file.pages.length - 1;
  page.address = api.pictureOf(state.job.id, file.number, page.number);
  viewer.show(page, noteOf(page));
  viewer.draw(table);
}

function turnPage(by) {
  const file = state.job.files[state.open.file];
  const page = file.pages[file.pages.findIndex((each) => each.number === state.page.number) + by];
  if (!page) return;
  // The first table of the page is opened; a page without one is shown alone.
  const number = file.tables.findIndex((table) => table.pages.includes(page.number));
  if (number >= 0 && number !== state.open.number) openTable(file.number, number);
  showPage(page.number);
  if (number >= 0) viewer.select([], editor.cell);
  say(noteOf(page) || `Page ${page.number}.`);
}

// --- saving: see saving.js ---
const saver = new Saver({
  told(text) { by("saved").textContent = text; },
  typed({ file, number }, before, table) {
    const tables = state.job.files[file].tables;
    if (tables[number] !== before) return; // there is a newer edit
    tables[number] = table;
    if (state.open.file !== file || state.open.number !== number || editor.table !== before) return;
    viewer.draw(table);
    editor.refresh(before, table);
    viewer.select([...editor.sheet.chosen], editor.cell);
  },
  failed(text) { alertOf(text); },
  async changedElsewhere({ file, number }) {
    await refresh(false);
    if (!state.job) return;
    openTable(file, number);
    alertOf("This table was changed in another window. It is shown as it is there; your last edit is not in it.");
  },
});

function keepEdit(table) {
  const { file, number } = state.open;
  const tables = state.job.files[file].tables;
  const before = tables[number];
  tables[number] = table;
  viewer.draw(table);
  viewer.select([], editor.cell);
  saver.keep({ id: state.job.id, file, number, before, table });
}

async function download(form) {
  alertOf("");
  await saver.flush();
  if (saver.unsaved) return;
  try {
    const only = by("only").checked && state.open.number >= 0
      ? { file: state.open.file, table: state.open.number } : null;
    const { blob, name } = await api.download(state.job.id, form, only);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${name} was downloaded.`);
  } catch (error) {
    alertOf(error.message);
  }
}

// --- from the start ---
function show(part) {
  by("start").hidden = part !== "start";
  by("work").hidden = part === "start";
  if (part === "start") by("result").hidden = true;
}

// Ends what there is: the job and its files are removed.
async function begin() {
  alertOf("");
  state.upload?.abort();
  state.source?.close();
  saver.forget();
  const id = state.job?.id;
  Object.assign(state, { job: null, source: null, open: null, page: null });
  history.replaceState(null, "", location.pathname);
  by("again").hidden = true;
  show("start");
  if (id) await api.cancel(id).catch(() => {});
}

async function again() {
  await begin();
  by("choose").focus();
  say("Choose files.");
}

async function start() {
  api.limits().then((limits) => {
    state.limits = limits;
    by("limits").textContent = `PNG, JPEG, TIFF, WebP, BMP, HEIC and PDF; up to ${limits.files} files and ` +
      `${megabytes(limits.upload_bytes)} at once, ${limits.pages} pages a file.`;
    by("kept").textContent = `${Math.round(limits.kept_seconds / 60)} minutes`;
  }).catch((error) => alertOf(error.message));
  const found = /^#job=([\w-]+)$/.exec(location.hash);
  if (!found) return;
  try {
    listen(await api.job(found[1]));
  } catch (error) {
    await begin();
    alertOf(error.message);
  }
}

// --- wiring ---
const drop = by("drop");
by("choose").addEventListener("click", () => by("files").click());
by("files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
by("form").addEventListener("submit", (event) => event.preventDefault());
by("again").addEventListener("click", again);
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (!by("start").hidden) take([...event.dataTransfer.files]);
  else alertOf("Choose “New files” first: the tables here would be removed.");
});
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files || [])];
  if (files.length && !by("start").hidden) take(files);
});
by("tables").addEventListener("change", (event) => {
  const [file, number] = event.target.value.split("/").map(Number);
  openTable(file, number);
});
by("page-back").addEventListener("click", () => turnPage(-1));
by("page-next").addEventListener("click", () => turnPage(1));
document.querySelector(".downloads").addEventListener("click", (event) => {
  if (event.target.dataset.form) download(event.target.dataset.form);
});
window.addEventListener("beforeunload", (event) => { if (saver.unsaved || state.upload) event.preventDefault(); });
setInterval(() => { if (state.job) api.keep(state.job.id).catch(() => {}); }, KEEP_SECONDS * 1000);
start();
