// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the service takes, and what of it a file of deploy/sentinel does not keep to: each function returns the mistakes.
"use strict";

const RESERVED = ["id", "BilledSize", "IsBillable", "InvalidTimeGenerated", "TenantId", "Title", "Type", "UniqueId", "_ItemId",
  "_ResourceGroup", "_ResourceId", "_SubscriptionId", "_TimeReceived"];
const COLUMN_TYPES = ["string", "int", "long", "real", "boolean", "dateTime", "dynamic"];
const COLUMN_NAME_MAX = 45;

const NAME_MAX = 256;
const DESCRIPTION_MAX = 5000;
const QUERY_MAX = 10000;
const MAPPINGS_MAX = 10;
const IDENTIFIERS_MAX = 3;
const DETAILS_MAX = 20;
const DETAIL_NAME_MAX = 20;
const PLACEHOLDERS_MAX = 3; // columns in the title of an alert, likewise in its text

// Entity types that can be mapped, with their identifiers.
const ENTITIES = {
  Account: ["Name", "FullName", "NTDomain", "DnsDomain", "UPNSuffix", "Sid", "AadTenantId", "AadUserId", "PUID", "IsDomainJoined",
    "DisplayName", "ObjectGuid"],
  Host: ["DnsDomain", "NTDomain", "HostName", "FullName", "NetBiosName", "AzureID", "OMSAgentID", "OSFamily", "OSVersion",
    "IsDomainJoined"],
  IP: ["Address", "AddressScope"],
  File: ["Directory", "Name"],
  FileHash: ["Algorithm", "Value"],
  Process: ["ProcessId", "CommandLine", "ElevationToken", "CreationTimeUtc"],
  Mailbox: ["MailboxPrimaryAddress", "DisplayName", "Upn", "ExternalDirectoryObjectId", "RiskLevel"],
  MailMessage: ["Recipient", "Sender", "SenderIP", "ReceivedDate", "NetworkMessageId", "InternetMessageId", "Subject"],
  URL: ["Url"],
  DNS: ["DomainName"],
};

// MITRE ATT&CK: the tactics of each technique that is used here, and its sub-techniques that are.
const TECHNIQUES = {
  T1020: { tactics: ["Exfiltration"], sub: [] },
  T1029: { tactics: ["Exfiltration"], sub: [] },
  T1030: { tactics: ["Exfiltration"], sub: [] },
  T1036: { tactics: ["DefenseEvasion"], sub: [] },
  T1048: { tactics: ["Exfiltration"], sub: ["002", "003"] },
  T1059: { tactics: ["Execution"], sub: ["004"] },
  T1070: { tactics: ["DefenseEvasion"], sub: ["004"] },
  T1071: { tactics: ["CommandAndControl"], sub: ["003"] },
  T1078: { tactics: ["InitialAccess", "Persistence", "PrivilegeEscalation", "DefenseEvasion"], sub: [] },
  T1505: { tactics: ["Persistence"], sub: ["003"] },
  T1534: { tactics: ["LateralMovement"], sub: [] },
  T1562: { tactics: ["DefenseEvasion"], sub: ["001", "006"] },
  T1620: { tactics: ["DefenseEvasion"], sub: [] },
};

const KEYS_COMMON = ["id", "name", "description", "requiredDataConnectors", "tactics", "relevantTechniques", "query",
  "entityMappings", "version"];
const KEYS_RULE = ["severity", "queryFrequency", "queryPeriod", "triggerOperator", "triggerThreshold", "kind"];
const KEYS_RULE_MORE = ["eventGroupingSettings", "customDetails", "alertDetailsOverride"];

const MINUTE = 60;
const DAY = 24 * 60 * MINUTE;

// ASIM NetworkSession 0.2.7: what every parser gives, with its type.
const ASIM = {
  TimeGenerated: "datetime", EventCount: "int", EventStartTime: "datetime", EventEndTime: "datetime", EventType: "string",
  EventSubType: "string", EventResult: "string", EventResultDetails: "string", EventProduct: "string", EventVendor: "string",
  EventSchema: "string", EventSchemaVersion: "string", EventSeverity: "string", EventUid: "string", Dvc: "string",
  DvcIpAddr: "string", DvcHostname: "string", DvcDomain: "string", DvcDomainType: "string", DvcFQDN: "string", DvcAction: "string",
  DvcId: "string", DvcIdType: "string", NetworkApplicationProtocol: "string", NetworkProtocol: "string",
  NetworkProtocolVersion: "string", NetworkDirection: "string", NetworkDuration: "int", NetworkSessionId: "string",
  Src: "string", SrcIpAddr: "string", SrcPortNumber: "int", SrcHostname: "string", SrcDomain: "string", SrcDomainType: "string",
  SrcUserId: "string", SrcUserIdType: "string", SrcUsername: "string", SrcUsernameType: "string", SrcAppName: "string",
  SrcAppId: "string", SrcAppType: "string", SrcProcessName: "string", SrcProcessId: "string", SrcProcessGuid: "string",
  ActingProcessName: "string", ActingProcessId: "string", ActingProcessCommandLine: "string", Dst: "string", DstIpAddr: "string",
  DstPortNumber: "int", DstHostname: "string", DstDomain: "string", DstDomainType: "string", ThreatRiskLevel: "int",
  Duration: "int", SessionId: "string", Rule: "string", Hostname: "string", IpAddr: "string", AdditionalFields: "dynamic",
};

// Parameters of a filtering parser, in their order.
const ASIM_PARAMETERS = ["starttime", "endtime", "srcipaddr_has_any_prefix", "dstipaddr_has_any_prefix", "ipaddr_has_any_prefix",
  "dstportnumber", "hostname_has_any", "dvcaction", "eventresult", "disabled"];

const isString = (value, max) => typeof value === "string" && value.trim().length > 0 && value.length <= max;

// "15m", "1h", "14d" in seconds; NaN: none of these.
function seconds(text) {
  const match = /^(\d+)([mhd])$/.exec(String(text));

  return match ? Number(match[1]) * { m: MINUTE, h: 60 * MINUTE, d: DAY }[match[2]] : NaN;
}

function tableMistakes(table) {
  const schema = table.properties.schema, columns = schema.columns, lower = new Set(), mistakes = [];

  if (schema.name !== "Smtpsnoop_CL")
    mistakes.push(`the table's name is ${schema.name}`);
  if (columns[0].name !== "TimeGenerated" || columns[0].type !== "dateTime")
    mistakes.push("the first column is not TimeGenerated");
  for (const { name, type, description } of columns) {
    if (!/^[A-Za-z][A-Za-z0-9_]+$/.test(name) || name.length > COLUMN_NAME_MAX)
      mistakes.push(`${name}: no legal name`);
    if (RESERVED.some((reserved) => reserved.toLowerCase() === name.toLowerCase()))
      mistakes.push(`${name}: reserved`);
    if (lower.has(name.toLowerCase()))
      mistakes.push(`${name}: twice`);
    if (!COLUMN_TYPES.includes(type))
      mistakes.push(`${name}: no type ${type}`);
    if (!isString(description, 300))
      mistakes.push(`${name}: no description`);
    lower.add(name.toLowerCase());
  }
  return mistakes;
}

function ruleResource(template) {
  return template.resources.find((resource) => resource.type === "Microsoft.Insights/dataCollectionRules").properties;
}

// Every parameter that is used is declared, and the other way round.
function parameterMistakes(template) {
  const used = new Set([...JSON.stringify(template.resources).matchAll(/parameters\('(\w+)'\)/g)].map((match) => match[1]));
  const declared = new Set(Object.keys(template.parameters));

  return [...used].filter((name) => !declared.has(name)).map((name) => `no parameter ${name}`)
    .concat([...declared].filter((name) => !used.has(name)).map((name) => `parameter ${name} is not used`));
}

// A flow's streams come from a source and go to a destination that is there.
function flowMistakes(rule) {
  const sources = Object.values(rule.dataSources).flat().flatMap((source) => source.streams);
  const destinations = rule.destinations.logAnalytics.map((destination) => destination.name);
  const mistakes = [];

  for (const flow of rule.dataFlows) {
    mistakes.push(...flow.streams.filter((stream) => !sources.includes(stream)).map((stream) => `no source has ${stream}`));
    mistakes.push(...flow.destinations.filter((name) => !destinations.includes(name)).map((name) => `no destination ${name}`));
  }
  return mistakes;
}

function jsonRuleMistakes(template, columns) {
  const rule = ruleResource(template), source = rule.dataSources.logFiles[0], flow = rule.dataFlows[0];
  const stream = source.streams[0], declared = (rule.streamDeclarations[stream] || { columns: [] }).columns;
  const mistakes = [...parameterMistakes(template), ...flowMistakes(rule)];
  const types = Object.fromEntries(declared.map((column) => [column.name, column.type]));

  if (!stream.startsWith("Custom-"))
    mistakes.push(`${stream} does not begin with Custom-`);
  if (source.format !== "json")
    mistakes.push(`the format is ${source.format}`);
  if (flow.outputStream !== "Custom-Smtpsnoop_CL" || flow.transformKql !== "source")
    mistakes.push("it does not go to Smtpsnoop_CL as it is");
  if (declared.length !== columns.length)
    mistakes.push(`${declared.length} columns, the table has ${columns.length}`);
  for (const { name, type } of columns) {
    if (types[name] !== type.toLowerCase())
      mistakes.push(`${name} is ${types[name]} in the stream, ${type} in the table`);
  }
  return mistakes;
}

function cefRuleMistakes(template) {
  const rule = ruleResource(template), source = rule.dataSources.syslog[0];
  const mistakes = [...parameterMistakes(template), ...flowMistakes(rule)];

  if (source.streams.join() !== "Microsoft-CommonSecurityLog")
    mistakes.push(`the stream is ${source.streams}`);
  if (!source.logLevels.includes("Info") || !source.logLevels.includes("Warning"))
    mistakes.push("levels are left out");
  return mistakes;
}

function techniqueMistakes(content) {
  const mistakes = [], covered = new Set();

  for (const id of content.relevantTechniques) {
    const [technique, sub] = id.split(".");
    const known = TECHNIQUES[technique];

    if (!known || (sub && !known.sub.includes(sub))) {
      mistakes.push(`no technique ${id} is known here`);
      continue;
    }
    if (!known.tactics.some((tactic) => content.tactics.includes(tactic)))
      mistakes.push(`${id} belongs to ${known.tactics}, not to ${content.tactics}`);
    known.tactics.forEach((tactic) => covered.add(tactic));
  }
  return mistakes.concat(content.tactics.filter((tactic) => !covered.has(tactic)).map((tactic) => `no technique of ${tactic}`));
}

function mappingMistakes(mappings, columns) {
  const mistakes = [];

  if (mappings.length < 1 || mappings.length > MAPPINGS_MAX)
    mistakes.push(`${mappings.length} entity mappings`);
  for (const { entityType, fieldMappings } of mappings) {
    const identifiers = ENTITIES[entityType];

    if (!identifiers) {
      mistakes.push(`no entity type ${entityType}`);
      continue;
    }
    if (fieldMappings.length < 1 || fieldMappings.length > IDENTIFIERS_MAX)
      mistakes.push(`${entityType}: ${fieldMappings.length} identifiers`);
    for (const { identifier, columnName } of fieldMappings) {
      if (!identifiers.includes(identifier))
        mistakes.push(`${entityType} has no identifier ${identifier}`);
      if (!(columnName in columns))
        mistakes.push(`${entityType}: the result has no column ${columnName}`);
      else if (!["string", "int", "long", "datetime"].includes(columns[columnName]))
        mistakes.push(`${entityType}: ${columnName} is ${columns[columnName]}`);
    }
  }
  return mistakes;
}

function commonMistakes(content, allowed, required) {
  const keys = Object.keys(content), mistakes = [];

  mistakes.push(...keys.filter((key) => !allowed.includes(key)).map((key) => `unknown key ${key}`));
  mistakes.push(...required.filter((key) => !keys.includes(key)).map((key) => `no ${key}`));
  if (mistakes.length)
    return mistakes;
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(content.id))
    mistakes.push(`${content.id} is no GUID`);
  for (const [key, max] of [["name", NAME_MAX], ["description", DESCRIPTION_MAX], ["query", QUERY_MAX]]) {
    if (!isString(content[key], max))
      mistakes.push(`${key} is empty, or longer than ${max}`);
  }
  if (!/^\d+\.\d+\.\d+$/.test(content.version))
    mistakes.push(`version ${content.version}`);
  if (!content.requiredDataConnectors.every(({ connectorId, dataTypes }) => isString(connectorId, 100) && Array.isArray(dataTypes)))
    mistakes.push("requiredDataConnectors");
  return mistakes.concat(techniqueMistakes(content));
}

function queryMistakes(content, analyser) {
  const { mistakes, columns } = analyser.look(content.query);

  if (mistakes.length)
    return { mistakes, columns };
  return { mistakes: mappingMistakes(content.entityMappings, columns), columns };
}

function huntingMistakes(content, analyser) {
  const mistakes = commonMistakes(content, KEYS_COMMON, KEYS_COMMON);

  return mistakes.length ? mistakes : queryMistakes(content, analyser).mistakes;
}

function scheduleMistakes(rule) {
  const frequency = seconds(rule.queryFrequency), period = seconds(rule.queryPeriod), mistakes = [];

  for (const [name, value] of [["queryFrequency", frequency], ["queryPeriod", period]]) {
    if (!(value >= 5 * MINUTE && value <= 14 * DAY))
      mistakes.push(`${name} is not from 5m to 14d`);
  }
  if (period < frequency)
    mistakes.push("the period is shorter than the frequency");
  if (period >= 2 * DAY && frequency < 60 * MINUTE)
    mistakes.push("a period of two days or more, more often than every hour");
  return mistakes;
}

function detailMistakes(rule, columns) {
  const details = Object.entries(rule.customDetails || {}), override = rule.alertDetailsOverride || {}, mistakes = [];

  if (details.length > DETAILS_MAX)
    mistakes.push(`${details.length} custom details`);
  for (const [name, column] of details) {
    if (!/^[A-Za-z]\w*$/.test(name) || name.length > DETAIL_NAME_MAX)
      mistakes.push(`custom detail ${name}`);
    if (!(column in columns))
      mistakes.push(`custom detail ${name}: the result has no column ${column}`);
  }
  for (const format of [override.alertDisplayNameFormat || "", override.alertDescriptionFormat || ""]) {
    const used = [...format.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]);

    if (used.length > PLACEHOLDERS_MAX)
      mistakes.push(`${used.length} columns in "${format}"`);
    mistakes.push(...used.filter((column) => !(column in columns)).map((column) => `"${format}": no column ${column}`));
  }
  if (override.alertSeverityColumnName && !(override.alertSeverityColumnName in columns))
    mistakes.push(`no column ${override.alertSeverityColumnName}`);
  return mistakes;
}

function ruleMistakes(rule, analyser) {
  const required = [...KEYS_COMMON, ...KEYS_RULE];
  const mistakes = commonMistakes(rule, [...required, ...KEYS_RULE_MORE], required);

  if (mistakes.length)
    return mistakes;
  mistakes.push(...scheduleMistakes(rule));
  if (!["Informational", "Low", "Medium", "High"].includes(rule.severity))
    mistakes.push(`severity ${rule.severity}`);
  if (!["gt", "lt", "eq", "ne"].includes(rule.triggerOperator) || !(rule.triggerThreshold >= 0 && rule.triggerThreshold <= 10000))
    mistakes.push(`trigger ${rule.triggerOperator} ${rule.triggerThreshold}`);
  if (rule.kind !== "Scheduled")
    mistakes.push(`kind ${rule.kind}`);
  const query = queryMistakes(rule, analyser);

  return mistakes.concat(query.mistakes, query.mistakes.length ? [] : detailMistakes(rule, query.columns));
}

// A parser of the repository's form as a function of the workspace.
function parserFunction(parser) {
  const value = ({ Type, Default }) => (Type === "string" ? `'${Default}'` : String(Default));
  const parameters = parser.ParserParams.map((parameter) => `${parameter.Name}:${parameter.Type}=${value(parameter)}`);

  return { name: parser.ParserName, parameters: `(${parameters.join(", ")})`, body: parser.ParserQuery };
}

function parserMistakes(parser, analyser) {
  const { name, parameters, body } = parserFunction(parser);
  const { mistakes, columns } = analyser.look(`let tried = ${parameters} {${body}}; tried()`);
  const filtering = name.startsWith("vim"), names = parser.ParserParams.map((parameter) => parameter.Name).join();

  if (!/^(ASim|vim)NetworkSession[A-Z]\w+$/.test(name))
    mistakes.push(`no name for a parser: ${name}`);
  if (names !== (filtering ? ASIM_PARAMETERS.join() : "disabled"))
    mistakes.push(`its parameters are ${names}`);
  if (mistakes.length)
    return mistakes;
  const wanted = filtering ? { ...ASIM, ASimMatchingIpAddr: "string", ASimMatchingHostname: "string" } : ASIM;

  for (const [column, type] of Object.entries(wanted)) {
    if (columns[column] !== type)
      mistakes.push(`${column} is ${columns[column] || "not there"}, not ${type}`);
  }
  return mistakes;
}

module.exports = { tableMistakes, jsonRuleMistakes, cefRuleMistakes, huntingMistakes, ruleMistakes, parserFunction, parserMistakes };
