// @zakstam/codex-local-component 0.19.1: its bridge, which validates every message of the server against the schemas it
// brings. PROGRAM SERVER PROMPT [THREAD], reports as report.py does.
import { CodexLocalBridge } from '@zakstam/codex-local-component/host';

const [server, prompt, thread] = process.argv.slice(2);
const waiting = new Map();
let nextId = 0;
let tokens = null;
let answer = null;
let over;
const finished = new Promise((resolve) => (over = resolve));

const bridge = new CodexLocalBridge(
  { codexBin: server, cwd: process.cwd() },
  {
    onEvent: (event) => {
      const { method, params } = JSON.parse(event.payloadJson);
      if (method === 'item/completed' && params.item.type === 'agentMessage') answer = params.item.text;
      if (method === 'thread/tokenUsage/updated') tokens = params.tokenUsage.total.totalTokens;
      if (method === 'turn/completed') over();
    },
    onGlobalMessage: (message) => waiting.get(message.id)?.(message.result),
    onProtocolError: ({ error, line }) => {
      console.error(error.message, line);
      process.exit(1);
    },
  },
);

function call(method, params) {
  const id = ++nextId;
  bridge.send({ id, method, params });
  return new Promise((resolve) => waiting.set(id, resolve));
}

bridge.start();
await call('initialize', { clientInfo: { name: 'interop', title: 'Interop', version: '1.0.0' }, capabilities: null });
bridge.send({ method: 'initialized' });
const opened = await call(thread ? 'thread/resume' : 'thread/start', thread ? { threadId: thread } : {});
const threadId = opened.thread.id;
await call('turn/start', { threadId, input: [{ type: 'text', text: prompt, text_elements: [] }] });
await finished;
const read = await call('thread/read', { threadId, includeTurns: true });
const items = read.thread.turns.flatMap((turn) => turn.items);
const texts = items.map((item) => item.text ?? item.content.map((part) => part.text).join(''));
console.log(JSON.stringify({ thread: threadId, answer, tokens, texts }));
bridge.stop();
