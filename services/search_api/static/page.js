// The page: two views of one service.

import { askForKey } from "./api.js";
import { byId } from "./dom.js";
import { search } from "./search.js";
import { tabs } from "./tabs.js";
import { followTraining } from "./training.js";
import { followVersion } from "./version.js";

const lookAtVersion = followVersion();
const lookForExamples = search();
const lookAtTraining = followTraining(() => !byId("training").hidden);
tabs(document.querySelector("[role=tablist]"), (view) => {
  if (view === "training") lookAtTraining();
});
askForKey(() => {
  lookAtVersion();
  lookAtTraining();
  lookForExamples();
});
