// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Queries as the service reads them: its own parser over the tables that these queries may name.
"use strict";

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

// The columns that are used of tables that are the service's own.
const OWN_TABLES = {
  CommonSecurityLog: {
    TimeGenerated: "datetime", DeviceVendor: "string", DeviceProduct: "string", DeviceVersion: "string",
    DeviceEventClassID: "string", Activity: "string", LogSeverity: "string", Computer: "string", SourceIP: "string",
    SourcePort: "int", SourceUserName: "string", SourceUserID: "string", SourceProcessName: "string",
    SourceProcessId: "int", DestinationIP: "string", DestinationPort: "int", DestinationHostName: "string",
    DestinationUserName: "string", Message: "string", DeviceAction: "string", AdditionalExtensions: "string",
  },
  Heartbeat: { TimeGenerated: "datetime", Computer: "string", OSType: "string", Category: "string" },
};

// The scripts of the package are made for a page: they want a window.
function load(folder) {
  const from = createRequire(path.join(path.resolve(folder), "package.json"));

  globalThis.window = globalThis;
  from("@kusto/language-service-next/bridge.min.js");
  from("@kusto/language-service-next/Kusto.Language.Bridge.min.js");
  return { kusto: globalThis.Kusto.Language, yaml: from("yaml") };
}

function tableColumns(file) {
  return JSON.parse(fs.readFileSync(file, "utf8")).properties.schema.columns;
}

function listOf(items) {
  const list = [];

  for (let i = 0; i < items.Count; i++)
    list.push(items.getItem(i));
  return list;
}

class Analyser {
  // functions: [{ name, parameters: "(a:string='')", body }]
  constructor(kusto, columns, functions) {
    const schema = (types) => "(" + Object.entries(types).map(([name, type]) => `${name}:${type}`).join(", ") + ")";
    const own = Object.fromEntries(columns.map((column) => [
      column.name, column.type === "boolean" ? "bool" : column.type.toLowerCase()]));
    const tables = { Smtpsnoop_CL: { ...own, _ResourceId: "string", TenantId: "string" }, ...OWN_TABLES };
    const { TableSymbol, FunctionSymbol, DatabaseSymbol } = kusto.Symbols;
    const members = Object.entries(tables).map(([name, types]) => new TableSymbol.$ctor7(name, schema(types), ""));

    for (const { name, parameters, body } of functions)
      members.push(new FunctionSymbol.$ctor16(name, parameters, `{${body}}`, ""));
    this.kusto = kusto;
    this.globals = kusto.GlobalState.Default.WithDatabase(new DatabaseSymbol.$ctor2("workspace", null, members));
  }

  // What is wrong with a query, a line a mistake; and the columns of its result: name to type.
  look(query) {
    const code = this.kusto.KustoCode.ParseAndAnalyze(query, this.globals);
    const mistakes = listOf(code.GetDiagnostics())
      .filter((diagnostic) => diagnostic.Severity === "Error")
      .map((diagnostic) => {
        const line = query.slice(0, diagnostic.Start).split("\n").length;

        return `line ${line}: ${diagnostic.Message} (${query.substr(diagnostic.Start, 40).split("\n")[0]})`;
      });
    const columns = {};

    if (code.ResultType && code.ResultType.Columns) {
      for (const column of listOf(code.ResultType.Columns))
        columns[column.Name] = column.Type.Name;
    }
    return { mistakes, columns };
  }
}

module.exports = { load, tableColumns, Analyser };
