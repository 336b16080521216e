// Loaded before a daemon: at a SIGUSR2 its claim loop waits for a message and is never told that the wait is over, until the next
// SIGUSR2. Everything else goes on.
import { realpathSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'

const { Redis } = createRequire(realpathSync(process.argv[1]))('ioredis')
const wait = Redis.prototype.blmove
let wedged = null

Redis.prototype.blmove = function blmove(...args) {
  if (wedged === null) return wait.apply(this, args)
  writeSync(2, 'the claim loop is wedged\n')
  return wedged.then(() => null)
}

let release
process.on('SIGUSR2', () => {
  if (wedged === null) {
    wedged = new Promise((resolve) => {
      release = resolve
    })
  } else {
    wedged = null
    release()
  }
})
