"use strict";

// Puts text on the clipboard and resolves to whether it is there. Without the clipboard API, as on plain HTTP, the
// older command is tried on what is selected.
window.apikeysCopy = async (text, select) => {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        select();
        return document.execCommand("copy");
    }
};
