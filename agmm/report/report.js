"use strict";
addEventListener("DOMContentLoaded", () => {
  for (const link of document.querySelectorAll("nav.contents a")) {
    link.addEventListener("click", () => {
      const folded = document.querySelector(link.hash);
      if (folded instanceof HTMLDetailsElement) folded.open = true;
    });
  }
  for (const button of document.querySelectorAll("[data-order]")) {
    button.addEventListener("click", () => {
      const order = document.querySelector("#viewer-toolbar [aria-label=Order]");
      order.value = button.dataset.order;
      order.dispatchEvent(new Event("change"));
    });
  }
  for (const chart of document.querySelectorAll("figure.chart")) {
    const svg = chart.querySelector("svg");
    const { unit, epochs, x, y, values } = JSON.parse(chart.querySelector("script").textContent);
    const [epochOutput, ...outputs] = chart.querySelectorAll("output");
    const cursor = chart.querySelector(".cursor");
    const dots = chart.querySelectorAll(".dot");
    let at = epochs.length - 1;
    const read = (index) => {
      at = Math.max(0, Math.min(epochs.length - 1, index));
      cursor.setAttribute("x1", x[at]);
      cursor.setAttribute("x2", x[at]);
      cursor.setAttribute("visibility", "visible");
      epochOutput.textContent = epochs[at];
      outputs.forEach((output, i) => {
        const value = values[i][at];
        output.textContent = value == null ? "–" : Number(value.toPrecision(3)).toString() + unit;
        dots[i].setAttribute("visibility", value == null ? "hidden" : "visible");
        if (value != null) { dots[i].setAttribute("cx", x[at]); dots[i].setAttribute("cy", y[i][at]); }
      });
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const wanted = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      read(x.reduce((best, value, i) => (Math.abs(value - wanted) < Math.abs(x[best] - wanted) ? i : best), 0));
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -epochs.length, End: epochs.length }[event.key];
      if (step) { event.preventDefault(); read(at + step); }
    });
  }
});
