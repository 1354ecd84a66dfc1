// What the widgets cannot do themselves: buttons inside HTML reach the kernel, a page that comes into view asks for newer
// data, tabs name their panels, and the focus follows a chosen deal.
export default {
  render({ model, el }) {
    const gone = new AbortController();
    const on = (name, act) => document.addEventListener(name, act, { signal: gone.signal });
    const look = () => document.visibilityState === "visible" && model.send({ kind: "look" });
    on("click", (event) => {
      const button = event.target.closest?.("button[data-deal]");
      if (button) model.send({ kind: "deal", id: button.dataset.deal });
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
