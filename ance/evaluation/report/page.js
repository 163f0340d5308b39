"use strict";
{
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const draw = () => {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const { data, layout } = figures[place.dataset.figure][dark.matches ? "dark" : "light"];
      // plotly changes what it is given: the next theme must find its own figure as it was
      Plotly.react(place, structuredClone(data), structuredClone(layout), { responsive: true, displayModeBar: false });
    }
  };

  dark.addEventListener("change", draw);
  draw();
}
