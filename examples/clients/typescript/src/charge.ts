// A charging platform's first steps: make a charger known, watch what happens, start, limit, stop, read the energy.
//
//   node dist/charge.js provision CP1 FAMILY        prints the charger's key, once
//   node dist/charge.js watch events.token out.txt  appends each event once, whatever is killed meanwhile
//   node dist/charge.js charge CP1 FAMILY           a start, a limit of 8 A, a stop; prints the energy
//
// The gateway is at GATEWAY_TARGET, 127.0.0.1:50051 unless set; GATEWAY_CA (a file in PEM) turns on TLS, GATEWAY_TOKEN
// is the caller's token.
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "./gen/error_info_pb.js";
import { ChargePointService } from "./gen/gateway/api/v1/charge_point_pb.js";
import { ChargingRateUnit } from "./gen/gateway/api/v1/common_pb.js";
import { EventService, WatchStart } from "./gen/gateway/api/v1/event_pb.js";
import { IdTagService, IdTagStatus } from "./gen/gateway/api/v1/id_tag_pb.js";
import { type Operation, OperationEnd, OperationService } from "./gen/gateway/api/v1/operation_pb.js";
import { type Transaction, TransactionService } from "./gen/gateway/api/v1/transaction_pb.js";

const READ_MS = 10_000;
const CHANGE_MS = 60_000;
const ATTEMPTS = 6;

// [connect]
/** Sets what the documentation asks of a client: message sizes and keepalive. */
function connect(): Transport {
  const { GATEWAY_TARGET: target = "127.0.0.1:50051", GATEWAY_CA: ca, GATEWAY_TOKEN: token } = process.env;
  const bearer: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  return createGrpcTransport({
    baseUrl: `${ca ? "https" : "http"}://${target}`,
    nodeOptions: ca ? { ca: readFileSync(ca) } : {},
    interceptors: token ? [bearer] : [],
    readMaxBytes: 16 * 1024 * 1024,
    pingIntervalMs: 30_000,
    pingTimeoutMs: 20_000,
    pingIdleConnection: true,
  });
}
// [connect]

// [errors]
/** The gateway's reason of an error and its metadata; undefined where something else answered. */
function reasonOf(error: unknown) {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0];
}

/** Calls until it succeeds, where a repeat can do nothing twice: the request is a read, or has a request id. */
async function repeat<T>(timeoutMs: number, call: (options: { timeoutMs: number }) => Promise<T>): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await call({ timeoutMs: Math.max(1, end - Date.now()) });
    } catch (error) {
      // With a command_id the gateway has recorded that it was not sent: that id is used up.
      const usedUp = reasonOf(error)?.metadata["command_id"];
      if (!broken(error) || usedUp || attempt === ATTEMPTS) throw error;
      await sleep(100 * 2 ** attempt);
    }
  }
}

// Without a reason of the gateway's, Connect gives these for a connection that broke: a stream that is cut ends Canceled.
const BROKEN = [Code.Canceled, Code.Aborted, Code.Internal, Code.Unknown];

/** Tells whether the gateway stops, is gone, or hung up. */
function broken(error: unknown): boolean {
  const { code } = ConnectError.from(error);
  return code === Code.Unavailable || (reasonOf(error) === undefined && BROKEN.includes(code));
}
// [errors]

// [provision]
/** Makes a charge point and a tag known; the key that the charger is to be given. */
async function provision(transport: Transport, identity: string, idTag: string): Promise<string> {
  const options = { timeoutMs: CHANGE_MS };
  const created = await createClient(ChargePointService, transport).createChargePoint({ chargePoint: { identity } }, options);
  try {
    const tag = { idTag, status: IdTagStatus.ACCEPTED };
    await createClient(IdTagService, transport).createIdTag({ idTag: tag }, options);
  } catch (error) {
    if (reasonOf(error)?.reason !== "ID_TAG_EXISTS") throw error; // an owner with a second charger
  }
  return new TextDecoder().decode(created.generatedAuthorizationKey);
}
// [provision]

// [watch]
/** Puts a token in the place of the last one: a kill leaves one of the two, never a part. */
async function save(path: string, token: Uint8Array): Promise<void> {
  const file = await open(`${path}.new`, "w");
  await file.writeFile(token);
  await file.sync();
  await file.close();
  await rename(`${path}.new`, path);
  const folder = await open(dirname(path), "r");
  await folder.sync();
  await folder.close();
}

/** Appends the id, charge point and type of each event to a file, over kills of both ends. */
async function watch(transport: Transport, tokenPath: string, outPath: string): Promise<never> {
  const events = createClient(EventService, transport);
  // At a kill the batch that was being written comes again: its ids are among the last ones here.
  const written = existsSync(outPath) ? readFileSync(outPath, "utf8") : "";
  let seen = new Set(written.split("\n").map((line) => line.split(" ")[0]));
  const out = await open(outPath, "a");
  for (;;) {
    const start = existsSync(tokenPath)
      ? { case: "resumeToken" as const, value: new Uint8Array(readFileSync(tokenPath)) }
      : { case: "startAt" as const, value: WatchStart.BEGINNING };
    try {
      for await (const batch of events.watchEvents({ start })) {
        const fresh = batch.events.filter((event) => !seen.has(event.eventId));
        await out.write(fresh.map((event) => `${event.eventId} ${event.chargePoint} ${event.type}\n`).join(""));
        await out.sync();
        seen = new Set(batch.events.map((event) => event.eventId));
        await save(tokenPath, batch.resumeToken); // first what was received, then the token: at least once
      }
    } catch (error) {
      // BELOW_RETENTION and the like end it: read the present state first.
      if (!broken(error) && reasonOf(error)?.reason !== "INTERNAL") throw error;
    }
    await sleep(500);
  }
}
// [watch]

// [follow]
/** Waits until an operation has ended; an end other than DONE is an error. */
async function follow(transport: Transport, accepted: Operation | undefined): Promise<Operation> {
  if (accepted === undefined) throw new Error("no operation");
  let operation: Operation = accepted;
  while (operation.end === OperationEnd.UNSPECIFIED) {
    try {
      const request = { operationId: operation.operationId };
      for await (const response of createClient(OperationService, transport).watchOperation(request)) {
        operation = response.operation ?? operation;
      }
    } catch (error) {
      if (!broken(error)) throw error;
      await sleep(500); // the gateway restarts; the operation is on its disk
    }
  }
  if (operation.end !== OperationEnd.DONE) throw new Error(`${OperationEnd[operation.end]}: ${operation.reason}`);
  return operation;
}
// [follow]

// [charge]
/** Starts, limits and stops charging; the transaction, which has the energy. */
async function charge(transport: Transport, chargePoint: string, idTag: string): Promise<Transaction | undefined> {
  const operations = createClient(OperationService, transport);
  const connector = { evse: 1n, connector: 1n };
  // The same request id again is the same start: it is made once, before the first attempt.
  const start = { chargePoint, requestId: randomUUID(), idTag, connector };
  const begun = await repeat(CHANGE_MS, (options) => operations.startCharging(start, options));
  const { transactionId } = await follow(transport, begun.operation);

  const limit = { value: 8, unit: ChargingRateUnit.AMPERES };
  const wanted = { chargePoint, requestId: randomUUID(), connector, limit };
  await follow(transport, (await repeat(CHANGE_MS, (options) => operations.limitCharging(wanted, options))).operation);

  const stop = { chargePoint, requestId: randomUUID(), transactionId };
  await follow(transport, (await repeat(CHANGE_MS, (options) => operations.stopCharging(stop, options))).operation);

  const transactions = createClient(TransactionService, transport);
  return (await repeat(READ_MS, (options) => transactions.getTransaction({ transactionId }, options))).transaction;
}
// [charge]

async function main([command, first = "", second = ""]: string[]): Promise<void> {
  const transport = connect();
  if (command === "provision") {
    console.log(JSON.stringify({ key: await provision(transport, first, second) }));
  } else if (command === "watch") {
    await watch(transport, first, second);
  } else if (command === "charge") {
    const transaction = await charge(transport, first, second);
    console.log(
      JSON.stringify({ transaction_id: transaction?.transactionId, watt_hours: transaction?.energy?.wattHours }),
    );
  } else {
    throw new Error("usage: charge provision|watch|charge FIRST SECOND");
  }
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    const info = reasonOf(error);
    console.error(String(error), info?.reason ?? "", info?.metadata ?? "");
    process.exit(1);
  },
);
