"use strict";

{
    const button = document.getElementById("copy-key-id");
    const shown = document.getElementById("key-id");
    button.hidden = false;
    button.addEventListener("click", async () => {
        const copied = await window.apikeysCopy(button.dataset.text, () => getSelection().selectAllChildren(shown));
        document.getElementById("said").textContent = copied ? button.dataset.copied : button.dataset.selected;
    });
}
