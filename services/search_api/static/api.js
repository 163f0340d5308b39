// The service's own API, and the key that it may ask for.

import { byId } from "./dom.js";

const KEY = "ance-api-key";

/** What the service answers with instead of a result: the detail of its problem+json, and its type. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `The service answered with status ${status}.`);
    this.status = status;
    this.type = body.type ?? "about:blank";
  }
}

/** The JSON at a path; with a body it is posted. Throws a Problem, or what an abort throws. */
export async function ask(path, { body, signal } = {}) {
  const headers = { Accept: "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  const request = { headers, signal };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    Object.assign(request, { method: "POST", body: JSON.stringify(body) });
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The service does not answer." });
  }
  if (response.ok) return response.json();
  if (response.status === 401) byId("key-form").hidden = false;
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

/** Let the user give a key; `retry` is called once there is one. It is forgotten with the tab. */
export function askForKey(retry) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, byId("key").value);
    byId("key").value = "";
    byId("key-form").hidden = true;
    retry();
  });
}

/** Call `work` now and every so often while the page is seen, one call at a time. Returns how to call it at once. */
export function poll(work, milliseconds) {
  let timer;
  let running = false;
  const turn = async () => {
    if (running) return;
    clearTimeout(timer);
    running = true;
    try {
      if (!document.hidden) await work();
    } finally {
      running = false;
      timer = setTimeout(turn, milliseconds);
    }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return turn;
}
