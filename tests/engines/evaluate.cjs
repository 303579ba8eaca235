// Evaluates CQL with cql-execution. Standard input: one case a line, {"library", "parameters"}; output: the values of its
// expressions, one object a line. Arguments: the folder of the ELM, the folder of the engine.
const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { createRequire } = require("node:module");

const [elm, engine] = process.argv.slice(2);
const cql = createRequire(path.join(path.resolve(engine), "package.json"))("cql-execution");
const files = fs.readdirSync(elm).filter((name) => name.endsWith(".json"));
// The engine follows includes in a patient's context only; these libraries ask for nobody's record, so any patient will do.
const read = (name) => JSON.parse(fs.readFileSync(path.join(elm, name), "utf8").replaceAll('"Unfiltered"', '"Patient"'));
const library = Object.fromEntries(files.map((name) => [path.basename(name, ".json"), read(name)]));
const repository = new cql.Repository(library);
const unknown = Object.fromEntries(
  Object.values(library).flatMap((one) => (one.library.parameters?.def ?? []).map((parameter) => [parameter.name, null])),
);
const built = {};
const anybody = () => new cql.PatientSource([{ id: "1" }]);

// A number is sent as {low, high}: an interval, closed on both sides. Any other object is a tuple.
function value(sent) {
  if (sent === null || typeof sent !== "object" || Array.isArray(sent) || !("low" in sent)) return sent;
  return new cql.Interval(sent.low, sent.high, true, true);
}

function plain(found) {
  return found && found.isInterval ? { low: found.low, high: found.high } : found;
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const resolved = (built[asked.library] ??= new cql.Library(library[asked.library], repository));
    const parameters = { ...unknown };
    for (const [name, sent] of Object.entries(asked.parameters)) {
      if (!(name in unknown)) throw new Error(`no library has a parameter ${name}`);
      parameters[name] = value(sent);
    }
    const results = await new cql.Executor(resolved, null, parameters).exec(anybody());
    const told = Object.entries(results.patientResults["1"]).map(([name, found]) => [name, plain(found)]);
    process.stdout.write(JSON.stringify(Object.fromEntries(told)) + "\n");
  }
}

main();
