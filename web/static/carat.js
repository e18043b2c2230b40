// What pages do beyond documents: copy buttons, and asking again for a page
// on which something is still going on. Without this script all of it works,
// by selecting text and by the browser's own refresh.

const offerCopying = (root) => {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const label = button.firstChild;
  const words = label.data;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    label.data = "Copied";
  } catch {
    label.data = "Not copied";
  }
  button.disabled = true;
  setTimeout(() => {
    label.data = words;
    button.disabled = false;
  }, 1500);
});

const update = (page) => {
  for (const now of document.querySelectorAll("[data-live]")) {
    const next = page.getElementById(now.id);
    if (!next || next.innerHTML === now.innerHTML) continue;
    const open = [...now.querySelectorAll("details[open]")].map((d) => d.id);
    const fresh = document.importNode(next, true);
    for (const d of fresh.querySelectorAll("details")) d.open = open.includes(d.id);
    now.replaceWith(fresh);
    offerCopying(fresh);
  }
};

const refresh = async (wait) => {
  await new Promise((done) => setTimeout(done, wait));
  let on = true;
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-cache" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        update(page);
        on = page.body.hasAttribute("data-refresh");
      }
    } catch {
      // The hub may be restarting: ask again later.
    }
  }
  if (on) refresh(Math.min(wait * 1.2, 15000));
};

offerCopying(document);
if (document.body.hasAttribute("data-refresh")) refresh(1500);
