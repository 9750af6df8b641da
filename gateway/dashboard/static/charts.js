// Bars of what a table says: <div data-chart="id of the table">, rows with data-at (epoch seconds)
// and cells with data-value. The table is what a screen reader reads, and what htmx keeps current.
"use strict";
(() => {
  const drawn = new Map();
  const STEP = { hour: 3600, day: 86400, month: 30.4 * 86400 };
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
  const forms = {
    cost: (v, full) => "$" + (full || v < 1 ? exact : short).format(v),
    audio: (v, full) => (v < 60 ? exact.format(v) + " s" : (full ? exact : short).format(v / 60) + " min"),
    plain: (v, full) => (full ? exact : short).format(v),
  };

  const dates = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
  const day = dates({ day: "numeric", month: "short" });
  const month = dates({ month: "short", year: "numeric" });
  const hour = dates({ hour: "2-digit", minute: "2-digit" });
  const moment = (at, step) =>
    (step === "month" ? month : step === "hour" && at % 86400 ? hour : day).format(at * 1000);

  // Where a step begins, and not twice the same.
  const named = (splits, step) => splits.map((at, index) => {
    const told = at % Math.min(STEP[step], STEP.day) ? "" : moment(at, step);
    return index && told === moment(splits[index - 1], step) ? "" : told;
  });

  const read = (place) => {
    const rows = document.getElementById(place.dataset.chart)?.querySelectorAll("tr[data-at]") ?? [];
    const at = [], value = [], told = [];
    for (const row of rows) {
      at.push(Number(row.dataset.at));
      value.push(Number(row.querySelector("[data-value]").dataset.value));
      told.push(row.querySelector("th").textContent);
    }
    return { at, value, told };
  };

  // A colour of the style as it is now, light or dark.
  const colour = (place, name) => {
    place.style.color = `var(${name})`;
    const found = getComputedStyle(place).color;
    place.style.color = "";
    return found;
  };

  const options = (place, state) => {
    const form = forms[place.dataset.form] ?? forms.plain;
    const half = STEP[place.dataset.step] / 2;
    const soft = colour(place, "--soft"), line = colour(place, "--line"), fill = colour(place, "--accent");
    // Months are of unequal length: each is told where its own bar stands.
    const months = (plot) => plot.data[0].filter((_, index, all) => index % Math.ceil(all.length / 12) === 0);
    const splits = place.dataset.step === "month" ? { splits: months } : {};
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    return {
      width: place.clientWidth, height: place.clientHeight,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { range: (_, low, high) => [low - half, high + half] },
        y: { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        { ...axis, ...splits, grid: { show: false }, size: 30, space: 64, values: (_, splits) => named(splits, place.dataset.step) },
        { ...axis, size: 62, values: (_, splits) => splits.map((v) => form(v, false)) },
      ],
      series: [{}, { fill, width: 0, paths: uPlot.paths.bars({ size: [0.72, 44], radius: 0.2 }), points: { show: false } }],
      hooks: {
        setCursor: [(plot) => {
          const at = plot.cursor.idx;
          state.tip.hidden = at == null;
          if (at == null) return;
          state.tip.textContent = `${state.told[at]}: ${form(plot.data[1][at], true)}`;
          const right = plot.width - state.tip.offsetWidth;
          state.tip.style.left = `${Math.max(0, Math.min(right, plot.cursor.left))}px`;
        }],
      },
    };
  };

  const make = (place) => {
    drawn.get(place)?.plot.destroy();
    place.replaceChildren();
    const { at, value, told } = read(place);
    const state = { told, tip: document.createElement("span"), form: place.dataset.form };
    state.tip.className = "tip";
    state.tip.hidden = true;
    state.plot = new uPlot(options(place, state), [at, value], place);
    place.append(state.tip);
    drawn.set(place, state);
  };

  const all = () => document.querySelectorAll("[data-chart]");
  const renew = () => {
    for (const place of all()) {
      const state = drawn.get(place);
      if (!state) { make(place); continue; }
      const { at, value, told } = read(place);
      state.told = told;
      const same = state.plot.data[1];
      if (at.length === same.length && at[0] === state.plot.data[0][0] && value.every((v, i) => v === same[i])) continue;
      state.plot.setData([at, value]);
    }
  };
  const watch = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      drawn.get(target)?.plot.setSize({ width: target.clientWidth, height: target.clientHeight });
    }
  });
  for (const place of all()) { make(place); watch.observe(place); }
  document.addEventListener("htmx:after:swap", renew);
  document.addEventListener("theme", () => all().forEach(make));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all().forEach(make));
})();
