"use strict";

// A whole key must not get into the address: the form is stopped before it is sent.
{
    const form = document.getElementById("changelist-search");
    const warning = document.getElementById("whole-key");
    const pattern = new RegExp(warning.dataset.pattern);

    form.addEventListener("submit", (event) => {
        if (pattern.test(form.elements.q.value)) {
            event.preventDefault();
            form.elements.q.value = "";
            warning.hidden = false;
        }
    });

    const address = new URL(location.href);
    if (pattern.test(address.search)) {
        address.searchParams.delete("q");
        history.replaceState(null, "", address);
    }
}
