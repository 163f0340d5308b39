// Tabs as the ARIA practices describe them: arrow keys move, the address names the view.

/** Make a tablist work; `shown` is called with the id of a view when it is shown. */
export function tabs(list, shown) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const view = (tab) => tab.getAttribute("aria-controls");

  const show = (chosen) => {
    for (const tab of all) {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", selected);
      tab.tabIndex = selected ? 0 : -1;
      document.getElementById(view(tab)).hidden = !selected;
    }
    shown(view(chosen));
  };

  const follow = () => show(all.find((tab) => `#${view(tab)}` === location.hash) ?? all[0]);

  const choose = (tab) => {
    history.replaceState(null, "", `#${view(tab)}`);
    show(tab);
  };

  for (const [place, tab] of all.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: place + 1, ArrowLeft: place - 1 + all.length, Home: 0, End: all.length - 1 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const next = all[moves[event.key] % all.length];
      next.focus();
      choose(next);
    });
  }
  addEventListener("hashchange", follow);
  follow();
}
