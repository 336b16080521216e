// A coding CLI that does what the test says: it reads its prompt, dials the test and obeys one JSON line after another.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'

let prompt = ''
process.stdin.setEncoding('utf8')
for await (const chunk of process.stdin) prompt += chunk

const socket = connect(process.env.FAKE_AGENT_SOCKET)
socket.setEncoding('utf8')
const tell = (value) => socket.write(`${JSON.stringify(value)}\n`)
tell({ pid: process.pid, argv: process.argv.slice(2), cwd: process.cwd(), env: process.env, prompt })

const write = (stream, text) => new Promise((resolve) => stream.write(text, resolve))
const deeds = {
  stdout: ({ text }) => write(process.stdout, text),
  stderr: ({ text }) => write(process.stderr, text),
  base64: ({ data }) => write(process.stdout, Buffer.from(data, 'base64')),
  async flood({ bytes }) {
    const chunk = 'x'.repeat(1 << 20)
    for (let left = bytes; left > 0; left -= chunk.length) await write(process.stdout, chunk.slice(0, left))
  },
  ignoreTerm: () => process.on('SIGTERM', () => undefined),
  // A grandchild in a session of its own, as tools of real CLIs are, unless it is to stay in the group.
  async grandchild({ keepStdout, ignoreTerm, sameGroup }) {
    const deaf = ignoreTerm ? "process.on('SIGTERM', () => {});" : ''
    const program = `${deaf} process.stderr.write('up'); setInterval(() => {}, 1e6)`
    const stdio = ['ignore', keepStdout ? 'inherit' : 'ignore', 'pipe']
    const child = spawn(process.execPath, ['-e', program], { detached: !sameGroup, stdio })
    await once(child.stderr, 'data')
    child.stderr.destroy()
    child.unref()
    return child.pid
  },
  exit: ({ code }) => {
    process.exitCode = code
    socket.end(() => process.exit())
  },
  signal: ({ signal }) => process.kill(process.pid, signal),
}

let buffered = ''
for await (const chunk of socket) {
  buffered += chunk
  for (let at = buffered.indexOf('\n'); at !== -1; at = buffered.indexOf('\n')) {
    const order = JSON.parse(buffered.slice(0, at))
    buffered = buffered.slice(at + 1)
    tell({ done: (await deeds[order.do](order)) ?? null })
  }
}
// The test hung up: without it there is nothing to do.
process.exit(99)
