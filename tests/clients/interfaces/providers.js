// The AI SDK's providers, each in a session: CLIENT URL TURNS. In each turn the model calls the tool `note` with the text
// `turn-N`, and repeats the result. An application sends a turn again whose connection broke: `streamText` does not.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const MODEL = "tools";
const PADDING = Array(60).fill("word").join(" "); // makes an answer take two seconds
const BEGUN = 20; // pieces of an answer after which its pod reports the stream

const [client, url, turns] = process.argv.slice(2);
const print = (seen) => console.log(JSON.stringify(seen));
const settings = { baseURL: `${url}/v1`, apiKey: "unused" };
const models = {
  chat: () => createOpenAI(settings).chat(MODEL),
  responses: () => createOpenAI(settings).responses(MODEL),
  compatible: () => createOpenAICompatible({ ...settings, name: "pods" }).chatModel(MODEL),
  messages: () => createAnthropic(settings)(MODEL),
};
const note = tool({
  description: "Keep a note.",
  inputSchema: z.object({ text: z.string() }),
  execute: async ({ text }) => text,
});

async function answered(model, messages, begun) {
  const result = streamText({ model, messages, tools: { note }, stopWhen: isStepCount(5), onError: () => {} });
  let pieces = 0;
  let text = "";
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "start-step") text = "";
    if (part.type === "text-delta") text += part.text;
    if (part.type === "tool-input-delta" && (pieces += 1) === BEGUN) begun();
  }
  return { text, messages: await result.responseMessages, finish: await result.finishReason };
}

const model = models[client]();
const history = [];
for (let turn = 1; turn <= Number(turns); turn += 1) {
  const more = turn === Number(turns) / 2 ? PADDING : "word";
  history.push({ role: "user", content: `note ${JSON.stringify({ text: `turn-${turn} ${more}` })}` });
  for (let again = 0; ; again += 1) {
    try {
      const { text, messages, finish } = await answered(model, history, () => print({ turn, streaming: true }));
      history.push(...messages);
      print({ turn, text, finish, again });
      break;
    } catch (error) {
      if (again === 5) throw error;
    }
  }
}
