"use strict";

{
    const form = document.getElementById("issue-form");
    const options = form.querySelectorAll(".apikeys-picker input");

    // By POST: what is typed may be a pasted key, which must not get into an address.
    const ask = async (url, parameters) => {
        const answer = await fetch(url, {
            method: "POST",
            headers: { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
            body: new URLSearchParams(parameters),
        });
        return answer.ok ? answer.json() : null;
    };

    // Suggest while typing.
    const suggest = (input, listId, url) => {
        if (!input || input.readOnly || !url) {
            return;
        }
        const list = document.getElementById(listId);
        input.setAttribute("list", listId);
        let latest = 0;
        input.addEventListener("input", async () => {
            const turn = ++latest;
            const answer = await ask(url, { q: input.value });
            if (answer && turn === latest) {
                list.replaceChildren(...answer.results.map((value) => new Option(value, value)));
            }
        });
    };
    suggest(form.elements.client, "clients", form.dataset.clientsUrl);
    suggest(form.elements.owner, "people", form.dataset.peopleUrl);

    // What the chosen client may hold, and what the key will be able to do, in the server's words.
    let asked = 0;
    const describe = async () => {
        const turn = ++asked;
        const parameters = [["client", form.elements.client.value]];
        for (const option of options) {
            if (option.checked && option.value) {
                parameters.push(["scope", option.value]);
            }
        }
        const answer = await ask(form.dataset.describeUrl, parameters);
        if (!answer || turn !== asked) {
            return;
        }
        for (const option of options) {
            const reason = answer.reasons[option.id] || "";
            option.disabled = reason !== "";
            const shown = document.querySelector(`#${CSS.escape(option.id)}_text .apikeys-reason`);
            if (shown) {
                shown.textContent = reason;
            }
        }
        document.getElementById("summary").textContent = answer.summary;
    };
    form.elements.client.addEventListener("change", describe);
    form.querySelector(".apikeys-picker").addEventListener("change", describe);

    // "Read only": in every resource what reads, nothing else.
    const presets = form.querySelector(".apikeys-presets");
    presets.hidden = false;
    presets.querySelector("[data-preset=read]").addEventListener("click", () => {
        for (const option of options) {
            const reads = option.value !== "" && option.value.split(" ").every((name) => name.endsWith(":read"));
            option.checked = reads && !option.disabled;
        }
        describe();
    });

    // "Same as key…": the permissions of another key, by its id, mask or name.
    const sameAs = document.getElementById("same-as");
    sameAs?.addEventListener("change", async () => {
        const said = document.getElementById("same-as-said");
        const answer = sameAs.value ? await ask(sameAs.dataset.url, { key: sameAs.value }) : null;
        said.textContent = answer && !answer.scopes ? said.dataset.unknown : "";
        if (!answer?.scopes) {
            return;
        }
        for (const option of options) {
            option.checked = false;
        }
        for (const option of options) {
            const names = option.value.split(" ");
            // Of a resource's radios the last that fits is the widest.
            if (option.value && !option.disabled && names.every((name) => answer.scopes.includes(name))) {
                option.checked = true;
            }
        }
        describe();
    });
    sameAs?.addEventListener("keydown", (event) => {
        if (event.key === "Enter") {
            // It would send the form.
            event.preventDefault();
            sameAs.dispatchEvent(new Event("change"));
        }
    });

    // Typing a date means it.
    form.elements.custom_date.addEventListener("input", () => {
        form.elements.expires.value = "custom";
    });
}
