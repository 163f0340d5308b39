// How the training goes, live while it is looked at.

import { Problem, ask, poll } from "./api.js";
import { chart } from "./chart.js";
import { byId, element, say } from "./dom.js";
import { count, duration, number } from "./format.js";

const LOOK_MS = 2000;
const MEASURE = "RR@10";
const STAGES = { warmup: "warm-up", ance: "ANCE" };
const GROUPS = ["embeddings", "bottom", "middle", "top", "head", "global"];

/** Follow the training. `seen` says whether anybody looks. Returns how to look at once. */
export function followTraining(seen) {
  const charts = {
    gap: chart({ title: "Async gap", unit: "steps", x: "step", zero: true }),
    norms: chart({ title: "Gradient norms by layer group", unit: "L2 norm (log)", x: "step", log: true }),
    dev: chart({ title: `Dev ${MEASURE} by version`, unit: MEASURE, x: "checkpoint step", dots: true }),
  };
  byId("charts").append(...Object.values(charts).map(({ figure }) => figure));

  return poll(async () => {
    if (!seen()) return;
    try {
      const report = await ask("/v1/training");
      say(byId("training-problem"), "");
      showProgress(report);
      showGap(charts.gap, report);
      showNorms(charts.norms, report);
      showDev(charts.dev, report);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      say(byId("training-problem"), problem.message);
    }
  }, LOOK_MS);
}

function showProgress({ stage = null, step, total_steps: total, refresh = null, versions }) {
  const training = stage === null ? "Training has not begun" : `Training, ${STAGES[stage] ?? stage} stage`;
  const parts = [meter(training, step, total, "step")];
  if (refresh !== null) {
    parts.push(meter(`Refresh with checkpoint ${count(refresh.version)}`, refresh.shards_done, refresh.shards, "shard"));
  } else {
    const last = versions.at(-1);
    const took = last?.refresh_seconds ? `, it took ${duration(last.refresh_seconds)}` : "";
    parts.push(element("p", {}, last ? `No refresh under way; the last was that of step ${count(last.version)}${took}.` : "No refresh yet."));
  }
  byId("progress").replaceChildren(...parts);
}

function meter(label, done, all, unit) {
  const text = `${label}: ${unit} ${count(done)} of ${count(all)}`;
  return element("label", { class: "meter" }, text, element("progress", { max: all, value: Math.min(done, all) }));
}

function showGap({ update }, { series }) {
  const points = zip(series.step, series.async_gap);
  const known = points.filter(([, gap]) => gap !== null);
  const newest = known.at(-1);
  const text = newest
    ? `The negatives in use are ${count(newest[1])} steps old at step ${count(newest[0])}, ` +
      `${count(Math.max(...known.map(([, gap]) => gap)))} at most so far.`
    : "No step was trained on mined negatives yet.";
  update([{ name: "async gap", style: "blue", points }], text);
}

function showNorms({ update }, { gradient_norms: norms }) {
  // Of two towers each has its groups: `query.top`, `passage.top`.
  const depth = (group) => GROUPS.indexOf(group.split(".").at(-1));
  const known = Object.keys(norms.groups).filter((group) => depth(group) >= 0);
  const lines = known.sort((a, b) => depth(a) - depth(b)).map((group) => ({
    name: group === "global" ? "all layers" : group.replace(".", ": "),
    style: GROUPS[depth(group)],
    points: zip(norms.step, norms.groups[group]),
  }));
  const newest = norms.groups.global?.at(-1);
  const text =
    typeof newest === "number"
      ? `Before clipping; ${number(newest)} for all layers at step ${count(norms.step.at(-1))}. Near 0, training has stopped learning.`
      : "No gradient norm is recorded yet.";
  update(lines, text);
}

function showDev({ update }, { versions }) {
  const points = versions.filter(({ dev }) => MEASURE in dev).map(({ version, dev }) => [version, dev[MEASURE]]);
  const newest = points.at(-1);
  const best = points.reduce((a, b) => (a !== null && a[1] >= b[1] ? a : b), null);
  const text = newest
    ? `${newest[1].toFixed(3)} with version ${newest[0]}; the best is ${best[1].toFixed(3)} with version ${best[0]}.`
    : "No version is measured on a dev split yet.";
  update([{ name: MEASURE, style: "green", points }], text);
}

const zip = (xs, ys) => xs.map((x, place) => [x, ys[place] ?? null]);
