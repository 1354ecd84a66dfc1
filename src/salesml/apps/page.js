// What the widgets cannot do themselves: buttons inside HTML reach the kernel, a page that comes into view asks for newer
// data, tabs name their panels, and the focus follows a chosen deal.
export default {
  render({ model, el }) {
    const gone = new AbortController();
    const on = (name, act) => document.addEventListener(name, act, { signal: gone.signal });
    const look = () => document.visibilityState === "visible" && model.send({ kind: "look" });
    const label = () => {
      const tabs = document.querySelectorAll(".app [role=tab]");
      document.querySelectorAll(".app .widget-tab-contents > *").forEach((panel, i) => {
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tabs[i]?.id);
      });
      document.querySelector(".app [role=tablist]")?.setAttribute("aria-label", "Screens");
    };
    on("click", (event) => {
      const button = event.target.closest?.("button[data-deal]");
      if (button) model.send({ kind: "deal", id: button.dataset.deal });
    });
    on("visibilitychange", look);
    model.on("msg:custom", ({ focus }) => setTimeout(() => {
      const target = document.querySelector(focus);
      target?.focus();
      target?.scrollIntoView({ block: "nearest" });
    }, 100));
    setTimeout(() => {
      label();
      document.body.classList.add("live");
      document.getElementById("snapshot")?.remove();
      look();
    });
    return () => gone.abort();
  },
};
