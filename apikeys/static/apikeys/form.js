"use strict";

// A second submit would throw away the response to the first, which may hold a new key.
for (const form of document.querySelectorAll("form[data-once]")) {
    let sent = false;
    form.addEventListener("submit", (event) => {
        if (sent) {
            event.preventDefault();
        }
        sent = true;
    });
    // Back from the next page, the form may be sent again: the server knows what it made already.
    window.addEventListener("pageshow", () => {
        sent = false;
    });
}

// A button whose text says what the chosen radio means.
for (const button of document.querySelectorAll("[data-when-name]")) {
    const usual = button.value;
    const say = () => {
        const chosen = button.form.elements[button.dataset.whenName].value;
        button.value = chosen === button.dataset.whenValue ? button.dataset.whenText : usual;
    };
    button.form.addEventListener("change", say);
    say();
}
