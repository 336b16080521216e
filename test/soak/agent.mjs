// The coding CLI of the soak: it does what the plan at the end of its prompt says, and writes into the ledger when it starts and
// ends, and which other runs of its task live at that moment.
import { spawn } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

const { TINYTOWN_TASK_ID: task, TINYTOWN_RUN_ID: run, SOAK_LEDGER: ledger } = process.env
const prompt = readFileSync(process.argv.at(-1), 'utf8')
const plan = JSON.parse(prompt.slice(prompt.lastIndexOf('SOAK ') + 5))

const earlier = readFileSync(ledger, 'utf8')
  .split('\n')
  .filter((line) => line.includes(task) && line.includes('"start"')).length
note({ what: 'start', pid: process.pid, beside: others() })
if (plan.ignoresTerm) process.on('SIGTERM', () => undefined)
if (plan.grandchild) startGrandchild(plan.grandchild)
await say(`working on ${task}\n`)
for (let left = plan.outputBytes ?? 0; left > 0; left -= 8192) await say(`${'x'.repeat(127)}\n`.repeat(64))
await delay(plan.ms)
const code = plan.fails === 'always' || (plan.fails === 'first' && earlier === 0) ? 1 : 0
if (code === 0) await say(`did ${task} ${run}\n`)
note({ what: 'end', code })
process.exit(code)

function note(line) {
  appendFileSync(ledger, `${JSON.stringify({ at: Date.now(), task, run, ...line })}\n`)
}

function say(text) {
  return new Promise((resolve) => process.stdout.write(text, resolve))
}

function startGrandchild({ detached, keepsStdout }) {
  const stdio = keepsStdout ? ['ignore', 'inherit', 'inherit'] : 'ignore'
  spawn('sleep', ['600'], { detached, stdio }).unref()
}

/** The run ids of other living runs of this task. */
function others() {
  const found = new Set()
  for (const pid of readdirSync('/proc').filter((name) => Number.isInteger(Number(name)))) {
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
      if (!variables.includes(`TINYTOWN_TASK_ID=${task}`) || variables.includes(`TINYTOWN_RUN_ID=${run}`))
        continue
      if (/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) continue
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').join(' ')
      found.add(`${pid} ${command}`)
    } catch {
      // It is gone.
    }
  }
  return [...found]
}
