// A snapshot renews itself and answers its filters without a kernel; anything else the reader presses opens the live page.
const RENEW = 15000, SOON = 1000; // ms
document.documentElement.classList.add("scripted");
const screen = () => document.getElementById("screen");
const news = document.querySelector(".news");

let turn = 0;

async function show(address, again) {
  const mine = ++turn;
  let answer;
  if (!again) screen().classList.add("going");
  try {
    answer = await fetch(address, { cache: "no-cache" });
    if (!answer.ok) throw new Error(String(answer.status));
  } catch {
    if (mine !== turn) return;
    news.classList.add("lost");
    news.textContent = news.dataset.lost;
    screen().classList.remove("going");
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (mine !== turn) return; // something else was asked for meanwhile
  const lost = news.classList.contains("lost");
  news.classList.remove("lost");
  if (lost) news.textContent = "";
  const tag = page.getElementById("screen").dataset.tag;
  if (tag === "" || (again && tag === screen().dataset.tag)) {
    if (tag === "") setTimeout(() => mine === turn && show(address, again), SOON); // it is still being drawn
    return;
  }
  const opened = [...screen().querySelectorAll("details")].map((one) => one.open);
  const name = document.activeElement?.name;
  const waited = screen().dataset.tag !== "";
  screen().replaceWith(document.adoptNode(page.getElementById("screen")));
  document.querySelector("header.frame").replaceWith(document.adoptNode(page.querySelector("header.frame")));
  screen().querySelectorAll("details").forEach((one, i) => (one.open = opened[i] ?? false));
  if (name) screen().querySelector(`[name="${CSS.escape(name)}"]`)?.focus();
  news.textContent = again && waited ? news.dataset.renewed : "";
}

function filter(form) {
  const pairs = [...new FormData(form)].filter(([, text]) => text !== "");
  const address = `${location.pathname}?${new URLSearchParams(pairs)}`;
  history.replaceState(null, "", address);
  show(address, false);
}

function open(address, more = {}) {
  const there = new URL(address, location.href);
  for (const [name, text] of Object.entries(more)) there.searchParams.set(name, text);
  sessionStorage.setItem("handed over", "yes");
  screen().classList.add("going");
  news.textContent = news.dataset.going;
  location.assign(there);
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".filters")) return;
  event.preventDefault();
  filter(event.target);
});
document.addEventListener("change", (event) => event.target.form?.matches(".filters") && filter(event.target.form));
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.live");
  const button = event.target.closest?.("#screen button:not([type=submit])");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    open(link.href);
  } else if (button) {
    open(screen().dataset.live, { ...button.dataset });
  }
});
const renew = () => document.visibilityState === "visible" && show(location.href, true);
document.addEventListener("visibilitychange", renew);
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  screen().classList.remove("going"); // come back to by the browser's Back
  news.textContent = "";
  renew();
});
setInterval(renew, RENEW);
if (screen().dataset.tag === "") setTimeout(renew, SOON);
