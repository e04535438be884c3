// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Checks deploy/sentinel without the service:
//     node check.js FOLDER [--write]
// FOLDER has node_modules (tests/run.py puts them there). --write makes deploy/sentinel/content.json anew.
// A line a check, `ok NAME` or `FAIL NAME`, and at the end `N passed, N failed, N skipped`.
"use strict";

const fs = require("fs");
const path = require("path");

const arm = require("./arm.js");
const content = require("./content.js");
const { load, tableColumns, Analyser } = require("./kusto.js");

const ROOT = path.join(__dirname, "..", "..");
const CONTENT = path.join(ROOT, "deploy", "sentinel");
const HUNTING_MIN = 8;
const RULES_MIN = 4;

let passed = 0, failed = 0;

function tell(name, mistakes) {
  console.log(`${mistakes.length ? "FAIL" : "ok"} sentinel: ${name}`);
  for (const mistake of mistakes)
    console.log(`    ${mistake}`);
  passed += !mistakes.length;
  failed += mistakes.length > 0;
}

const json = (name) => JSON.parse(fs.readFileSync(path.join(CONTENT, name), "utf8"));

function files(yaml, folder) {
  return fs.readdirSync(path.join(CONTENT, folder)).sort().map((name) => ({
    name: `${folder}/${name}`,
    content: yaml.parse(fs.readFileSync(path.join(CONTENT, folder, name), "utf8"), { strict: true, uniqueKeys: true }),
  }));
}

function checkIds(all) {
  const seen = new Map(), mistakes = [];

  for (const { name, content: { id } } of all) {
    if (seen.has(id))
      mistakes.push(`${name} has the id of ${seen.get(id)}`);
    seen.set(id, name);
  }
  tell("every id is there once", mistakes);
}

// What the manual shows can be run as it stands.
function checkManual(analyser) {
  const text = fs.readFileSync(path.join(ROOT, "docs", "sentinel.md"), "utf8");
  const queries = [...text.matchAll(/^```kusto\n([^]*?)^```$/gm)].map((match) => match[1]);

  tell("docs/sentinel.md has queries", queries.length ? [] : ["none"]);
  queries.forEach((query, i) => tell(`docs/sentinel.md: query ${i + 1}`, analyser.look(query).mistakes));
}

// Where the packages come from is the host's own matter.
function checkLock() {
  const lock = fs.readFileSync(path.join(__dirname, "package-lock.json"), "utf8");

  tell("the lock file names no registry, and each package by its hash", /"resolved"|registry/.test(lock) ||
    Object.entries(JSON.parse(lock).packages).some(([name, entry]) => name && !entry.integrity) ? ["it does"] : []);
}

function checkParsers(parsers, analyser) {
  for (const { name, content: parser } of parsers)
    tell(name, content.parserMistakes(parser, analyser));
  tell("a parser with parameters, and one without", parsers.map((parser) => parser.content.ParserName).join() ===
    "ASimNetworkSessionSmtpsnoop,vimNetworkSessionSmtpsnoop" ? [] : ["not both are there"]);
  tell("the parsers can be called", analyser.look(
    "vimNetworkSessionSmtpsnoop(starttime=ago(1d), dstportnumber=25, hostname_has_any=dynamic(['web'])) " +
    "| union (ASimNetworkSessionSmtpsnoop()) | summarize count() by SrcProcessName, DstIpAddr").mistakes);
}

// ---- The checker itself: a mistake of each kind that is made on purpose has to be found ------------------------

function finds(name, mistakes, what) {
  tell(`the checker finds ${name}`, mistakes.some((mistake) => what.test(mistake)) ? [] : [`not found; it says: ${mistakes.join("; ")}`]);
}

const changed = (value, change) => {
  const copy = structuredClone(value);

  change(copy);
  return copy;
};

function selfTestContent(hunting, rule, analyser) {
  const query = (change) => content.huntingMistakes(changed(hunting, change), analyser);
  const ruled = (change) => content.ruleMistakes(changed(rule, change), analyser);

  finds("a wrong column", query((c) => { c.query = "Smtpsnoop_CL | where MailSender == 'a'"; }), /MailSender/);
  finds("a wrong type", query((c) => { c.query = "Smtpsnoop_CL | where MessageBytes has 'a'"; }), /'has' is not defined/);
  finds("a wrong type in a function's argument", query((c) => { c.query = "Smtpsnoop_CL | summarize sum(MailFrom)"; }), /summable/);
  finds("a wrong table", query((c) => { c.query = "Smtpsnop_CL | take 1"; }), /Smtpsnop_CL/);
  finds("a syntax error", query((c) => { c.query += "| where ("; }), /[Mm]issing|Expected/);
  finds("a mapped column that is not there", ruled((c) => { c.entityMappings[0].fieldMappings[0].columnName = "Nowhere"; }), /no column Nowhere/);
  finds("a mapped column that is a list", ruled((c) => { c.entityMappings[0].fieldMappings[0].columnName = "Recipients"; }), /Recipients is dynamic/);
  finds("a wrong identifier", ruled((c) => { c.entityMappings[0].fieldMappings[0].identifier = "Hostname"; }), /no identifier Hostname/);
  finds("too many identifiers", ruled((c) => { c.entityMappings[0].fieldMappings.push(...c.entityMappings[0].fieldMappings); }), /4 identifiers/);
  finds("a wrong entity", ruled((c) => { c.entityMappings[0].entityType = "Computer"; }), /no entity type/);
  finds("too many entities", ruled((c) => { c.entityMappings = Array(11).fill(c.entityMappings[0]); }), /11 entity mappings/);
  finds("a period below the frequency", ruled((c) => { c.queryFrequency = "2h"; c.queryPeriod = "1h"; }), /shorter than/);
  finds("a long period too often", ruled((c) => { c.queryFrequency = "15m"; c.queryPeriod = "7d"; }), /two days/);
  finds("a frequency out of bounds", ruled((c) => { c.queryFrequency = "1m"; }), /5m to 14d/);
  finds("a technique of another tactic", ruled((c) => { c.tactics = ["Execution"]; }), /belongs to/);
  finds("a technique that does not exist", ruled((c) => { c.relevantTechniques = ["T1048.009"]; }), /no technique T1048.009/);
  finds("an unknown key", ruled((c) => { c.frequency = "1h"; }), /unknown key frequency/);
  finds("a missing key", ruled((c) => { delete c.severity; }), /no severity/);
  finds("a name that is too long", ruled((c) => { c.name = "x".repeat(300); }), /name is empty, or longer/);
  finds("a detail that is not there", ruled((c) => { c.customDetails = { A: "Nowhere" }; }), /no column Nowhere/);
  finds("a title that names no column", ruled((c) => { c.alertDetailsOverride.alertDisplayNameFormat = "{{Nowhere}}"; }), /no column Nowhere/);
}

function selfTestFiles(parser, analyser, columns) {
  const table = (change) => content.tableMistakes(changed(json("table.json"), change));
  const rule = (change) => content.jsonRuleMistakes(changed(json("dcr-json.json"), change), columns);
  const properties = (template) => template.resources.find((resource) => resource.properties.dataFlows).properties;
  const stream = (template) => properties(template).streamDeclarations["Custom-Smtpsnoop"].columns;

  finds("a reserved column", table((t) => { t.properties.schema.columns[3].name = "Type"; }), /reserved/);
  finds("an illegal column", table((t) => { t.properties.schema.columns[3].name = "Mail-From"; }), /no legal name/);
  finds("a column twice", table((t) => { t.properties.schema.columns[3].name = "eventkind"; }), /twice/);
  finds("a stream's column of another type", rule((t) => { stream(t)[5].type = "long"; }), /in the stream/);
  finds("a stream without a column", rule((t) => { stream(t).pop(); }), /columns, the table has/);
  finds("a flow to nowhere", rule((t) => { properties(t).dataFlows[0].destinations = ["elsewhere"]; }), /no destination elsewhere/);
  finds("a parser that lacks a column", content.parserMistakes(
    changed(parser, (p) => { p.ParserQuery += "| project-away Dvc"; }), analyser), /Dvc is not there/);
}

// ---- All of it --------------------------------------------------------------------------------------------------

function main(folder, write) {
  const { kusto, yaml } = load(folder);
  const columns = tableColumns(path.join(CONTENT, "table.json"));
  const hunting = files(yaml, "hunting"), rules = files(yaml, "rules"), parsers = files(yaml, "parsers");
  const analyser = new Analyser(kusto, columns, parsers.map((parser) => content.parserFunction(parser.content)));
  const template = arm.template(...[hunting, rules, parsers].map((list) => list.map((file) => file.content)));

  if (write)
    fs.writeFileSync(path.join(CONTENT, "content.json"), template);
  tell("table.json", content.tableMistakes(json("table.json")));
  tell("dcr-json.json", content.jsonRuleMistakes(json("dcr-json.json"), columns));
  tell("dcr-cef.json", content.cefRuleMistakes(json("dcr-cef.json")));
  for (const file of hunting)
    tell(file.name, content.huntingMistakes(file.content, analyser));
  for (const file of rules)
    tell(file.name, content.ruleMistakes(file.content, analyser));
  checkIds([...hunting, ...rules]);
  tell(`${HUNTING_MIN} hunting queries and ${RULES_MIN} rules at least`,
    hunting.length >= HUNTING_MIN && rules.length >= RULES_MIN ? [] : [`${hunting.length} and ${rules.length}`]);
  checkParsers(parsers, analyser);
  checkManual(analyser);
  checkLock();
  tell("content.json is made of what is beside it", fs.readFileSync(path.join(CONTENT, "content.json"), "utf8") === template
    ? [] : ["run: node tests/sentinel/check.js build/sentinel-node --write"]);
  selfTestContent(hunting[0].content, rules[0].content, analyser);
  selfTestFiles(parsers[0].content, analyser, columns);
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  return failed ? 1 : 0;
}

if (process.argv.length < 3) {
  console.error("usage: node check.js FOLDER [--write]");
  process.exit(2);
}
process.exitCode = main(process.argv[2], process.argv[3] === "--write");
