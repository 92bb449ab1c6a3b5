// Requests to the server; what fails is thrown as an Error whose message is a sentence.

async function answered(response) {
  if (response.ok) return response;
  let said = `The server answered ${response.status}.`;
  try {
    said = (await response.json()).error || said;
  } catch { /* no JSON: the status is all that is known */ }
  const error = new Error(said);
  error.status = response.status;
  throw error;
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  return answered(response);
}

const json = (method, value) => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
});

export const limits = async () => (await ask("/api/limits")).json();
export const job = async (id) => (await ask(`/api/jobs/${id}`)).json();
export const cancel = (id) => ask(`/api/jobs/${id}`, { method: "DELETE" });
export const keep = (id) => ask(`/api/jobs/${id}/keep`, { method: "POST" });
export const pictureOf = (id, file, page) => `/api/jobs/${id}/files/${file}/pages/${page}.png`;
export const events = (id) => new EventSource(`/api/jobs/${id}/events`);

export async function unlock(id, file, password) {
  return (await ask(`/api/jobs/${id}/files/${file}/password`, json("POST", { password }))).json();
}

const tableOf = (id, file, table) => `/api/jobs/${id}/files/${file}/tables/${table}`;

export async function save(id, file, table, value) {
  return (await ask(tableOf(id, file, table), json("PUT", value))).json();
}

export async function saveCells(id, file, table, version, cells) {
  return (await ask(tableOf(id, file, table), json("PATCH", { version, cells }))).json();
}

export async function download(id, form, only) {
  const query = only ? `?file=${only.file}&table=${only.table}` : "";
  const response = await ask(`/api/jobs/${id}/download.${form}${query}`);
  const said = response.headers.get("content-disposition") || "";
  const name = /filename\*=UTF-8''([^;]+)/.exec(said);
  return { blob: await response.blob(), name: name ? decodeURIComponent(name[1]) : `tables.${form}` };
}

// fetch tells nothing of how far an upload has come, XMLHttpRequest does.
export function upload(files, options, progress) {
  const request = new XMLHttpRequest();
  const form = new FormData();
  form.append("options", JSON.stringify(options));
  for (const file of files) form.append("files", file, file.name || "picture.png");
  const promise = new Promise((resolve, reject) => {
    request.open("POST", "/api/jobs");
    request.responseType = "json";
    request.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
    request.onload = () => {
      const said = request.response || {};
      if (request.status === 201) resolve(said);
      else reject(new Error(said.error || `The server answered ${request.status}.`));
    };
    request.onerror = () => reject(new Error("The upload was refused or the connection was lost."));
    request.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    request.send(form);
  });
  return { promise, abort: () => request.abort() };
}
