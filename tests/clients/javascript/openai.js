// OpenAI's SDK for JavaScript against a pod: CASE BASE_URL prints what the SDK saw, as one line of JSON.

import OpenAI from "openai";

const RESULTS = { weather: "sunny", clock: "noon" };
const LARGE = "a".repeat(5 << 20);

const [name, baseURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: name === "large" ? 2 : 0 });

const question = (model, content) => ({ model, messages: [{ role: "user", content }] });

const cases = {
  whole: async () => answer(await client.chat.completions.create(question("fast", "Count."))),
  stream: () => stream("slow"),
  cut: () => stream("cut"),
  tools,
  refused: () => stream("limited"),
  unknown: () => stream("nothing"),
  large: () => client.chat.completions.create(question("fast", LARGE)),
  responses,
};

async function stream(model) {
  const pieces = [];
  const chunks = client.chat.completions.stream({
    ...question(model, "Count."),
    stream_options: { include_usage: true },
  });
  chunks.on("content", (piece) => piece && pieces.push(piece));
  try {
    return { ...answer(await chunks.finalChatCompletion()), pieces };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError) || error.status) throw error;
    return { pieces, error: { code: error.code } };
  }
}

async function tools() {
  const asking = question("tools", "Weather in Paris, and the time?");
  asking.tools = Object.keys(RESULTS).map((name) => ({
    type: "function",
    function: { name, parameters: { type: "object", properties: {} } },
  }));
  const asked = (await client.chat.completions.stream(asking).finalChatCompletion()).choices[0];
  asking.messages.push(asked.message);
  for (const call of asked.message.tool_calls) {
    asking.messages.push({ role: "tool", tool_call_id: call.id, content: RESULTS[call.function.name] });
  }
  const completion = await client.chat.completions.stream(asking).finalChatCompletion();
  return {
    calls: asked.message.tool_calls.map((call) => [call.id, call.function.name, call.function.arguments]),
    finish: asked.finish_reason,
    text: completion.choices[0].message.content,
  };
}

async function responses() {
  let text = "";
  let last;
  for await (const event of await client.responses.create({ model: "slow", input: "Count.", stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event.type;
  }
  return { text, last };
}

function answer(completion) {
  const [choice] = completion.choices;
  return {
    text: choice.message.content,
    finish: choice.finish_reason,
    input: completion.usage.prompt_tokens,
    output: completion.usage.completion_tokens,
  };
}

let seen;
try {
  seen = await cases[name]();
} catch (error) {
  seen = error.status ? { status: error.status, code: error.code } : { failure: String(error) };
}
console.log(JSON.stringify(seen));
