// What figures do where there is a script: a mark says its values to whoever points at it or walks there with the arrow keys,
// and a series of several can be set aside. Without a script the drawing and the table below it say the same.
"use strict";
(() => {
  const REACH = 28;  // pixels within which a mark is meant

  const explore = (figure) => {
    const canvas = figure.querySelector(".canvas"), svg = canvas && canvas.querySelector("svg.drawing");
    const marks = svg ? [...svg.querySelectorAll("[data-tip]")] : [];
    if (!marks.length || figure.dataset.explored) return;
    figure.dataset.explored = "yes";
    const tip = document.createElement("p");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    canvas.after(tip);
    canvas.setAttribute("aria-label", "Drawing; the arrow keys read its values");
    let lit = null;

    const hide = () => {
      if (lit) lit.classList.remove("lit");
      lit = null;
      tip.textContent = "";
    };
    const show = (mark) => {
      if (mark === lit) return;
      hide();
      lit = mark;
      mark.classList.add("lit");
      tip.textContent = mark.dataset.tip.split("; ").join("\n");
      const at = mark.getBoundingClientRect(), box = figure.getBoundingClientRect();
      const left = at.left + at.width / 2 - box.left - tip.offsetWidth / 2;
      tip.style.left = `${Math.max(4, Math.min(left, box.width - tip.offsetWidth - 4))}px`;
      const above = at.top - box.top - tip.offsetHeight - 8;
      tip.style.top = `${above > 0 ? above : at.bottom - box.top + 8}px`;
    };
    const shown = () => marks.filter((m) => !m.classList.contains("aside"));
    const middle = (mark) => {
      const r = mark.getBoundingClientRect();
      return [r.left + r.width / 2, r.top + r.height / 2];
    };
    const nearest = (event) => {
      let best = null, least = REACH;
      for (const mark of shown()) {
        const r = mark.getBoundingClientRect();
        const dx = Math.max(r.left - event.clientX, 0, event.clientX - r.right);
        const dy = Math.max(r.top - event.clientY, 0, event.clientY - r.bottom);
        const away = Math.hypot(dx, dy);
        if (away < least) [best, least] = [mark, away];
      }
      return best;
    };
    for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, (event) => {
      const mark = nearest(event);
      if (mark) show(mark); else hide();
    });
    svg.addEventListener("pointerleave", hide);
    canvas.addEventListener("blur", hide);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step && event.key !== "Home" && event.key !== "End") return;
      event.preventDefault();
      const order = shown().sort((a, b) => middle(a)[0] - middle(b)[0] || middle(a)[1] - middle(b)[1]);
      const here = order.indexOf(lit), last = order.length - 1;
      const next = event.key === "Home" ? 0 : event.key === "End" ? last : here < 0 ? (step > 0 ? 0 : last) : here + step;
      const mark = order[Math.max(0, Math.min(next, last))];
      canvas.scrollLeft += Math.round(middle(mark)[0] - canvas.getBoundingClientRect().left - canvas.clientWidth / 2);
      show(mark);
    });
    legend(svg, canvas);
  };

  // A button for every series: its marks are those of its colour.
  const legend = (svg, canvas) => {
    const colour = (e) => [e.getAttribute("fill"), e.getAttribute("stroke")].find((c) => c && c.startsWith("var(--c"));
    const names = [...svg.querySelectorAll(".role-legend-label text")].map((e) => e.textContent);
    const colours = [...svg.querySelectorAll(".role-legend-symbol path")].map(colour);
    if (names.length < 2 || names.length !== colours.length || new Set(colours).size !== names.length) return;
    const row = document.createElement("div");
    row.className = "choices";
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Shown series");
    row.append(Object.assign(document.createElement("span"), { textContent: "Show" }));
    names.forEach((name, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button quiet";
      button.textContent = name;
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const aside = button.getAttribute("aria-pressed") === "true";
        button.setAttribute("aria-pressed", String(!aside));
        for (const e of svg.querySelectorAll("path")) if (colour(e) === colours[k]) e.classList.toggle("aside", aside);
      });
      row.append(button);
    });
    canvas.before(row);
  };

  const look = () => { for (const figure of document.querySelectorAll("figure.figure")) explore(figure); };
  look();
  document.addEventListener("htmx:afterSettle", look);
})();
