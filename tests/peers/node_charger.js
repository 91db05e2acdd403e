// A charger made of `ocpp-rpc` from npm, in its strict mode: every message of the gateway is held against the schemas
// that it ships. Not a test, but the process that a test talks to; what python_charger.py says of itself holds here.
"use strict";

const fs = require("node:fs");
const { RPCClient, createRPCError } = require("ocpp-rpc");

const POWER = 7400;
const VOLTS = 230;

const instructions = JSON.parse(process.argv[2]);
const say = (what, details = {}) => process.stdout.write(JSON.stringify({ what, ...details }) + "\n");
const now = () => new Date().toISOString();

const client = new RPCClient({
  endpoint: instructions.endpoint,
  identity: instructions.identity,
  password: Buffer.from(instructions.key, "hex"),
  protocols: ["ocpp1.6"],
  strictMode: true,
  reconnect: false,
  wsOpts: { ca: fs.readFileSync(instructions.ca) },
});

let limit = POWER;
let register = 12345;
let transaction = null;
let wake = () => {};
let stopping = false;

const report = (connectorId, status) =>
  client.call("StatusNotification", { connectorId, errorCode: "NoError", status, timestamp: now() });

async function charge(idTag, connectorId) {
  const authorized = await client.call("Authorize", { idTag });
  await report(connectorId, "Preparing");
  const started = await client.call("StartTransaction", {
    connectorId,
    idTag,
    meterStart: register,
    timestamp: now(),
  });
  transaction = started.transactionId;
  say("started", {
    number: transaction,
    authorized: authorized.idTagInfo.status,
    accepted: started.idTagInfo.status,
    register,
  });
  await report(connectorId, "Charging");
  while (!stopping) {
    await sample(connectorId);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, instructions.interval * 1000);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (stopping) wake();
    });
  }
  await client.call("StopTransaction", {
    transactionId: transaction,
    idTag,
    meterStop: register,
    timestamp: now(),
    reason: "Remote",
  });
  say("stopped", { register });
  transaction = null;
  await report(connectorId, "Finishing");
  await report(connectorId, "Available");
  say("free");
}

async function sample(connectorId) {
  const power = Math.min(POWER, limit);
  register += Math.round(power / 60);
  await client.call("MeterValues", {
    connectorId,
    transactionId: transaction,
    meterValue: [
      {
        timestamp: now(),
        sampledValue: [
          { value: String(register), measurand: "Energy.Active.Import.Register", unit: "Wh" },
          { value: power.toFixed(1), measurand: "Power.Active.Import", unit: "W" },
        ],
      },
    ],
  });
  say("sampled", { register, watts: power });
}

client.handle("ChangeConfiguration", ({ params }) => {
  say("configured", { key: params.key, value: params.value });
  return { status: "Accepted" };
});

client.handle("TriggerMessage", ({ params }) => {
  if (params.requestedMessage !== "Heartbeat") return { status: "NotImplemented" };
  setImmediate(() => client.call("Heartbeat", {}));
  return { status: "Accepted" };
});

client.handle("RemoteStartTransaction", ({ params }) => {
  if (transaction !== null) return { status: "Rejected" };
  setImmediate(() => charge(params.idTag, params.connectorId ?? 1).catch(fail));
  return { status: "Accepted" };
});

client.handle("SetChargingProfile", ({ params }) => {
  const profile = params.csChargingProfiles;
  if (profile.transactionId !== transaction) return { status: "Rejected" };
  const schedule = profile.chargingSchedule;
  const first = schedule.chargingSchedulePeriod[0].limit;
  limit = schedule.chargingRateUnit === "W" ? first : first * VOLTS;
  say("limited", { watts: limit });
  return { status: "Accepted" };
});

client.handle("RemoteStopTransaction", ({ params }) => {
  if (params.transactionId !== transaction) return { status: "Rejected" };
  stopping = true;
  setImmediate(() => wake());
  return { status: "Accepted" };
});

client.handle(({ method }) => {
  throw createRPCError("NotImplemented", `this charger does not know ${method}`);
});

client.on("strictValidationFailure", ({ error }) => fail(error));
client.on("badMessage", ({ error }) => fail(error));

function fail(error) {
  process.stderr.write(`${error.stack ?? error}\n${JSON.stringify(error.details ?? {})}\n`);
  process.exit(1);
}

async function main() {
  await client.connect();
  say("connected", { subprotocol: client.protocol });
  const boot = await client.call("BootNotification", {
    chargePointVendor: "ocpp-rpc",
    chargePointModel: "Peer",
    chargePointSerialNumber: "JS-1",
    firmwareVersion: "2.2.1",
  });
  say("booted", { status: boot.status, interval: boot.interval });
  await report(0, "Available");
  await report(1, "Available");
}

process.stdin.on("end", async () => {
  await client.close();
  process.exit(0);
});
process.stdin.resume();
main().catch(fail);
