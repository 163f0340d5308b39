// Which version of the index answers, live.

import { ask, poll } from "./api.js";
import { byId, say } from "./dom.js";
import { age } from "./format.js";

const LOOK_MS = 1500;

/** Keep the line under the heading true. Returns how to look at once. */
export function followVersion() {
  let known = null;

  return poll(async () => {
    const place = byId("serving");
    try {
      const { run, index } = await ask("/version");
      document.title = `${run} – ANCE search`;
      if (index === null) {
        known = null;
        say(place, `Run ${run}: no index is loaded yet.`);
        return;
      }
      // The list of versions is read from the store: only when there is news.
      if (index !== known?.version || !known.created) {
        const { indexes } = await ask("/v1/indexes");
        const served = indexes.find(({ version }) => version === index);
        known = { version: index, created: served ? Date.parse(served.created_at) : 0 };
      }
      const old = known.created ? `, published ${age((Date.now() - known.created) / 1000)} ago` : "";
      place.dataset.version = index;
      show(place, `Run ${run}: serving version ${index}`, old);
    } catch (problem) {
      known = null;
      say(place, problem.message);
    }
  }, LOOK_MS);
}

/** The version is news, its growing age is not: it is kept from screen readers' announcements. */
function show(place, news, old) {
  if (place.firstChild?.nodeValue !== news) {
    const quiet = document.createElement("span");
    quiet.setAttribute("aria-live", "off");
    place.replaceChildren(news, quiet);
  }
  place.lastChild.textContent = old;
}
