// ai-sdk-provider-codex-cli 1.4.1 under the AI SDK: PROGRAM SERVER PROMPT [THREAD], reports as report.py does,
// but only the tokens of this turn and no turns: it does not read threads.
import { generateText } from 'ai';
import { createCodexAppServer } from 'ai-sdk-provider-codex-cli';

const [server, prompt, thread] = process.argv.slice(2);
const provider = createCodexAppServer({
  defaultSettings: {
    codexPath: server,
    minCodexVersion: '0.125.0',
    persistExtendedHistory: true,
    logger: false,
  },
});
const result = await generateText({
  model: provider('gpt-5.1-codex'),
  prompt,
  providerOptions: { 'codex-app-server': thread ? { threadId: thread } : { threadMode: 'persistent' } },
});
const threadId = result.providerMetadata['codex-app-server'].threadId;
await provider.close();
console.log(JSON.stringify({ thread: threadId, answer: result.text, tokens: result.usage.totalTokens, texts: null }));
