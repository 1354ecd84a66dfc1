// What the widgets cannot do themselves: buttons inside HTML reach the kernel, a page that comes into view asks for newer
// data, tabs name their panels, and the focus follows what is chosen.
export default {
  render({ model, el }) {
    const gone = new AbortController();
    const on = (name, act) => document.addEventListener(name, act, { signal: gone.signal });
    const look = () => document.visibilityState === "visible" && model.send({ kind: "look" });
    on("click", (event) => {
      for (const kind of ["deal", "lead", "node"]) {
        const button = event.target.closest?.(`button[data-${kind}]`);
        if (button) model.send({ kind, id: button.dataset[kind] });
      }
    });
    on("visibilitychange", look);
    model.on("msg:custom", ({ focus }) => setTimeout(() => document.querySelector(focus)?.focus(), 100));

    // The widgets are drawn one after another; the snapshot gives way when all are there.
    const waiting = setInterval(() => {
      const app = el.closest(".app");
      const tabs = app?.querySelectorAll("[role=tab]") ?? [];
      const panels = app?.querySelectorAll(".widget-tab-contents > *") ?? [];
      if (!tabs.length || tabs.length !== panels.length) return;
      clearInterval(waiting);
      panels.forEach((panel, i) => {
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tabs[i].id);
      });
      for (const box of app.querySelectorAll(".widget-inline-hbox")) {  // a date's label does not name its field
        const control = box.querySelector("input, select");
        if (control && !control.labels.length) control.setAttribute("aria-label", box.querySelector("label").textContent);
      }
      app.querySelector("[role=tablist]").setAttribute("aria-label", "Screens");
      document.getElementById("snapshot")?.remove();
      document.body.classList.add("live");
      sessionStorage.removeItem("asked again");
      look();
    }, 50);
    return () => {
      clearInterval(waiting);
      gone.abort();
    };
  },
};
