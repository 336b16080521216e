import { fileURLToPath } from 'node:url'
import { oneLine } from '../src/base/text.ts'
import type { AgentEvent, Profile } from '../src/process/profile.ts'
import { MAX_DETAIL, readFields, textIn } from './json-line.ts'

/** The agent that comes along: no model, no network, no login. */
export const demo: Profile = {
  id: 'demo',
  title: 'Demo agent',
  command: {
    program: process.execPath,
    args: [fileURLToPath(new URL('./demo-agent.js', import.meta.url))],
  },
  prompt: { via: 'stdin' },
  env: { pass: ['DEMO_AGENT_*'], set: {} },
  version: { args: ['--version'], tested: [process.versions.node] },
  login: null,
  install: 'npm install -g tinytown-worker',
  upstreamCommands: [],
  parseLine: parseDemoLine,
  terminalEvent: true,
  failures: [],
  exitGraceMs: 2_000,
}

/** Reads one line of the demo agent. */
export function parseDemoLine(line: string): readonly AgentEvent[] {
  const event = readFields(line)
  const text = textIn(event, 'text') ?? ''
  const id = textIn(event, 'id') ?? ''
  switch (event?.type) {
    case 'say':
      return [{ type: 'message', text }]
    case 'tool': {
      const detail = oneLine(textIn(event, 'detail') ?? '', MAX_DETAIL)
      return [{ type: 'tool-started', id, name: textIn(event, 'name') ?? '', detail }]
    }
    case 'tool_result':
      return [{ type: 'tool-finished', id, ok: event.ok === true }]
    case 'answer':
      return [
        { type: 'final', text },
        { type: 'end', ok: true },
      ]
    default:
      return []
  }
}
