// The chat of `useChat`, with its default transport; prints lines of JSON.

import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, generateId, readUIMessageStream } from "ai";

const [wanted, url] = process.argv.slice(2);
const print = (seen) => console.log(JSON.stringify(seen));
const textOf = (message) => message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");

function chatOf(model, options = {}) {
  const transport = new DefaultChatTransport({ api: `${url}/api/v1/ai-sdk`, body: { model } });
  return new Chat({ transport, ...options });
}

function shown(chat) {
  const messages = chat.messages.map((message) => ({ role: message.role, text: textOf(message) }));
  return { status: chat.status, messages, error: chat.error ? JSON.parse(chat.error.message) : null };
}

async function until(holds) {
  for (;;) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const answering = (chat) => chat.lastMessage?.role === "assistant" && textOf(chat.lastMessage).length > 30; // the metrics of the pods know it by then

async function whole() {
  const chat = chatOf("assistant");
  await chat.sendMessage({ text: "Hello there" });
  await chat.sendMessage({ text: "And again" });
  print({ ...shown(chat), ids: chat.messages.map((message) => message.id), metadata: chat.lastMessage.metadata });
}

async function reading() {
  const transport = new DefaultChatTransport({ api: `${url}/api/v1/ai-sdk`, body: { model: "assistant" } });
  const messages = [{ id: generateId(), role: "user", parts: [{ type: "text", text: "Hello there" }] }];
  const stream = await transport.sendMessages({ chatId: generateId(), messages, trigger: "submit-message" });
  let last;
  for await (const message of readUIMessageStream({ stream })) last = message;
  print({ role: last.role, parts: last.parts });
}

async function reload() {
  const before = chatOf("count");
  const sent = before.sendMessage({ text: "Count" });
  await until(() => answering(before));
  const after = chatOf("count", { id: before.id, messages: before.messages.slice(0, 1) });
  await after.resumeStream();
  await sent;
  print({ before: shown(before), after: shown(after), same: before.lastMessage.id === after.lastMessage.id });
  const unknown = chatOf("count");
  await unknown.resumeStream();
  print(shown(unknown));
}

async function refused() {
  const unknown = chatOf("nothing");
  await unknown.sendMessage({ text: "Hello" });
  print(shown(unknown));
  const chat = chatOf("assistant");
  await chat.sendMessage({ text: "Hello" });
  await chat.regenerate();
  print(shown(chat));
}

// Sends 20 messages; what an application does when a connection breaks is to resume, or to send the message again.
async function session() {
  const chat = chatOf("count");
  for (let turn = 1; turn <= 20; turn += 1) {
    const sent = chat.sendMessage({ text: `Turn ${turn}` });
    await until(() => chat.messages.length === 2 * turn && answering(chat));
    print({ turn, streaming: true });
    await sent;
    let resumed = 0;
    while (chat.status === "error" || chat.lastMessage.role === "user") {
      resumed += 1;
      await chat.resumeStream().catch(() => {});
      if (chat.status === "ready" && chat.lastMessage.role === "user") await chat.sendMessage();
      if (resumed > 50) throw chat.error;
    }
    print({ turn, text: textOf(chat.lastMessage), messages: chat.messages.length, resumed });
  }
}

await { whole, reading, reload, refused, session }[wanted]();
