const words = s => s.replace(/\s+/g, " ").trim();

const fail = message => { throw new Error(message); };

// first returns the first of the elements that reads text.
const first = (elements, text) => [...elements].find(e => words(e.textContent) === text) ?? fail(`nothing on ${location} reads ${text}`);
const link = text => first(document.querySelectorAll("a[href]"), text);
const button = text => first(document.querySelectorAll("button"), text);

const buttons = text => [...document.querySelectorAll("button")].map(b => words(b.textContent)).filter(t => t.startsWith(text));

// field returns what the label stands for in the form of a button.
const field = (of, label) => first(button(of).form.querySelectorAll("label"), label).control ?? fail(`${label} is the label of nothing`);

// prepare empties a field, and reports whether something is to be typed into it. A box and a choice
// get their value.
const prepare = (of, label, value) => {
	const f = field(of, label);
	if (f.type === "checkbox" || f.type === "radio") {
		f.checked = value !== "";
		return false;
	}
	if (f.tagName === "SELECT") {
		f.value = value;
		return false;
	}
	f.value = "";
	return value !== "";
};

// audit returns what axe-core finds: with all of its rules, and in the dark those about colours.
const audit = async scheme => {
	const options = scheme === "dark" ? {runOnly: ["color-contrast", "link-in-text-block"]} : {rules: {"target-size": {enabled: true}}};
	const found = await axe.run(document, {...options, preload: false, resultTypes: ["violations"]});
	if (found.passes.length === 0) fail("axe-core has checked nothing");
	return found.violations.map(v => `${v.id} (${v.impact}): ${v.help}\n` + v.nodes.map(n => n.html + "\n" + n.failureSummary).join("\n"));
};

// outside returns what is beyond the edge of the window.
const outside = () => {
	const root = document.documentElement;
	const wide = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > root.clientWidth + .5).map(e => e.outerHTML);
	return root.scrollWidth > root.clientWidth ? [`${root.scrollWidth} pixels`, ...wide] : wide;
};

const called = e => `${e.tagName} ${e.name || words(e.textContent)} ${e.value ?? ""}`.trim();

// controls returns what the keyboard has to reach: of choices that exclude each other, the one that is made, and nothing in details that are closed.
const controls = () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
	.filter(e => e.type !== "hidden" && e.tabIndex !== -1 && !e.disabled && (e.type !== "radio" || e.checked) && e.checkVisibility()).map(called);

// focused returns what the keyboard is at, and what is wrong with how that shows.
const focused = () => {
	const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
	let at = called(e);
	if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) at += ", which nothing shows";
	if (box.width < 2 || box.height < 2) at += ", which nobody sees";
	if (e.tabIndex > 0) at += ", out of order";
	return at;
};
