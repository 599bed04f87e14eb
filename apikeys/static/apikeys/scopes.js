"use strict";

// Shows what has all words of the search, by name, sentence or endpoint. Without script the anchors lead everywhere.
{
    const form = document.getElementById("search");
    const input = document.getElementById("search-text");
    const found = document.getElementById("search-found");
    const permissions = [...document.querySelectorAll(".permission")];

    const search = () => {
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        let count = 0;
        for (const permission of permissions) {
            const text = permission.textContent.toLowerCase();
            permission.hidden = !words.every((word) => text.includes(word));
            count += permission.hidden ? 0 : 1;
        }
        for (const resource of document.querySelectorAll(".resource")) {
            resource.hidden = !resource.querySelector(".permission:not([hidden])");
        }
        found.textContent = words.length
            ? form.dataset.found.replace("{found}", count).replace("{all}", permissions.length)
            : "";
    };

    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    input.addEventListener("input", search);
    // An anchor leads to what the search may have hidden.
    window.addEventListener("hashchange", () => {
        input.value = "";
        search();
    });
    // A browser may fill the field in again.
    search();
}
