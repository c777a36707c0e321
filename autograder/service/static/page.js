// What every page does by itself: remember the theme, and say when a part of the page could not be fetched.
"use strict";
(() => {
  const themes = ["system", "light", "dark"];
  const root = document.documentElement;
  let kept = "system";
  // A browser that keeps nothing still shows the pages.
  try { kept = localStorage.getItem("bootcamp-theme") || "system"; } catch (e) { /* the system's theme, then */ }
  const show = (theme) => {
    if (theme === "system") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
  };
  if (!themes.includes(kept)) kept = "system";
  show(kept);  // before the first paint: this file is not deferred

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const name = button.querySelector("span");
    name.textContent = kept;
    button.hidden = false;
    button.addEventListener("click", () => {
      kept = themes[(themes.indexOf(kept) + 1) % themes.length];
      show(kept);
      name.textContent = kept;
      try { localStorage.setItem("bootcamp-theme", kept); } catch (e) { /* for this page only, then */ }
    });
    // A slider says its value beside it.
    document.addEventListener("input", (event) => {
      const shown = event.target.dataset && document.getElementById(event.target.dataset.shown);
      if (shown) shown.textContent = event.target.value + (event.target.dataset.unit || "");
    });
    const unanswered = (on) => () => { document.getElementById("unanswered").hidden = !on; };
    for (const kind of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) document.addEventListener(kind, unanswered(true));
    document.addEventListener("htmx:afterSwap", unanswered(false));
  });
})();
