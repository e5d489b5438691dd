// Buttons that copy or print what is shown once. Without this script a person does so by hand.
for (const shown of document.querySelectorAll("[data-copy], [data-print]")) {
	const row = document.createElement("p");
	row.className = "buttons";
	const add = (text, act) => {
		const button = document.createElement("button");
		button.type = "button";
		button.className = "refuse";
		button.textContent = text;
		button.addEventListener("click", () => act(button));
		row.append(button);
	};
	// A browser has a clipboard for pages only over https, or of this machine.
	if (shown.dataset.copy && navigator.clipboard) {
		add(shown.dataset.copy, async (button) => {
			await navigator.clipboard.writeText(shown.querySelector("data")?.value ?? shown.textContent.trim());
			button.textContent = shown.dataset.copied;
		});
	}
	if (shown.dataset.print) {
		add(shown.dataset.print, () => window.print());
	}
	if (row.hasChildNodes()) {
		shown.after(row);
	}
}
