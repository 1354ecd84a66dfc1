// A lever: a labelled slider of the browser's own, with its value in words; the kernel hears of it when the hand rests.
const REST = 120; // ms
export default {
  render({ model, el }) {
    const [label, input, output] = ["label", "input", "output"].map((name) => el.appendChild(document.createElement(name)));
    el.classList.add("lever");
    input.id = `lever-${Math.random().toString(36).slice(2)}`; // each lever has this module for itself
    label.htmlFor = output.htmlFor = input.id;
    label.textContent = model.get("label");
    Object.assign(input, { type: "range", min: model.get("low"), max: model.get("high"), step: model.get("step") });
    const tell = () => {
      const value = Number(input.value);
      const sign = value > 0 ? "+" : value < 0 ? "\u2212" : "";
      output.textContent = value ? `${sign}${Math.abs(value)}\u00a0${model.get("unit")}` : "no change";
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const follow = () => {
      input.min = model.get("low");
      input.max = model.get("high");
      input.value = model.get("value");
      tell();
    };
    let resting;
    input.addEventListener("input", () => {
      tell();
      clearTimeout(resting);
      resting = setTimeout(() => {
        model.set("value", Number(input.value));
        model.save_changes();
      }, REST);
    });
    model.on("change:value change:low change:high", follow);
    follow();
    return () => clearTimeout(resting);
  },
};
