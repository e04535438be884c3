// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The hunting queries, analytic rules and parsers as one ARM template, for `az deployment group create`.
"use strict";

const { parserFunction } = require("./content.js");

const OPERATORS = { gt: "GreaterThan", lt: "LessThan", eq: "Equal", ne: "NotEqual" };

const oneLine = (text) => text.trim().replace(/\s+/g, " ");
const duration = (text) => (text.endsWith("d") ? `P${text.toUpperCase()}` : `PT${text.toUpperCase()}`);

// The resource has a field for techniques; sub-techniques are in the description's file alone.
const techniques = (content) => [...new Set(content.relevantTechniques.map((id) => id.split(".")[0]))];

function savedSearch(name, properties) {
  return {
    type: "Microsoft.OperationalInsights/workspaces/savedSearches",
    apiVersion: "2020-08-01",
    name: `[concat(parameters('workspaceName'), '/${name}')]`,
    properties: { etag: "*", version: 2, ...properties },
  };
}

function huntingResource(content) {
  return savedSearch(content.id, {
    category: "Hunting Queries",
    displayName: content.name,
    query: content.query,
    tags: [
      { name: "description", value: oneLine(content.description) },
      { name: "tactics", value: content.tactics.join() },
      { name: "techniques", value: techniques(content).join() },
    ],
  });
}

function parserResource(parser) {
  const { name, parameters, body } = parserFunction(parser);

  return savedSearch(name, {
    category: "ASIM",
    displayName: parser.Parser.Title,
    query: body,
    functionAlias: name,
    functionParameters: parameters.slice(1, -1),
  });
}

function ruleResource(rule) {
  return {
    type: "Microsoft.OperationalInsights/workspaces/providers/alertRules",
    apiVersion: "2023-11-01",
    name: `[concat(parameters('workspaceName'), '/Microsoft.SecurityInsights/${rule.id}')]`,
    kind: rule.kind,
    properties: {
      displayName: rule.name,
      description: oneLine(rule.description),
      severity: rule.severity,
      enabled: "[parameters('rulesEnabled')]",
      query: rule.query,
      queryFrequency: duration(rule.queryFrequency),
      queryPeriod: duration(rule.queryPeriod),
      triggerOperator: OPERATORS[rule.triggerOperator],
      triggerThreshold: rule.triggerThreshold,
      suppressionDuration: "PT1H",
      suppressionEnabled: false,
      tactics: rule.tactics,
      techniques: techniques(rule),
      entityMappings: rule.entityMappings,
      eventGroupingSettings: rule.eventGroupingSettings,
      customDetails: rule.customDetails,
      alertDetailsOverride: rule.alertDetailsOverride,
    },
  };
}

function template(hunting, rules, parsers) {
  return JSON.stringify({
    $schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    contentVersion: "1.0.0.0",
    metadata: { description: "Made of hunting/, rules/ and parsers/ by tests/sentinel/check.js --write; not to be edited" },
    parameters: {
      workspaceName: { type: "string", metadata: { description: "The Log Analytics workspace that Sentinel is on." } },
      rulesEnabled: { type: "bool", defaultValue: true, metadata: { description: "Whether the analytic rules run at once." } },
    },
    resources: [...parsers.map(parserResource), ...hunting.map(huntingResource), ...rules.map(ruleResource)],
  }, null, 2) + "\n";
}

module.exports = { template };
