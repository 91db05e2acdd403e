// `ocpp-rpc` in strict mode, put together as its documentation shows: an https server whose upgrades it handles, both
// certificates, Basic authentication looked at. Every message in either direction is held against its schemas.
// Prints `ready PORT`; the first argument is the folder of certificates.
"use strict";

const fs = require("node:fs");
const https = require("node:https");
const path = require("node:path");
const { RPCServer, createRPCError } = require("ocpp-rpc");

const folder = process.argv[2];
const read = (name) => fs.readFileSync(path.join(folder, name), "utf8");
const now = () => new Date().toISOString();

const server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true });

const httpsServer = https.createServer({
  cert: [read("server-rsa.pem"), read("server-ecdsa.pem")],
  key: [read("server-rsa.key"), read("server-ecdsa.key")],
  minVersion: "TLSv1.2",
});

httpsServer.on("upgrade", server.handleUpgrade);

server.auth((accept, reject, handshake) => {
  if (!handshake.password?.length) return reject(401, "credentials required");
  return accept({ sessionId: handshake.identity });
});

let transactions = 0;

server.on("client", (client) => {
  client.handle("BootNotification", () => ({ status: "Accepted", interval: 300, currentTime: now() }));
  client.handle("Heartbeat", () => ({ currentTime: now() }));
  client.handle("StatusNotification", () => ({}));
  client.handle("StartTransaction", () => ({ transactionId: ++transactions, idTagInfo: { status: "Accepted" } }));
  client.handle("StopTransaction", () => ({}));
  client.handle("MeterValues", () => ({}));
  client.handle(({ method }) => {
    throw createRPCError("NotImplemented", `${method} is not known here`);
  });
});

httpsServer.listen(0, "127.0.0.1", () => console.log(`ready ${httpsServer.address().port}`));
