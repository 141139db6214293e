// The agent of AG-UI that speaks HTTP; prints lines of JSON.

import { HttpAgent, randomUUID } from "@ag-ui/client";

const [wanted, url] = process.argv.slice(2);
const print = (seen) => console.log(JSON.stringify(seen));
const plain = ({ role, content }) => ({ role, content });

function agentOf(options = {}) {
  return new HttpAgent({ url: `${url}/api/v1/ag-ui`, ...options });
}

const ask = (agent, content) => agent.addMessage({ id: randomUUID(), role: "user", content });

async function whole() {
  const agent = agentOf();
  const types = new Set();
  const subscriber = { onEvent: ({ event }) => void types.add(event.type) };
  ask(agent, "Hello there");
  await agent.runAgent({ forwardedProps: { model: "assistant" } }, subscriber);
  ask(agent, "And again");
  await agent.runAgent({ forwardedProps: { model: "assistant" } }, subscriber);
  print({ messages: agent.messages.map(plain), types: [...types] });
}

async function refused() {
  const agent = agentOf();
  ask(agent, "Hello");
  const error = await agent.runAgent({ forwardedProps: { model: "nothing" } }).catch((each) => each);
  print({ status: error.status, code: error.payload?.code });
}

// What an application does when a connection breaks: it drops what came of the answer, and runs the agent again.
async function session() {
  process.on("unhandledRejection", () => {}); // of the agent's own reader, beside the one that is caught below
  const agent = agentOf();
  for (let turn = 1; turn <= 3; turn += 1) {
    ask(agent, `Turn ${turn}`);
    let told = false;
    const subscriber = {
      onTextMessageContentEvent: ({ textMessageBuffer }) => {
        if (told || textMessageBuffer.length < 30) return;
        told = true;
        print({ turn, streaming: true });
      },
    };
    let again = 0;
    for (;;) {
      try {
        await agent.runAgent({ forwardedProps: { model: "count" } }, subscriber);
        break;
      } catch (error) {
        again += 1;
        if (again > 50) throw error;
        agent.setMessages(agent.messages.slice(0, 2 * turn - 1));
      }
    }
    print({ turn, text: agent.messages.at(-1).content, messages: agent.messages.length, resumed: again });
  }
}

await { whole, refused, session }[wanted]();
