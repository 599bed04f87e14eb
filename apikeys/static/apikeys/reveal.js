"use strict";

{
    const field = document.getElementById("new-key");
    const copyKey = document.getElementById("copy-key");
    const copyCommand = document.getElementById("copy-command");
    const said = document.getElementById("said");
    let mayLeave = false;

    // Reload and Back lead to the key's page, which shows no secret, instead of sending the form again.
    history.replaceState(null, "", field.dataset.page);

    const selectKey = () => {
        field.focus();
        field.select();
    };
    field.addEventListener("click", selectKey);
    field.addEventListener("copy", () => {
        mayLeave = true;
    });

    const copy = async (text, select) => {
        const copied = await window.apikeysCopy(text, select);
        said.textContent = copied ? copyKey.dataset.copied : copyKey.dataset.selected;
        return copied;
    };

    copyKey.hidden = false;
    copyKey.addEventListener("click", async () => {
        mayLeave = (await copy(field.value, selectKey)) || mayLeave;
    });

    // Only a key comes with commands to try it.
    if (copyCommand) {
        copyCommand.hidden = false;
        copyCommand.addEventListener("click", () => {
            const chosen = document.querySelector("input[name=snippet]:checked").value;
            const snippet = document.querySelector(`.apikeys-snippet-${chosen}`);
            copy(snippet.textContent, () => getSelection().selectAllChildren(snippet));
        });
    }

    for (const id of ["stored", "revoke"]) {
        document.getElementById(id)?.addEventListener("click", () => {
            mayLeave = true;
        });
    }
    window.addEventListener("beforeunload", (event) => {
        if (!mayLeave) {
            event.preventDefault();
        }
    });
    // The browser may keep the page for Back and Forward.
    window.addEventListener("pagehide", () => {
        field.value = "";
        field.removeAttribute("value");
    });
}
