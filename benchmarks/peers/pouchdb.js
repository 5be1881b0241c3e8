// PouchDB in a process of its own: `node pouchdb.js MODULES FOLDER`. As a server it is express-pouchdb over its LevelDB,
// as a client PouchDB over another. A line of JSON is a command, `{"do": name, ...}`; a line of JSON is the answer.
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");
const readline = require("readline");

const [modules, folder] = process.argv.slice(2);
const need = require("module").createRequire(path.join(modules, "package.json"));
const Local = need("pouchdb").defaults({ prefix: folder + path.sep });
const local = new Local("todos");
const heard = { requests: 0, received: 0, sent: 0 };
const sockets = new Set();
let address = null;
let remote = null;

const records = (file) => fs.readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

async function inBatches(all, each) {
  for (let at = 0; at < all.length; at += 1000) await each(all.slice(at, at + 1000));
}

async function write(docs) {
  const wrong = (await local.bulkDocs(docs)).find((answer) => answer.error);
  if (wrong) throw new Error(wrong.message);
}

async function timed(run) {
  const start = process.hrtime.bigint();
  const report = await run();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const ways = report.push ? [report.push, report.pull] : [report];
  const wrong = ways.find((way) => !way.ok || way.errors.length || way.doc_write_failures);
  if (wrong) throw new Error(JSON.stringify(wrong));
  return { seconds };
}

const commands = {
  // Lines of {"guid": ..., field: ...}: whole records, or fields of one that is there.
  load: ({ file }) => inBatches(records(file), (part) => write(part.map(({ guid, ...doc }) => ({ _id: guid, ...doc })))),
  edit: ({ file }) =>
    inBatches(records(file), async (part) => {
      const had = await local.allDocs({ keys: part.map((change) => change.guid), include_docs: true });
      await write(part.map(({ guid, ...fields }, i) => ({ ...had.rows[i].doc, ...fields })));
    }),
  async serve() {
    const server = http.createServer(need("express-pouchdb")(Local, { mode: "minimumForPouchDB" }));
    server.on("request", () => heard.requests++);
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.on("close", () => {
        sockets.delete(socket);
        heard.received += socket.bytesRead;
        heard.sent += socket.bytesWritten;
      });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    address = `http://127.0.0.1:${server.address().port}/todos`;
  },
  invite: () => ({ url: address }),
  heard() {
    const now = { ...heard };
    for (const socket of sockets) {
      now.received += socket.bytesRead;
      now.sent += socket.bytesWritten;
    }
    return now;
  },
  async open({ url }) {
    remote = new Local(url);
    await Promise.all([remote.info(), local.info()]);
  },
  pull: ({ batch }) => timed(() => local.replicate.from(remote, { batch_size: batch })),
  sync: ({ batch }) => timed(() => local.sync(remote, { batch_size: batch })),
  // What is there: a line of [guid, record, how many other revisions are in conflict with it] for each.
  async dump({ file }) {
    const { rows } = await local.allDocs({ include_docs: true, conflicts: true });
    const lines = rows.map(({ doc: { _id, _rev, _conflicts = [], ...doc } }) => JSON.stringify([_id, doc, _conflicts.length]));
    fs.writeFileSync(file, lines.join("\n"));
  },
  count: async () => ({ records: (await local.info()).doc_count }),
  memory: () => ({ peak: (process.resourceUsage().maxRSS * 1024) / 1e6, now: process.memoryUsage().rss / 1e6 }),
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: name, ...rest } = JSON.parse(line);
    let answer;
    try {
      answer = (await commands[name](rest)) || {};
    } catch (error) {
      answer = { error: `${error.name}: ${error.message || error.reason}` };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  process.exit(0);
})();
