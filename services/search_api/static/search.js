// One query, answered by the index at once and by the reranker when it is done.

import { Problem, ask, poll } from "./api.js";
import { bar } from "./bars.js";
import { byId, element, say } from "./dom.js";
import { count, duration, number } from "./format.js";

const TOP_K = 10;
const POLL_MILLISECONDS = 3000;

/** Make the search form work. Returns how to look for example queries at once. */
export function search() {
  let running = new AbortController();

  byId("query-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const query = byId("query").value.trim();
    if (!query) return;
    running.abort(); // the answer to an older query would come too late
    running = new AbortController();
    try {
      await answer(query, running.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Problem)) throw error;
      say(byId("outcome"), error.message);
    }
  });
  byId("query").focus();
  let offered = false;
  return poll(async () => {
    offered ||= await offerExamples();
  }, POLL_MILLISECONDS);
}

/** Whether the service has said what can be asked. */
async function offerExamples() {
  try {
    const { queries } = await ask("/v1/examples");
    byId("examples").replaceChildren(...queries.map(example));
    byId("examples").hidden = false;
    return true;
  } catch (problem) {
    if (problem instanceof Problem) return false;
    throw problem;
  }
}

function example(query) {
  const button = element("button", { type: "button", title: query }, query);
  button.addEventListener("click", () => {
    byId("query").value = query;
    byId("query-form").requestSubmit();
  });
  return button;
}

async function answer(query, signal) {
  const [dense, rerank] = [byId("dense"), byId("rerank")];
  say(byId("outcome"), "Searching …");
  const first = await ask("/v1/search", { body: { query, top_k: TOP_K }, signal });
  byId("columns").hidden = false;
  show(dense, first, first.timings.total, new Set());
  rerank.replaceChildren(element("p", { class: "waiting" }, "Reranking …"));
  say(byId("outcome"), found(first));
  try {
    const both = await ask("/v1/compare", { body: { query, top_k: TOP_K }, signal });
    const longest = Math.max(both.dense.timings.total, both.rerank.timings.total);
    const common = new Set(both.overlap.ids);
    show(dense, both.dense, longest, common);
    show(rerank, both.rerank, longest, common);
    say(byId("outcome"), compare(both));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    rerank.replaceChildren(element("p", { class: "problem" }, problem.message));
  }
  await showLatency(signal);
}

function found({ results, timings, index }) {
  const { length } = results[0].hits;
  return `${length} ${length === 1 ? "passage" : "passages"} from version ${index.version} in ${duration(timings.total)}.`;
}

function compare({ dense, rerank, overlap, speed_up: speedUp }) {
  const most = Math.max(dense.results[0].hits.length, rerank.results[0].hits.length);
  const compared =
    speedUp >= 1
      ? `The index was ${number(speedUp)} times as fast as the reranker`
      : `The reranker was ${number(1 / speedUp)} times as fast as the index`;
  return `${found(dense)} ${compared}; ${overlap.count} of ${most} passages are in both.`;
}

function show(place, response, longest, common) {
  const hits = response.results[0].hits.map((hit) => passage(hit, common.has(hit.id)));
  const list = hits.length ? element("ol", { class: "hits" }, ...hits) : element("p", {}, "Nothing was found.");
  place.replaceChildren(bar(response.timings, longest), list);
}

function passage(hit, both) {
  const title = element("h3", {}, hit.title || hit.id);
  if (both) title.append(" ", element("span", { class: "badge" }, "in both"));
  return element(
    "li",
    { class: both ? "both" : undefined },
    title,
    element("p", { class: "text" }, hit.text ?? ""),
    element("p", { class: "score" }, `score ${number(hit.score, 4)}`),
  );
}

async function showLatency(signal) {
  const { modes, speed_up: speedUp } = await ask("/v1/latency", { signal });
  const rows = Object.entries(modes)
    .filter(([, { stages }]) => stages.total)
    .map(([mode, { count: requests, stages: { total } }]) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, mode),
        ...[duration(total.p50), duration(total.p95), duration(total.p99), count(requests)].map((text) =>
          element("td", {}, text),
        ),
      ),
    );
  const head = ["mode", "p50", "p95", "p99", "requests"].map((name) => element("th", { scope: "col" }, name));
  const ratio = speedUp.ratio ?? null;
  const summary =
    ratio === null
      ? "No query was answered both ways yet."
      : `Dense search was ${number(ratio)} times as fast as reranking (median of ${count(speedUp.n)} pairs).`;
  const place = byId("latency");
  place.hidden = false;
  place.replaceChildren(
    element("h2", {}, "Latency of this replica"),
    element("p", {}, summary),
    element(
      "div",
      { class: "table", role: "region", "aria-label": "Latency by mode", tabindex: 0 },
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
    ),
  );
}
