// What the widgets cannot do themselves: buttons inside HTML reach the kernel, a page that comes into view asks for newer
// data, tabs name their panels, the focus follows what is chosen, the address holds the filters, and a page nobody touches
// goes back to its snapshot (see front.js), so that its kernel can end.
export default {
  render({ model, el }) {
    const gone = new AbortController();
    const on = (name, act) => document.addEventListener(name, act, { signal: gone.signal, passive: true });
    const look = () => document.visibilityState === "visible" && model.send({ kind: "look" });
    const front = document.querySelector("header[data-home]");
    on("click", (event) => {
      for (const kind of ["deal", "lead", "node"]) {
        const button = event.target.closest?.(`button[data-${kind}]`);
        if (button) model.send({ kind, id: button.dataset[kind] });
      }
    });
    on("visibilitychange", look);

    let wanted = null; // what is to have the focus once it is there
    const focus = () => setTimeout(() => wanted && document.querySelector(wanted)?.focus(), 100);
    let read = !model.get("reads");
    model.on("msg:custom", (told) => {
      if (told.focus) wanted = told.focus;
      if (told.focus && document.body.classList.contains("live")) focus();
      if (told.address !== undefined) {
        history.replaceState(null, "", (front?.dataset.home ?? location.pathname) + told.address + location.hash);
        front?.querySelectorAll("a[data-keep]").forEach((link) => {
          const query = new URLSearchParams(told.address);
          query.set("lang", link.lang);
          link.search = query;
        });
      }
      read ||= told.read === true;
    });
    const languages = front ? document.documentElement.lang : navigator.languages.join(",");
    if (!read) model.send({ kind: "address", query: location.search, languages });

    // The widgets are drawn one after another; the picture gives way when all are there and show what the address asks for.
    const waiting = setInterval(() => {
      const app = el.closest(".app");
      const tabs = app?.querySelectorAll("[role=tab]") ?? [];
      const panels = app?.querySelectorAll(".widget-tab-contents > *") ?? [];
      if (!read || tabs.length !== panels.length || !(tabs.length || app?.classList.contains("plain"))) return;
      clearInterval(waiting);
      panels.forEach((panel, i) => {
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tabs[i].id);
      });
      for (const box of app.querySelectorAll(".widget-inline-hbox")) {  // a date's label does not name its field
        const control = box.querySelector("input, select");
        if (control && !control.labels.length) control.setAttribute("aria-label", box.querySelector("label").textContent);
      }
      app.querySelector("[role=tablist]")?.setAttribute("aria-label", model.get("screens"));
      document.querySelectorAll("#snapshot, #picture").forEach((picture) => picture.remove());
      if (front && !model.get("reads")) history.replaceState(null, "", front.dataset.home + location.search);
      document.body.classList.add("live");
      sessionStorage.removeItem("asked again");
      if (sessionStorage.getItem("handed over")) {
        sessionStorage.removeItem("handed over");
        wanted ??= app.querySelector("[role=tab]") ? ".app [role=tab][aria-selected=true]" : ".app :is(select, input, button)";
      }
      focus();
      look();
    }, 50);

    // Behind the front an untouched page returns to its snapshot before its kernel is ended; words half typed keep the kernel.
    let touched = Date.now();
    let typed = 0;
    const touch = () => (touched = Date.now());
    for (const name of ["pointerdown", "keydown", "wheel", "touchmove"]) on(name, touch);
    on("input", (event) => event.target.matches?.("input[type=text], textarea") && (typed = Date.now()));
    on("click", (event) => event.target.closest?.("button") && (typed = 0));
    const resting = front && setInterval(() => {
      if (Date.now() - touched < 1000 * Number(front.dataset.idle)) return;
      if (Date.now() - typed < 1800_000) model.send({ kind: "look" });
      else location.reload();
    }, 15000);
    return () => {
      clearInterval(waiting);
      clearInterval(resting);
      gone.abort();
    };
  },
};
