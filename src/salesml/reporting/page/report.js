// Draws every chart of the page in the page's colours; again when they change (light, dark, print).
(() => {
  const charts = [...document.querySelectorAll("div.chart")].map((place) => ({
    place,
    figure: JSON.parse(place.parentElement.querySelector('script[type="application/json"]').textContent),
  }));
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const look = (layout) => {
    const changes = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      "font.color": colour("--ink"), "legend.bgcolor": "rgba(0,0,0,0)", "modebar.bgcolor": "rgba(0,0,0,0)",
    };
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      Object.assign(changes, { [`${axis}.gridcolor`]: colour("--line"), [`${axis}.zerolinecolor`]: colour("--line") });
    }
    return changes;
  };
  const recolour = () => charts.forEach(({ place }) => Plotly.relayout(place, look(place.layout)));
  const draw = async ({ place, figure }) => {
    const layout = { ...figure.layout, autosize: true };
    delete layout.width;
    delete layout.title; // the page shows it, where it can wrap
    const narrow = innerWidth < 600;
    if (narrow) {
      layout.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", y: -0.2, yanchor: "top" };
      layout.margin = { ...layout.margin, l: 50, r: 10 };
    }
    const buttons = { displaylogo: false, displayModeBar: narrow ? false : "hover", modeBarButtons: [["toImage", "resetScale2d"]] };
    await Plotly.newPlot(place, figure.data, layout, { responsive: true, ...buttons });
    await Plotly.relayout(place, look(place.layout));
  };
  Promise.all(charts.map(draw)).then(() => { document.body.dataset.drawn = charts.length; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  matchMedia("print").addEventListener("change", recolour);
})();
