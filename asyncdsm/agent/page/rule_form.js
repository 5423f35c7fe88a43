// The form of one rule of alerts: its fields depend on what the rule is about.

import { createHtml } from "./dom.js";

/** @import { RuleFields } from "./api_types.d.ts" */

/** @typedef {RuleFields["when"]} When */

const EVERYWHERE = ["service", "env", "queue", "group", "type", "cluster"];
/** What a rule can be about, and the fields that say where it applies. @type {Record<When, string[]>} */
export const PLACES = {
  lag: ["group", "queue", "cluster"],
  "time in queue": EVERYWHERE,
  "time in service": ["service", "env", "queue", "type", "cluster"],
  "end to end": EVERYWHERE,
  quiet: EVERYWHERE,
  missing: ["service", "env"],
};
const SILENCES = ["quiet", "missing"];

/**
 * Return the fields that a rule about something can have, besides its name and what it is about.
 * @param {When} when
 */
export function listFields(when) {
  const isLatency = when.startsWith("time") || when === "end to end";
  return [
    ...(SILENCES.includes(when) ? [] : ["above"]),
    "for",
    ...(isLatency ? ["quantile"] : []),
    "severity",
    ...PLACES[when],
    "webhook",
  ];
}

/**
 * @param {string} name
 * @param {string} label
 * @param {HTMLElement} control
 */
const createField = (name, label, control) => createHtml("label", { "data-field": name }, label, control);

/**
 * @param {string} name
 * @param {readonly string[]} choices
 * @param {string | null | undefined} chosen
 */
function createChoice(name, choices, chosen) {
  const options = choices.map((choice) => createHtml("option", { value: choice, selected: choice === chosen }, choice));
  return createHtml("select", { name }, options);
}

/** @param {RuleFields | null} rule The rule to change; null for a new one. */
export function createRuleForm(rule) {
  const value = (/** @type {string} */ name) => {
    const found = /** @type {Record<string, unknown>} */ ({ ...rule })[name];
    return found === undefined || found === null ? "" : String(found);
  };
  const text = (/** @type {string} */ name, /** @type {string} */ label, placeholder = "") =>
    createField(name, label, createHtml("input", { name, value: value(name), placeholder, autocomplete: "off" }));
  const when = createChoice("when", Object.keys(PLACES), rule?.when);
  const form = createHtml(
    "form",
    { class: "rule-form", "aria-label": rule ? `Change ${rule.name}` : "Add a rule" },
    text("name", "Name"),
    createField("when", "When", when),
    text("above", "Is above", "5 s, or a number of messages for lag"),
    text("for", "For", "2 min"),
    createField(
      "quantile",
      "Quantile",
      createChoice("quantile", ["p50", "p95", "p99", "max"], rule?.quantile ?? "p99"),
    ),
    createField("severity", "Severity", createChoice("severity", ["warning", "critical"], rule?.severity ?? "warning")),
    EVERYWHERE.map((name) => text(name, `Only ${name}`, "everywhere; * stands for any characters")),
    text("webhook", "Webhook", rule?.webhook ? "keeps the one that it has" : "https://…"),
    rule?.webhook &&
      createField("webhook", "Without its webhook", createHtml("input", { type: "checkbox", name: "without-webhook" })),
  );
  const webhook = form.elements.namedItem("webhook");
  if (webhook instanceof HTMLInputElement) webhook.value = ""; // only its host is known here
  const showFields = () => showFieldsOf(form, /** @type {When} */ (when.value));
  when.addEventListener("change", showFields);
  showFields();
  return form;
}

/**
 * @param {HTMLFormElement} form
 * @param {When} when
 */
function showFieldsOf(form, when) {
  const shown = new Set(["name", "when", ...listFields(when)]);
  for (const field of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll("[data-field]"))) {
    field.hidden = !shown.has(field.dataset.field ?? "");
  }
}

/**
 * Return the rule that is written in a form.
 * @param {HTMLFormElement} form
 * @param {RuleFields | null} before
 */
export function readRuleForm(form, before) {
  return toRule(Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value)])), before);
}

/**
 * Return a rule of the fields that apply to it and are filled in. A number is messages; `""` is an empty name. A rule
 * keeps the webhook that it had before, unless there is another one, or `without-webhook` is checked.
 * @param {Record<string, string>} fields
 * @param {RuleFields | null} before
 * @returns {RuleFields}
 */
export function toRule(fields, before) {
  const when = /** @type {When} */ (fields.when);
  const given = listFields(when).flatMap((name) => {
    const text = fields[name]?.trim() ?? "";
    // A field that was empty in the file, such as env = "", stays as it is.
    const was = /** @type {Record<string, unknown>} */ ({ ...before })[name];
    if (text === "" && was !== "") return [];
    if (text === '""') return [[name, ""]];
    return [[name, name === "above" && /^[0-9][0-9_]*$/.test(text) ? Number(text.replaceAll("_", "")) : text]];
  });
  const removed = fields["without-webhook"] ? [["webhook", null]] : [];
  return /** @type {RuleFields} */ ({
    name: fields.name?.trim() ?? "",
    when,
    ...Object.fromEntries([...given, ...removed]),
  });
}
