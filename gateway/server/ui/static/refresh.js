// Keeps the parts of a page that are marked data-live as fresh as the server has them, every few seconds.
// Everything works without it. It never touches what somebody is using: focus, a selection, an opened detail.
"use strict";

(() => {
  const SECONDS = 5;
  const place = document.getElementById("refresh");
  if (!place || !document.querySelector("[data-live]")) return;

  const button = document.createElement("button");
  button.type = "button";
  let paused = sessionStorage.getItem("paused") === "yes";
  const show = () => {
    button.textContent = paused ? "Paused" : "Live";
    button.setAttribute("aria-pressed", String(!paused));
    button.title = paused ? "Refresh again every few seconds" : "Stop refreshing";
  };
  button.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "yes" : "no");
    show();
    if (!paused) refresh();
  });
  show();
  place.append(button);

  const inUse = (part) => {
    const selection = document.getSelection();
    const selected = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    return selected || part.contains(document.activeElement);
  };

  const swap = (part, fresh) => {
    if (part.innerHTML === fresh.innerHTML || inUse(part)) return;
    for (const detail of part.querySelectorAll("details[id]")) {
      const same = fresh.querySelector("#" + CSS.escape(detail.id));
      if (same) same.open = detail.open;
    }
    part.replaceChildren(...fresh.childNodes);
  };

  let busy = false;
  const refresh = async () => {
    if (busy || paused || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (fresh) swap(part, fresh);
      }
      button.classList.remove("lost");
    } catch {
      button.classList.add("lost");
    } finally {
      busy = false;
    }
  };

  setInterval(refresh, SECONDS * 1000);
  document.addEventListener("visibilitychange", refresh);
})();
