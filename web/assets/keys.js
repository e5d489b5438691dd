// Security keys. A form is sent once for what a key is to sign, and then with what it has signed.
const supported = window.PublicKeyCredential?.parseRequestOptionsFromJSON;

// put adds a hidden field to the form.
function put(form, name, value) {
	const field = document.createElement("input");
	field.type = "hidden";
	field.name = name;
	field.value = value;
	field.dataset.put = "";
	form.append(field);
}

// A browser may go back to the page as it was left: what keys have made and signed is good once.
addEventListener("pageshow", (event) => {
	if (event.persisted) {
		document.querySelectorAll("[data-put]").forEach((field) => field.remove());
	}
});

// go sends the form as it is.
function go(form, submitter) {
	if (submitter?.name) {
		put(form, submitter.name, submitter.value);
	}
	form.submit();
}

// sign has a key sign for the form, and sends it.
async function sign(form, submitter, by) {
	const fields = new URLSearchParams(new FormData(form, submitter));
	fields.set("by", by);
	const answer = await fetch(form.action, { method: "POST", body: fields, redirect: "manual" });
	if (answer.type === "opaqueredirect") { // it took no second factor
		location.assign(form.action);
		return;
	}
	if (answer.headers.get("Content-Type") !== "application/json") { // there is no key, or the page says what is wrong
		go(form, submitter);
		return;
	}
	const data = await answer.json();
	if (!answer.ok) {
		throw new Error(data.error, { cause: "said" });
	}
	const signed = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(data) });
	put(form, "by", by);
	put(form, "key", JSON.stringify(signed.toJSON()));
	go(form, submitter);
}

// make has a browser make a key for the form.
async function make(form) {
	const options = PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(form.dataset.create));
	const made = await navigator.credentials.create({ publicKey: options });
	put(form, "made", JSON.stringify(made.toJSON()));
}

for (const problem of document.querySelectorAll("[data-key-problem]")) {
	const form = problem.closest("form");
	let busy = false;
	const attempt = async (steps) => {
		if (busy) { // a second prompt would end the first
			return;
		}
		busy = true;
		problem.hidden = true;
		try {
			await steps();
		} catch (why) {
			problem.textContent = why.cause === "said" ? why.message : problem.dataset.keyProblem;
			problem.hidden = false;
			form.querySelectorAll("details").forEach((more) => { more.open = true; }); // it may be about a field in there
		}
		busy = false;
	};
	form.addEventListener("submit", (event) => {
		const typed = form.elements[problem.dataset.instead]?.value ?? "";
		const keys = "keys" in problem.dataset && typed.trim() === "";
		const makes = "create" in form.dataset && !form.elements.made;
		if (!supported || !keys && !makes) {
			return;
		}
		event.preventDefault();
		attempt(async () => {
			if (makes) {
				await make(form);
			}
			await (keys ? sign(form, event.submitter, "key") : go(form, event.submitter));
		});
	});
	for (const [by, text] of [["passkey", problem.dataset.passkey], ["key", problem.dataset.second]]) {
		if (!text || !supported) {
			continue;
		}
		const button = document.createElement("button");
		button.type = "button";
		button.className = "refuse";
		button.textContent = text;
		button.addEventListener("click", () => attempt(() => sign(form, null, by)));
		problem.before(button);
	}
}
