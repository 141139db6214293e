// A reader of Durable Streams: by its package, the events of a run that another client has begun; prints lines of JSON.

import { DurableStream, stream } from "@durable-streams/client";

const [wanted, url, live] = process.argv.slice(2);
const print = (seen) => console.log(JSON.stringify(seen));
const headers = { "content-type": "application/json" };

async function post(path, body) {
  const answer = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

// Returns the address of a run that goes on without the client that began it.
async function begun(conversation, model) {
  const answer = await post(`/api/v1/conversations/${conversation}/messages`, { content: "Count", model, stream: true });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/^data: .*\n/m.test(text)) text += (await reader.read()).value;
  await reader.cancel();
  const { run } = JSON.parse(/^data: (.*)\n/m.exec(text)[1]);
  return `${url}/api/v1/durable-streams/${conversation}/${run}`;
}

const begin = async () => (await (await post("/api/v1/conversations", {})).json()).id;

// Returns what a reader gets, how often it has to connect, and what it then knows of the stream.
async function follow(address, mode, offset = "-1", onEvents = () => {}) {
  const events = [];
  let requests = 0;
  const counted = (...request) => ((requests += 1), fetch(...request));
  const reading = await stream({ url: address, offset, live: mode, fetch: counted, warnOnHttp: false });
  await new Promise((resolve, reject) => {
    reading.subscribeJson(async (batch) => {
      events.push(...batch.items);
      onEvents(events, batch.offset);
    });
    reading.closed.then(resolve, reject);
  });
  const metadata = await DurableStream.head({ url: address, warnOnHttp: false });
  return { events, requests, offset: reading.offset, closed: reading.streamClosed, metadata };
}

async function whole() {
  for (const mode of [false, "long-poll", "sse", true]) {
    const address = await begun(await begin(), "count");
    if (mode === false) await follow(address, "sse");
    const seen = await follow(address, mode);
    print({ ...seen, mode });
  }
}

// Leaves after each batch, and goes on at its offset.
async function resumed() {
  const address = await begun(await begin(), "count");
  const events = [];
  let offset = "-1";
  let reads = 0;
  for (let closed = false; !closed; reads += 1) {
    const reading = await stream({ url: address, offset, live: "long-poll", json: true, warnOnHttp: false });
    events.push(...(await reading.json()));
    ({ offset, streamClosed: closed } = reading);
    reading.cancel();
  }
  print({ events, reads });
}

async function killed() {
  const address = await begun(await begin(), "count");
  let said = false;
  const seen = await follow(address, live, "-1", (events) => {
    if (!said && events.length > 10) print({ streaming: (said = true) });
  });
  print(seen);
}

async function refused() {
  const conversation = await begin();
  const missing = `${url}/api/v1/durable-streams/${conversation}/${conversation}`;
  for (const [address, offset] of [[missing, "-1"], [await begun(conversation, "count"), "x"]]) {
    const backoffOptions = { maxRetries: 0 };
    await stream({ url: address, offset, live: false, backoffOptions, warnOnHttp: false }).catch((error) => print({ status: error.status }));
  }
}

await { whole, resumed, killed, refused }[wanted]();
