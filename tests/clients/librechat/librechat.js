// LibreChat's agents, as its server runs them, in a session: URL API TURNS. In each turn the model calls the tool `note`
// with the text `turn-N`, and repeats the result. A turn whose connection broke is sent again, as its user does.

import { HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { GraphEvents, Providers, Run } from "@librechat/agents";

const PADDING = Array(60).fill("word").join(" "); // makes an answer take two seconds
const BEGUN = 20; // pieces of an answer after which its pod reports the stream

const [url, api, turns] = process.argv.slice(2);
const print = (seen) => console.log(JSON.stringify(seen));
const endpoint = {
  provider: Providers.OPENAI,
  model: "tools",
  apiKey: "unused",
  configuration: { baseURL: `${url}/v1` },
  streaming: true,
  useResponsesApi: api === "responses",
};
const note = tool(async ({ text }) => text, {
  name: "note",
  description: "Keep a note.",
  schema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
});

async function answered(messages, id, begun) {
  let pieces = 0;
  const handle = () => (pieces += 1) === BEGUN && begun();
  const run = await Run.create({
    runId: id,
    graphConfig: { type: "standard", llmConfig: endpoint, tools: [note], instructions: "Keep notes." },
    returnContent: true,
    customHandlers: { [GraphEvents.ON_RUN_STEP_DELTA]: { handle } },
  });
  await run.processStream({ messages }, { configurable: { thread_id: "notes" }, streamMode: "values", version: "v2" });
  return run.getRunMessages();
}

const history = [];
for (let turn = 1; turn <= Number(turns); turn += 1) {
  const more = turn === Number(turns) / 2 ? PADDING : "word";
  history.push(new HumanMessage(`note ${JSON.stringify({ text: `turn-${turn} ${more}` })}`));
  for (let again = 0; ; again += 1) {
    try {
      const messages = await answered([...history], `${turn}-${again}`, () => print({ turn, streaming: true }));
      history.push(...messages);
      print({ turn, text: messages.at(-1).text, kinds: messages.map((each) => each.getType()), again });
      break;
    } catch (error) {
      if (again === 5) throw error;
    }
  }
}
