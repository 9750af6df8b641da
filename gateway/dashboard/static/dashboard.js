// What pages do besides htmx: the theme, times in the visitor's own zone, copying, charts.
"use strict";
(() => {
  const root = document.documentElement;
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-switch], [data-copy]");
    if (!button) return;
    if ("themeSwitch" in button.dataset) {
      root.dataset.theme = isDark() ? "light" : "dark";
      localStorage.setItem("theme", root.dataset.theme);
      document.dispatchEvent(new Event("theme"));
    } else {
      const source = document.getElementById(button.dataset.copy);
      navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    }
  });

  // <time datetime="..."> is UTC from the server, and local here.
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const local = (within) => {
    for (const time of within.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.valueOf())) continue;
      time.title = time.textContent + " UTC";
      time.textContent = format.format(at);
      time.dataset.local = "";
    }
  };
  // Nobody looks at a hidden page, so it asks for nothing.
  document.addEventListener("htmx:before:request", (event) => {
    if (document.hidden && event.target.matches?.('[hx-trigger^="every"]')) event.preventDefault();
  });

  // On a narrow screen a strip of links scrolls; it begins where the current one is seen.
  for (const current of document.querySelectorAll("nav [aria-current]")) {
    const strip = current.closest("nav"), own = current.getBoundingClientRect(), all = strip.getBoundingClientRect();
    strip.scrollLeft += own.left + own.width / 2 - all.left - all.width / 2;
  }

  local(document);
  document.addEventListener("htmx:after:swap", () => local(document));
  document.addEventListener("htmx:afterSwap", () => local(document));
})();
