// Comfort for the page that shows a key. Without script it works too, with less of it.
"use strict";

const reveal = document.querySelector("[data-reveal]");

if (reveal) {
  const plaintext = document.getElementById("plaintext");
  const said = reveal.querySelector("[data-said]");

  // Reload and Back go to the home page by GET, instead of sending the form again.
  history.replaceState(null, "", reveal.dataset.back);
  // A page that the browser keeps for Back keeps no key.
  window.addEventListener("pagehide", () => { plaintext.value = ""; plaintext.removeAttribute("value"); });
  plaintext.addEventListener("focus", () => plaintext.select());

  for (const button of reveal.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener("click", async () => {
      said.textContent = await copied(source) ? said.dataset.copied : said.dataset.selected;
    });
  }
}

// Whether the text of the element is on the clipboard; if not, it is selected.
async function copied(source) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      return true;
    } catch {
      // Refused by the browser: the older way is left.
    }
  }
  if (source.select) {
    source.select();
  } else {
    getSelection().selectAllChildren(source);
  }
  return document.execCommand("copy");
}
