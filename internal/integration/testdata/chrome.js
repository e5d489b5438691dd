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

// reachable returns what the keyboard has to reach: of choices that exclude each other, the one that is made, and nothing in details that are closed.
const reachable = () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
	.filter(e => e.type !== "hidden" && e.tabIndex !== -1 && !e.disabled && (e.type !== "radio" || e.checked || e === unchosen(e)) && e.checkVisibility());

// unchosen returns the first choice of a group of which none is made.
const unchosen = e => {
	const group = [...e.form.elements].filter(o => o.type === "radio" && o.name === e.name);
	return group.some(o => o.checked) ? null : group[0];
};

const controls = () => reachable().map(called);

// channels returns red, green and blue of a colour as WCAG's relative luminance weighs them.
const channels = colour => colour.match(/[\d.]+/g).map(Number).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
const luminance = colour => { const [r, g, b] = channels(colour); return .2126 * r + .7152 * g + .0722 * b; };

// ground returns the colour of what an element is on.
const ground = e => {
	for (let at = e.parentElement; at; at = at.parentElement) {
		const colour = getComputedStyle(at).backgroundColor;
		if (colour !== "rgba(0, 0, 0, 0)") return colour;
	}
	return "rgb(255, 255, 255)";
};

// contrast returns how much two colours differ: 3 is the least that WCAG's criterion 1.4.11 takes.
const contrast = (a, b) => { const [low, high] = [luminance(a), luminance(b)].sort((a, b) => a - b); return (high + .05) / (low + .05); };

// focused returns what the keyboard is at, and what is wrong with how that shows.
const focused = () => {
	const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
	let at = called(e);
	if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) at += ", which nothing shows";
	else if (contrast(style.outlineColor, ground(e)) < 3) at += `, whose outline ${style.outlineColor} is hard to see on ${ground(e)}`;
	if (box.width < 2 || box.height < 2) at += ", which nobody sees";
	if (e.tabIndex > 0) at += ", out of order";
	return at;
};

// rings returns of all that the keyboard reaches what focused does.
const rings = () => reachable().map(e => { e.focus(); return focused(); });

// at reports whether the keyboard is at a link or a button.
const at = (what, text) => document.activeElement === (what === "link" ? link : button)(text);

// place returns the label of the field that the keyboard is at, of those in the form of a button that are to get values, "" for
// none of them, and what to press for its value: a key so many times, or, for "type", the value itself.
const place = (of, values) => {
	const e = document.activeElement;
	const steps = n => n < 0 ? ["up", -n] : ["down", n];
	for (const [label, value] of Object.entries(values)) {
		const f = field(of, label);
		const choices = f.type === "radio" ? [...f.form.elements].filter(o => o.type === "radio" && o.name === f.name) : [f];
		if (!choices.includes(e)) continue;
		let press = ["type", 1];
		if (f.tagName === "SELECT") press = steps([...f.options].findIndex(o => o.value === value) - f.selectedIndex);
		else if (f.type === "radio" && e !== f) press = steps(choices.indexOf(f) - choices.indexOf(e));
		else if (f.type === "radio") press = ["space", e.checked ? 0 : 1];
		else if (f.type === "checkbox") press = ["space", f.checked === (value !== "") ? 0 : 1];
		return {label, key: press[0], times: press[1]};
	}
	return {label: "", key: "", times: 0};
};
