// Where the time of a search went, as one bar that is as long as it took.

import { element, svg } from "./dom.js";
import { duration } from "./format.js";

const STAGES = ["queue", "encode", "search", "rerank", "fetch"];

/** A bar of the stages of `timings` (seconds); `longest` seconds would fill the width. */
export function bar(timings, longest) {
  const picture = svg("svg", { class: "bar", width: "100%", height: 16, "aria-hidden": "true" });
  let start = 0;
  for (const stage of STAGES) {
    const share = (100 * (timings[stage] ?? 0)) / longest;
    picture.append(svg("rect", { class: stage, x: `${start}%`, width: `${share}%`, height: 16 }));
    start += share;
  }
  const spent = STAGES.filter((stage) => timings[stage] > 0).map((stage) =>
    element("li", { class: stage }, `${stage} ${duration(timings[stage])}`),
  );
  return element(
    "div",
    { class: "timing" },
    element("p", {}, element("strong", {}, duration(timings.total))),
    picture,
    element("ul", { class: "stages" }, ...spent),
  );
}
