// A coding CLI that prints what its name for the kind of output says: much of it, then its answer.
import { once } from 'node:events'

const [kind, amount = '0'] = process.argv.slice(2)
const bytes = Number(amount)

async function print(chunk) {
  if (!process.stdout.write(chunk)) await once(process.stdout, 'drain')
}

async function flood(fill) {
  const chunk = Buffer.alloc(1 << 20, fill)
  for (let left = bytes; left > 0; left -= chunk.length) await print(chunk.subarray(0, left))
}

const event = (value) => print(`${JSON.stringify(value)}\n`)
const message = (text) => event({ type: 'item.completed', item: { id: 'i', type: 'agent_message', text } })
const turnOver = () =>
  event({ type: 'turn.completed', usage: { input_tokens: 1, cached_input_tokens: 0, output_tokens: 1 } })

const kinds = {
  // One line that is no UTF-8 anywhere.
  async garbage() {
    await flood(0xff)
    await print('\nthe answer\n')
  },
  async endless() {
    for (;;) await print('still at it\n'.repeat(1000))
  },
  // An event that nobody needs, longer than any that is read, before the answer.
  async event() {
    await print('{"type":"item.completed","item":{"id":"0","type":"command_execution","aggregated_output":"')
    await flood('x')
    await print('"}}\n')
    await message('the answer')
    await turnOver()
  },
  async answer() {
    await message(`${process.env.PRINTED_TOKEN} ${'ä'.repeat(bytes / 2)}`)
    await turnOver()
  },
}
await kinds[kind]()
